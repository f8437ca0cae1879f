import errno
import os

import pytest

from dpig_tf2.io.atomic import (
    remove_temporaries,
    replacing_folder,
    require_writable,
    temporary_path,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_is_made_with_its_folder_and_in_utf8(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "é")
    assert path.read_bytes() == b"\xc3\xa9"


def test_temporary_files_of_two_processes_differ(tmp_path, monkeypatch):
    own = temporary_path(tmp_path / "a.txt")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert temporary_path(tmp_path / "a.txt") != own


@pytest.mark.parametrize(("write", "new"), [(write_text, "new"), (write_bytes, b"new")])
def test_a_file_is_replaced_whole(tmp_path, monkeypatch, write, new):
    path = tmp_path / "config.json"
    write_text(path, "old")

    def fail(*paths):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left") as raised:
        write(path, new)
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["config.json"]


def test_what_cannot_be_written_is_known_before(tmp_path):
    write_text(tmp_path / "here" / "a.txt", "old")
    require_writable(tmp_path / "here" / "a.txt")
    require_writable(tmp_path / "there" / "a.txt")
    assert (tmp_path / "here" / "a.txt").read_text() == "old"
    for path in (tmp_path / "here" / "a.txt" / "b.txt", tmp_path / "here"):
        with pytest.raises(OSError, match="/here"):
            require_writable(path)
    assert os.listdir(tmp_path / "here") == ["a.txt"] and not os.listdir(tmp_path / "there")
    assert len(os.listdir(tmp_path)) == 2
    with pytest.raises(OSError, match="x'$") as raised:
        require_writable(tmp_path / "here" / ("x" * 250))  # with room for a temporary one
    assert raised.value.errno == errno.ENAMETOOLONG


def test_what_json_does_not_know_leaves_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"ssim": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"ssim": float("nan")})
    assert path.read_text() == '{\n  "ssim": 0.5\n}\n'


def test_what_a_killed_process_left_of_a_text_file_is_removed_when_it_is_old(tmp_path):
    old, new, other = (tmp_path / f".{name}.12.tmp" for name in ("a[1].json", "b.json", "c.json"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    gone = tmp_path / ".b.json.13.tmp"
    gone.symlink_to("nowhere")  # as if another process had just removed it
    for name in ("a[1].json", "b.json"):
        write_text(tmp_path / name, "")
    assert not old.exists() and new.exists() and other.exists()


def test_of_what_was_left_files_go_and_folders_stay(tmp_path):
    left, at_work = tmp_path / ".config.json.12.tmp", tmp_path / "export" / ".1.34.tmp"
    below, other = tmp_path / "export" / left.name, tmp_path / ".metrics.json.12.tmp"
    at_work.mkdir(parents=True)
    for path in (left, below, other):
        path.touch()
    remove_temporaries(tmp_path, "conf*")
    assert not left.exists() and below.exists() and other.exists()
    remove_temporaries(tmp_path)
    assert at_work.is_dir() and not below.exists() and not other.exists()


def _write_folder(path, text):
    with replacing_folder(path) as new:
        (new / "a.txt").write_text(text)


def test_a_folder_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    for text in ("old", "new"):
        _write_folder(tmp_path / "weights", text)
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    assert (tmp_path / "weights" / "a.txt").read_text() == "new"


def test_a_folder_that_could_not_be_replaced_is_there_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    _write_folder(path, "old")
    rename = os.rename

    def fails_to_place_the_new_one(source, target):
        if "a.txt" in os.listdir(source) and (source / "a.txt").read_text() == "new":
            raise OSError("no place")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_to_place_the_new_one)
    with pytest.raises(OSError, match="no place"):
        _write_folder(path, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]
    assert (path / "a.txt").read_text() == "old"


def test_what_is_left_of_another_name_is_not_touched(tmp_path):
    (at_work := tmp_path / ".preset-1.5.34.tmp").mkdir()
    (aside := tmp_path / ".preset-2.5.12.old.tmp").mkdir()
    (other := tmp_path / ".preset-1.json.5.12.tmp").touch()
    for name in ("preset-1", "preset-2"):
        with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / name):
            raise KeyboardInterrupt
    remove_temporaries(tmp_path, "preset-1.json")
    assert sorted(tmp_path.iterdir()) == sorted([at_work, other, aside])
    with replacing_folder(tmp_path / "preset-2.5"):
        assert (tmp_path / "preset-2.5").exists() and not aside.exists()


def test_a_folder_that_a_killed_process_had_moved_aside_comes_back(tmp_path):
    path = tmp_path / "a.tmp"
    aside = tmp_path / ".a.tmp.1.old.tmp"
    unfinished = tmp_path / ".a.tmp.1.tmp"
    for folder, text in ((aside, "old"), (unfinished, "new")):
        folder.mkdir()
        (folder / "a.txt").write_text(text)
    with pytest.raises(KeyboardInterrupt), replacing_folder(path):
        assert (path / "a.txt").read_text() == "old"
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["a.tmp"]
    assert (path / "a.txt").read_text() == "old"
