"""Output folders: continued, never mixed, complete files only."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.io import locks
from dpig_tf2.io.manifests import OutputError
from dpig_tf2.sampling import output_folder
from dpig_tf2.sampling.output_folder import MANIFEST, Item, OutputFolder

_SETTINGS = {"task": "test", "seed": 1}


def _item(name, value=0):
    image = np.full((8, 4, 3), value, np.uint8)
    return Item(name, {"source": "a"}, image, {"foreground": np.arange(3.0), "pose": np.ones(2)})


def _fill(path, *names):
    with OutputFolder(path, _SETTINGS) as output:
        for i, name in enumerate(names):
            output.add(_item(name, 10 * i))
    return output


def test_keeps_picture_codes_and_what_made_it(tmp_path):
    output = _fill(tmp_path / "out", "a.png", "sub/b.jpg")
    np.testing.assert_array_equal(output.read("a.png"), np.zeros((8, 4, 3)))
    assert np.abs(output.read("sub/b.jpg").astype(int) - 10).max() <= 1
    np.testing.assert_array_equal(output.codes("a.png")["foreground"], [0, 1, 2])
    assert list(output.codes("a.png", ["pose"])) == ["pose"]
    listed = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert listed["settings"] == _SETTINGS
    assert listed["files"]["a.png"] == {"source": "a", "codes": "codes/a.npz"}


def test_a_picture_that_goes_with_another_and_figures_are_listed(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (8, 4, 3), np.uint8)
    with OutputFolder(tmp_path, _SETTINGS) as output:
        output.add_picture("photo.png", image, {"source": "a"})
        output.summary["ssim"] = 0.5
    np.testing.assert_array_equal(output.read("photo.png"), image)
    listed = json.loads((tmp_path / MANIFEST).read_text())
    assert listed["files"] == {"photo.png": {"source": "a"}} and listed["summary"] == {"ssim": 0.5}


def test_files_made_before_an_input_changed_are_refused(tmp_path):
    with OutputFolder(tmp_path, _SETTINGS, inputs={"photo.jpg": "old"}) as output:
        output.add(_item("a.png"))
    with pytest.raises(OutputError, match="made before photo.jpg was changed"):
        OutputFolder(tmp_path, _SETTINGS, inputs={"photo.jpg": "new"})


def test_what_is_finished_is_known_again(tmp_path):
    _fill(tmp_path, "a.png", "b.png")
    (tmp_path / "b.png").unlink()
    with OutputFolder(tmp_path, _SETTINGS) as output:
        assert output.reused == 2
        assert output.missing(["a.png", "b.png", "c.png"]) == [1, 2]
        (tmp_path / "c.png").touch()  # by a run that was killed before it was listed
        assert not output.has("c.png")


def test_the_list_is_written_after_an_interruption(tmp_path):
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path, _SETTINGS) as output:
        output.add(_item("a.png"))
        raise KeyboardInterrupt
    assert OutputFolder(tmp_path, _SETTINGS).has("a.png")
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.part"))


def test_other_settings_are_refused_or_replace_everything(tmp_path):
    _fill(tmp_path, "a.png", "b.png")
    other = _SETTINGS | {"seed": 2}
    with pytest.raises(OutputError) as raised:
        OutputFolder(tmp_path, other)
    assert (raised.value.file, raised.value.field) == (str(tmp_path), "seed")
    (tmp_path / "b.png").unlink()  # by hand
    output = OutputFolder(tmp_path, other, overwrite=True)
    assert not output.has("a.png")
    kept = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert kept == {MANIFEST, locks.lock_name()}


def test_a_folder_in_which_nothing_was_made_is_removed(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(ValueError), OutputFolder(path, _SETTINGS):
        raise ValueError
    assert not path.exists()


def test_two_do_not_write_to_one_folder(tmp_path):
    with OutputFolder(tmp_path / "out", _SETTINGS) as output:
        with pytest.raises(locks.LockedError, match=f"by process {os.getpid()} on"):
            OutputFolder(tmp_path / "out", _SETTINGS)
        assert output.path.is_dir()
    assert not (tmp_path / "out").exists()


def test_the_lock_of_a_killed_run_is_no_strange_file(tmp_path):
    (tmp_path / locks.lock_name()).write_text("process 1 on host")
    with OutputFolder(tmp_path, _SETTINGS):
        pass
    assert not tmp_path.exists()


def test_empty_folders_of_a_killed_run_are_no_strange_files(tmp_path):
    (tmp_path / "out/query/below").mkdir(parents=True)
    _fill(tmp_path / "out", "query/a.png")
    left = tmp_path / "out/query/.b.png.12.tmp"
    left.touch()
    _fill(tmp_path / "out")
    assert not left.exists()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/photos").symlink_to(tmp_path / "out")
    with pytest.raises(OutputError, match="holds files but no samples.json"):
        OutputFolder(tmp_path / "linked", _SETTINGS)


def test_codes_that_cannot_be_read_are_named(tmp_path):
    _fill(tmp_path, "a.png")
    (tmp_path / "codes/a.npz").write_bytes(b"odd")
    with OutputFolder(tmp_path, _SETTINGS) as output, pytest.raises(OutputError) as raised:
        output.codes("a.png")
    assert raised.value.file == str(tmp_path / "codes/a.npz") and "a.png" in str(raised.value)


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "me.png").write_bytes(b"my only photo")
    with pytest.raises(OutputError, match="holds files but no samples.json: .*--out_dir$"):
        OutputFolder(tmp_path, _SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["me.png"]


def test_a_damaged_list_is_named(tmp_path):
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(OutputError) as raised:
        OutputFolder(tmp_path, _SETTINGS)
    assert raised.value.file == str(tmp_path / MANIFEST)


def test_sheets_are_redrawn_only_when_their_rows_change(tmp_path):
    output = _fill(tmp_path, "a.png", "b.png")
    sheet = tmp_path / "sheets" / "s.png"
    output.add_sheet("s", [[None, "a.png"]], ["a"], ["0", "1"])
    sheet.write_bytes(b"untouched")
    output.add_sheet("s", [[None, "a.png"]], ["a"], ["0", "1"])
    assert sheet.read_bytes() == b"untouched"
    output.add_sheet("s", [["a.png", None], ["b.png", None]], ["a", "b"], ["0", "1"])
    with Image.open(sheet) as image:
        assert image.height > 2 * 128  # two rows of enlarged pictures


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_animations_go_forth_and_back(tmp_path, ending):
    names = ("0.png", "1.png", "2.png")
    output = _fill(tmp_path, *names)
    output.add_animation(f"a.{ending}", names)
    with Image.open(tmp_path / f"a.{ending}") as image:
        assert (image.n_frames, image.size) == (4, (128, 256))
        image.load()
        assert (image.info["loop"], image.info["duration"]) == (0, 120)  # endless, milliseconds
    assert output.made_from(f"a.{ending}") == {"frames": list(names)}
    (tmp_path / f"a.{ending}").write_bytes(b"untouched")
    output.add_animation(f"a.{ending}", names)
    assert (tmp_path / f"a.{ending}").read_bytes() == b"untouched"


def test_large_pictures_are_not_enlarged(tmp_path):
    with OutputFolder(tmp_path, _SETTINGS) as output:
        image = np.zeros((300, 20, 3), np.uint8)
        for name in ("a.png", "b.png"):
            output.add(Item(name, {}, image, {}))
        output.add_animation("a.gif", ["a.png", "b.png"])
        output.add_sheet("s", [["a.png"]], ["a"], ["0"])
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (20, 300)
    with Image.open(tmp_path / "sheets/s.png") as image:
        assert 300 < image.height < 400


def test_pictures_of_this_run_are_not_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "_KEPT_BYTES", 2 * 8 * 4 * 3)  # two pictures
    read = []
    monkeypatch.setattr(
        output_folder,
        "read_rgb",
        lambda path: read.append(path.name) or np.zeros((8, 4, 3), np.uint8),
    )
    output = _fill(tmp_path, "a.png", "b.png", "c.png", "d.jpg")
    output.add_sheet("s", [["a.png", "b.png", "c.png", "d.jpg"]], ["row"], list("abcd"))
    assert read == ["a.png", "d.jpg"]  # forgotten, and not the same as on disk
    later = OutputFolder(tmp_path, _SETTINGS)
    later.add_animation("a.gif", ["b.png", "c.png"])
    assert read[2:] == ["b.png", "c.png"]


def test_a_picture_that_is_made_again_counts_once(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "_KEPT_BYTES", 2 * 8 * 4 * 3)  # two pictures
    output = _fill(tmp_path, "a.png", "b.png", "b.png")
    (tmp_path / "a.png").unlink()
    assert output.read("a.png").shape == (8, 4, 3)


def test_kept_pictures_are_those_on_disk(tmp_path):
    with OutputFolder(tmp_path, _SETTINGS) as output:
        batch = np.random.default_rng(0).integers(0, 256, (2, 8, 4, 3), np.uint8)
        output.add(Item("a.png", {}, batch[0], {}))
        batch += 1  # the caller goes on working with its array
        np.testing.assert_array_equal(output.read("a.png"), batch[0] - 1)
    np.testing.assert_array_equal(OutputFolder(tmp_path, _SETTINGS).read("a.png"), batch[0] - 1)


def test_damaged_picture_is_named(tmp_path):
    _fill(tmp_path, "a.png")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(OutputError) as raised:
        OutputFolder(tmp_path, _SETTINGS).read("a.png")
    assert raised.value.file == str(tmp_path / "a.png")
    assert str(raised.value).startswith(str(tmp_path / "a.png"))
