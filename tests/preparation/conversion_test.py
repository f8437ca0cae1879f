import errno
import io
import itertools
import json
import types

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import progress
from dpig_tf2.errors import DpigError
from dpig_tf2.io.images import open_image, read_rgb
from dpig_tf2.io.locks import LockedError
from dpig_tf2.preparation import conversion, photos, raw_records


@pytest.fixture
def folder(tmp_path):
    """Three photos of 128 x 64 pixels, a damaged one and one of another size."""
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (64, 128), (9, 9, 9)).save(tmp_path / name)
    (tmp_path / "damaged.png").write_bytes(b"no image")
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")
    return tmp_path


def keypoints(**changed):
    """All 18 keypoints at row 5, column 9, except those given by number: {"k3": (row, column)}."""
    values = np.full((18, 3), [5.0, 9.0, 1.0], np.float32)
    for key, place in changed.items():
        values[int(key[1:]), :2] = place
    return values


def usable(folder, by_name):
    target = conversion.Target(folder, "market1501", "train", 128, 64, "png")
    with conversion.session(target, conversion.Options(dry_run=True)) as session:
        found = session.usable_photos(folder, by_name)
        return found, "\n".join(session.problems)


def test_photos_that_cannot_be_used_are_named(folder):
    found, told = usable(folder, dict.fromkeys(("a.png", "damaged.png", "small.png"), keypoints()))
    assert set(found) == {"a.png"}
    assert "damaged.png: " in told
    assert "small.png: " in told and "expected 128 x 64" in told


def test_images_that_nobody_could_read_are_refused_before_they_are_made(tmp_path):
    target = conversion.Target(tmp_path / "out", "market1501", "train", 10**9, 24)
    with pytest.raises(DpigError, match="images of 1000000000 x 24 pixels") as raised:
        with conversion.session(target):
            pass
    assert raised.value.field == "height"
    assert not (tmp_path / "out").exists()


def test_the_rate_of_photos_is_that_of_all_of_them(folder, monkeypatch, capsys):
    seconds = types.SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr(progress, "time", seconds)
    usable(folder, dict.fromkeys(("a.png", "b.png", "c.png"), keypoints()))
    assert ": 3/3,  3.00it/s, " in capsys.readouterr().err  # one process looks at all of them


def test_keypoints_out_of_frame_are_missing_and_named(folder):
    found, told = usable(folder, {"a.png": keypoints(k0=(128, 3), k1=(-1, 3), k2=(127.5, 63.5))})
    assert "a.png: nose is out of frame (row 128, column 3 of 128 x 64), taken as missing" in told
    assert "a.png: neck is out of frame (row -1, column 3" in told
    assert len(told.splitlines()) == 2
    assert found["a.png"].keypoints[:, 2].tolist() == [0, 0, *[1] * 16]


def test_photo_without_visible_keypoints_is_left_out(folder):
    found, told = usable(folder, {"b.png": np.zeros((18, 3), np.float32)})
    assert not found and "b.png: no visible keypoint, skipped" in told


@pytest.fixture
def write(folder):
    """Writes the pair of a.png and b.png to a folder."""

    def to(out_dir, options=conversion.DEFAULTS, split="train", problems=("odd",)):
        target = conversion.Target(out_dir, "market1501", split, 128, 64, "png")
        with conversion.session(target, options) as session:
            found = session.usable_photos(folder, dict.fromkeys(("a.png", "b.png"), keypoints()))
            session.problems += problems
            persons = [conversion.Individual(photo, 0, 0) for photo in found.values()]
            pairs = session.new_pairs("pairs")
            pairs.append([[0, 1]])
            return session.write(persons, pairs, found.values(), 5, {"source": "a test"})

    return to


def test_manifest_tells_counts_settings_and_problems(write, tmp_path):
    written = write(tmp_path / "out").written
    assert written.examples == 1
    manifest = json.loads((tmp_path / "out/manifest_Market1501_train.json").read_text())
    assert (manifest["images"], manifest["identities"]) == (2, 1)
    assert manifest["settings"]["source"] == "a test" and manifest["settings"]["examples"] == 1
    assert manifest["problems"] == ["odd"]
    assert set(manifest["settings"]["inputs"]) == {"images", "keypoints"}


