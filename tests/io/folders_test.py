import os

import pytest

from dpig_tf2.io.folders import files_below
from dpig_tf2.io.manifests import Manifest


def test_files_are_sorted_and_what_is_passed_over_is_named(tmp_path, monkeypatch):
    for name in ("b/c.jpg", "b.jpg", "a.txt", ".hidden/d.jpg", "b/.e.jpg", "locked/f.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    scandir = os.scandir

    def refusing(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    written = ("runs/out/samples.json", "runs/out/g.png")
    written += ("runs/me/config.json", "runs/me/samples/h.png", "runs/me/checkpoints/pose/i.png")
    Manifest(tmp_path / "runs/out/samples.json", {"seed": 1}).write()
    for name in (*written, "visit/checkpoints/j.jpg", "trip/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    problems = []
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, problems)]
    assert found == [
        "a.txt", "b/c.jpg", "b.jpg", "nowhere.jpg", "trip/config.json", "visit/checkpoints/j.jpg",
    ]  # fmt: skip
    assert problems == [
        f"{tmp_path / 'linked'}: a link to a folder, not followed",
        f"{tmp_path / 'locked'}: cannot be listed (Permission denied), skipped",
    ]
    # Whoever names such a folder wants what is in it.
    assert files_below(tmp_path / "runs/out", []) == [
        tmp_path / "runs/out/g.png",
        tmp_path / "runs/out/samples.json",
    ]


@pytest.mark.parametrize(
    "content", ['{"version": "5.5.0", "shapes": []}', '{\n  "samples": []}', ""]
)
def test_a_file_that_is_named_as_ours_hides_no_photos(tmp_path, content):
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "samples.json").write_text(content)  # as labelme calls that of samples.jpg
    (tmp_path / "me" / "samples.jpg").touch()
    assert [path.name for path in files_below(tmp_path, [])] == ["samples.jpg", "samples.json"]


def test_names_that_are_no_text_can_be_printed(tmp_path, monkeypatch):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        os.symlink(tmp_path, odd + "linked")
        os.mkdir(odd)
    except OSError:
        pytest.skip("this file system has no such names")
    scandir = os.scandir

    def refusing(path):
        if path == odd:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    problems = []
    assert files_below(tmp_path, problems) == []
    assert len(problems) == 2 and "".join(problems).isprintable()
    "".join(problems).encode()
