import os

import pytest

from dpig_tf2.io.atomic import remove_temporaries, write_json, write_text


def test_a_text_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_text(path, "old")

    def fail(*paths):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["config.json"]


def test_what_json_does_not_know_leaves_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"ssim": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"ssim": float("nan")})
    assert path.read_text() == '{\n  "ssim": 0.5\n}\n'


def test_what_a_killed_process_left_of_a_json_file_is_removed_when_it_is_old(tmp_path):
    old, new, other = (tmp_path / f".{name}.12.tmp" for name in ("a[1].json", "b.json", "c.json"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    for name in ("a[1].json", "b.json"):
        write_json(tmp_path / name, {})
    assert not old.exists() and new.exists() and other.exists()


def test_of_what_was_left_files_go_and_folders_stay(tmp_path):
    left, at_work = tmp_path / ".config.json.12.tmp", tmp_path / "export" / ".1.34.tmp"
    left.touch()
    at_work.mkdir(parents=True)
    remove_temporaries(tmp_path)
    assert at_work.is_dir() and not left.exists()
