"""Several processes at work. Functions that they run are at the top of the module, or another's."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import synthetic_records, workers
from dpig_tf2.preparation.workers import Workers

SMALL = {"identities": 3, "images_per_identity": 3, "pairs_per_image": 2, "parts": 7}
# So many pairs of few photos that shards take most of the time.
MANY = {"identities": 4, "images_per_identity": 40, "pairs_per_image": 39, "num_shards": 40}


def content(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix in (".tfrecord", ".pairs", ".json")
    }


@pytest.mark.parametrize("layout", ["published", "lean"])
def test_the_files_do_not_depend_on_the_workers(tmp_path, layout):
    for count in (1, 2, 3):
        folder = tmp_path / str(count)
        synthetic_records.write(folder, num_shards=4, layout=layout, workers=count, **SMALL)
        assert not list(folder.glob(".*"))
        assert content(folder) == content(tmp_path / "1")
    assert len(content(folder)) == (7 if layout == "lean" else 6)


def test_results_come_in_the_order_of_the_tasks():
    with Workers(2) as two:
        assert list(two.map(abs, range(-100, 0))) == list(range(100, 0, -1))
        done = {task: result for task, result in two.each(abs, [(-1,), (-2,)], lambda n: None)}
        assert done == {(-1,): 1, (-2,): 2}


def test_errors_come_from_the_process():
    with Workers(2) as two, pytest.raises(ValueError, match="invalid literal"):
        list(two.map(int, ["1", "two"]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_the_processes_have_started(monkeypatch, number):
    def submit(*_):
        os.kill(os.getpid(), number)
        time.sleep(0.05)
        started.append(number)

    def interrupted(*_):
        raise KeyboardInterrupt

    started = []
    before = signal.signal(number, interrupted)
    try:
        with Workers(2) as several:
            monkeypatch.setattr(several._pool, "submit", submit)
            with pytest.raises(KeyboardInterrupt):
                list(several.map(abs, [1]))
        assert started and signal.getsignal(number) is interrupted
    finally:
        signal.signal(number, before)


def test_a_killed_process_is_told():
    with Workers(2) as two, pytest.raises(workers.WorkerError, match="was killed") as raised:
        list(two.map(os._exit, [1]))
    assert raised.value.field == "workers"


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_impossible_numbers(tmp_path, count):
    with pytest.raises(DpigError, match="workers must be from 1") as raised:
        synthetic_records.write(tmp_path / "out", workers=count, **SMALL)
    assert raised.value.field == "workers"
    assert not (tmp_path / "out").exists()


def test_processes_do_not_load_tensorflow():
    loaded = (
        "import sys, dpig_tf2.preparation.conversion, dpig_tf2.preparation.synthetic_records;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


def descendants(parent):
    """Processes that a process has started, which take some time to appear."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    table = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    children = [pid for pid, of in table if of == parent]
    return children + [pid for child in children for pid in descendants(child)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_conversion_loses_the_shards_under_way_and_goes_on(tmp_path, number):
    """Killed when the first shards are there: no process is left, and what was finished is kept."""
    flags = [f"--{name}={value}" for name, value in MANY.items()]
    program = [sys.executable, "-m", "dpig_tf2.cli.make_synthetic"]
    command = [*program, f"--out_dir={tmp_path}", "--workers=2", *flags]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as program:
        while len(list(tmp_path.glob("*.tfrecord"))) < 4:
            assert program.poll() is None
            time.sleep(0.05)
        started = descendants(program.pid)
        finished = len(list(tmp_path.glob("*.tfrecord")))  # processes end what they are at
        program.send_signal(number)
        program.wait(60)
    assert len(started) >= 2
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}/cmdline") for pid in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = synthetic_records.write(tmp_path, **MANY)
    assert again.reused >= finished - 2 >= 2  # the last of either process may not be noted
    assert not list(tmp_path.glob(".*"))
    whole = tmp_path / "whole"
    synthetic_records.write(whole, **MANY)
    assert {n: c for n, c in content(tmp_path).items() if "tfrecord" in n} == {
        n: c for n, c in content(whole).items() if "tfrecord" in n
    }
