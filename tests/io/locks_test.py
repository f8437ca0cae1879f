"""One writer at a time, also across processes and after a kill."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from dpig_tf2.io import locks

_HOLDER = """
import sys
from dpig_tf2.io import locks
with locks.writing(sys.argv[1], "data"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `data` in the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path / "out"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_writer_is_told_of_the_first(tmp_path, holder):
    with pytest.raises(locks.LockedError) as refused, locks.writing(tmp_path / "out", "data"):
        pass
    assert re.search(rf"by process {holder.pid} on \S+ since \d{{4}}-", str(refused.value))
    assert refused.value.file == str(tmp_path / "out")
    with locks.writing(tmp_path / "out", "other data"):
        pass


def test_a_writer_may_wait_for_the_first_to_end(tmp_path, holder):
    with pytest.raises(locks.LockedError), locks.writing(tmp_path / "out", "data", wait=0.2):
        pass
    threading.Timer(0.2, holder.stdin.close).start()
    with locks.writing(tmp_path / "out", "data", wait=60):
        assert holder.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_ends_with_its_process(tmp_path, holder, number):
    holder.send_signal(number)
    holder.wait()
    with locks.writing(tmp_path / "out", "data"):
        owner = (tmp_path / "out" / locks.lock_name("data")).read_text()
        assert owner.startswith(f"process {os.getpid()} on ")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "owner"),
    [
        (b"", "another process:"),
        (b"process 1 on \x1b[31m\xff\n", "process 1 on \\x1b[31m\ufffd:"),
        (b"x" * 1000, "x" * 200 + ":"),
    ],
)
def test_an_odd_owner_is_told_in_a_short_line(tmp_path, content, owner):
    path = tmp_path / locks.lock_name()
    path.write_bytes(content)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(locks.LockedError) as refused, locks.writing(tmp_path):
            pass
    assert f"is being written by {owner} wait" in str(refused.value)


def test_what_a_killed_owner_wrote_is_replaced(tmp_path):
    path = tmp_path / locks.lock_name()
    path.write_bytes(b"x" * 1000)
    with locks.writing(tmp_path):
        assert re.fullmatch(r"process \d+ on \S+ since \S+ \S+\n", path.read_text())


def test_nothing_is_left_after_a_failure(tmp_path):
    with pytest.raises(KeyboardInterrupt), locks.writing(tmp_path / "a/b"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), locks.writing(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_folder_that_was_not_needed(tmp_path):
    with locks.writing(tmp_path / "a/b"):
        assert (tmp_path / "a/b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with locks.writing(tmp_path / "a/b"):
        (tmp_path / "a/file").write_text("kept")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_no_link_is_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / locks.lock_name()).symlink_to("precious")
    with pytest.raises(OSError, match="lock"), locks.writing(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_lock_file_that_its_owner_removes_is_not_relied_on(tmp_path, monkeypatch):
    """Else its new owner and whoever makes the file again would both hold a lock."""
    really, opened = os.open, []

    def open_removed(path, *args):
        descriptor = really(path, *args)
        if not opened:
            os.unlink(path)
        opened.append(path)
        return descriptor

    monkeypatch.setattr(os, "open", open_removed)
    with locks.writing(tmp_path):
        assert len(opened) == 2 and (tmp_path / locks.lock_name()).exists()


def test_a_file_system_without_locks_is_mentioned(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    number = errno.ENOLCK
    with pytest.warns(UserWarning, match="no locks; start no second"), locks.writing(tmp_path):
        pass
    number = errno.EIO  # a lock that should have been given
    with pytest.raises(OSError, match="Input/output error"), locks.writing(tmp_path):
        pass