def test_a_manifest_holds_the_first_of_many_problems(write, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_NOTED_PROBLEMS", 2)
    made = write(tmp_path / "out", problems=("one", "two", "three", "four"))
    assert len(made.problems) == 4
    manifest = json.loads((tmp_path / "out/manifest_Market1501_train.json").read_text())
    assert manifest["problems"] == ["one", "two", "2 more, which a dry run prints"]


def test_dry_run_tells_the_plan(write, tmp_path):
    plan = write(tmp_path / "out", conversion.Options(dry_run=True)).plan
    assert plan == (
        "1 example of 1 identity from 2 of 5 images, 128 x 64 pixels, in 1 file Market1501_train"
    )
    assert not (tmp_path / "out").exists()


def test_impossible_output_fails_in_a_dry_run_too(write, tmp_path):
    with pytest.raises(ValueError, match="cannot cut 1 examples into 2 shards"):
        write(tmp_path / "out", conversion.Options(num_shards=2, dry_run=True))
    with pytest.raises(ValueError, match="split must be a name"):
        write(tmp_path / "out", conversion.Options(dry_run=True), split="a/b")


def test_images_that_tensorflow_does_not_read_are_left_out(folder):
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), np.uint8)
    Image.fromarray(noise).save(content, "PNG")
    (folder / "cut.png").write_bytes(content.getvalue()[:-9])  # all pixels are there
    np.testing.assert_array_equal(read_rgb(folder / "cut.png"), noise)
    found, told = usable(folder, dict.fromkeys(("a.png", "cut.png"), keypoints()))
    assert set(found) == {"a.png"}
    assert "cut.png: is damaged: TensorFlow does not decode it as Pillow" in told


def test_a_folder_in_use_is_refused_before_a_photo_is_read(folder, tmp_path, monkeypatch):
    target = conversion.Target(tmp_path / "out", "market1501", "train", 128, 64, "png")
    with conversion.session(target), pytest.raises(LockedError), conversion.session(target):
        pytest.fail("a second conversion began")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("resize", ["none", "stretch"])
def test_every_photo_is_decoded_once(folder, tmp_path, monkeypatch, resize):
    """Whatever is made of it: here two views, of the size of the photos or of another."""
    opened = []

    def counting(path, *arguments):
        opened.append(path.name)
        return open_image(path, *arguments)

    monkeypatch.setattr(photos, "open_image", counting)
    height = 128 if resize == "none" else 96
    target = conversion.Target(tmp_path / "out", "market1501", "train", height, 64, "png")
    names = ("a.png", "b.png", "c.png")
    with conversion.session(target, conversion.Options(num_shards=2)) as session:
        found = session.usable_photos(
            folder, dict.fromkeys(names, keypoints()), resize, mirrored=True
        )
        persons = [
            conversion.Individual(photo, view, 0) for view in (0, 1) for photo in found.values()
        ]
        pairs = session.new_pairs("pairs")
        pairs.append([[0, 1], [1, 2], [2, 0], [3, 4], [5, 3]])
        assert session.write(persons, pairs, found.values(), 3, {}).written.examples == 5
    assert sorted(opened) == list(names)
    assert not list((tmp_path / "out").glob(".*"))


def test_nothing_is_left_of_a_conversion_that_fails(folder, tmp_path):
    target = conversion.Target(tmp_path / "out", "market1501", "train", 128, 64, "png")
    with pytest.raises(DpigError) as raised, conversion.session(target) as session:
        session.usable_photos(folder, {"damaged.png": keypoints()})
        session.new_pairs("pairs").append([[0, 0]])
        raise DpigError("no")
    assert "damaged.png" in raised.value.__notes__[0]
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_on_a_full_disk(tmp_path, monkeypatch):
    class Full(conversion.Store):
        def close(self):
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "Store", Full)
    target = conversion.Target(tmp_path / "out", "market1501", "train", 128, 64, "png")
    with pytest.raises(DpigError, match="the first error"), conversion.session(target):
        raise DpigError("the first error")
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_of_an_impossible_format(tmp_path):
    target = conversion.Target(tmp_path / "out", "market1501", "train", 128, 64, "bmp")
    with pytest.raises(DpigError, match="'bmp'"), conversion.session(target):
        pytest.fail("a conversion began")
    assert not (tmp_path / "out").exists()


def test_image_sets_that_add_nobody_keep_their_own_pairs(folder, tmp_path):
    target = conversion.Target(tmp_path / "out", "market1501", "train", 128, 64, "png")
    names = ("a.png", "b.png", "c.png")
    with conversion.session(target) as session:
        found = session.usable_photos(folder, dict.fromkeys(names, keypoints()))
        unusable = raw_records.ImageSet(("x.png", "y.png"), {}, {})
        sets = [unusable, raw_records.ImageSet(names, found, {})]
        plan = raw_records.Plan(sets, "same_identity", lambda name: "one", lambda name: -1, False)
        assert raw_records.convert(session, plan, {}).written.examples == 6
