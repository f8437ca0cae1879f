"""Persons of image files."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.detection.photo_poses import PhotoPose, PhotoPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.io import images
from dpig_tf2.io.atomic import write_text
from dpig_tf2.preparation.given_poses import GivenPoses
from dpig_tf2.sampling.persons import concatenate
from dpig_tf2.sampling.photo_reader import FileReader, read_poses


@pytest.fixture
def folder(tmp_path):
    """Two photos that have to be resized, one without keypoints, one damaged, and keypoints."""
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "lone.png"):
        Image.fromarray(rng.integers(0, 256, (100, 40, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no image")
    rows, columns = list(range(10, 28)), [20] * 18
    lines = [f"{name}: {rows}: {columns}" for name in ("a.jpg", "b.png", "bad.png")]
    text = "\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n"
    (tmp_path / "keypoints.csv").write_text(text)
    return tmp_path


def reader(folder, model, *names, **options):
    poses = GivenPoses(folder, names, folder / "keypoints.csv")
    return FileReader(folder, names, poses, "stretch", model, batch_size=8, **options)


def test_a_photo_is_decoded_once_and_not_compressed_again(folder, tiny_config, monkeypatch):
    opened = []
    once = Image.open
    monkeypatch.setattr(Image, "open", lambda file, **o: opened.append(file) or once(file, **o))
    (persons,) = reader(folder, tiny_config.model, "a.jpg", "b.png").persons()
    assert len(opened) == 2
    for name, image in zip(("a.jpg", "b.png"), persons.images, strict=True):
        photo = images.open_image(folder / name)
        expected = np.asarray(photo.resize((32, 64), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_allclose(persons.keypoints[0, 0], [10 * 64 / 100, 20 * 32 / 40, 1])


def test_what_is_skipped_is_named(folder, tiny_config):
    files = reader(folder, tiny_config.model, "a.jpg", "bad.png", "lone.png")
    assert [person.names for person in files.persons()] == [("a",)]
    bad, lone = files.skipped
    assert "bad.png: is not a JPEG or PNG image" in bad and "lone.png: no keypoints in" in lone


def test_photos_have_no_pairs(folder, tiny_config):
    with pytest.raises(DpigError, match="photos have no pairs"):
        reader(folder, tiny_config.model, "a.jpg").pairs()


def test_a_person_is_cut_out_and_put_back(folder, tiny_config):
    """The keypoints lie at rows 10 to 27 of column 20."""
    (persons,) = reader(folder, tiny_config.model, "a.jpg", "b.png", crop="person").persons()
    place = persons.places[1]
    crop = place.crop
    assert (crop.rows, crop.columns) == (2 * crop.columns, crop.columns), "model's proportions"
    assert crop.rows < 40, "the photo has 100 rows"
    seen = crop.to_photo(persons.keypoints[1])
    np.testing.assert_allclose(seen[:, 0], range(10, 28), atol=1e-3)
    assert place.as_json() == {
        "photo": "b.png",
        **{key: getattr(crop, key) for key in ("top", "left", "rows", "columns")},
    }
    photo = images.read_rgb(folder / "b.png")
    pasted = place.paste(np.full((64, 32, 3), 255, np.uint8))
    assert (pasted[18, 20] == 255).all()
    np.testing.assert_array_equal(pasted[60:], photo[60:])


def test_all_persons_of_a_photo(folder, tiny_config):
    """What `detect_poses --persons=all` writes is read again, each person a picture."""
    poses = np.ones((3, 18, 3), np.float32) * [[[10]], [[20]], [[0]]]
    poses[2, :, 2] = 0
    write_text(folder / "k.csv", keypoint_csv({"a.jpg": poses[:2], "b.png": poses[[0, 2]]}))
    names = ["a.jpg", "b.png"]
    for everyone, expected in ((True, ("a", "a_person2", "b")), (False, ("a", "b"))):
        given = GivenPoses(folder, names, folder / "k.csv", everyone=everyone)
        files = FileReader(folder, names, given, "none", _photo_size(tiny_config), 1)
        persons = concatenate(files.persons())
        assert persons.names == expected
        told = [note for note in files.notes if "2 persons, the most certain one" in note]
        assert len(told) == (0 if everyone else 2)
    given = GivenPoses(folder, names, folder / "k.csv", everyone=True)
    files = FileReader(folder, names, given, "none", _photo_size(tiny_config), 8, limit=2)
    (persons,) = files.persons()
    assert persons.keypoints[:, 0].tolist() == [[10, 10, 1], [20, 20, 1]]
    assert persons.identities == ("a", "a person 2")


def _photo_size(tiny_config):
    return dataclasses.replace(tiny_config.model, height=100, width=40)


def test_the_opaque_part_of_a_cut_out_picture_is_the_mask(folder, tiny_config):
    alpha = np.zeros((100, 40), np.uint8)
    alpha[30:70, 10:30] = 255
    cut_out = np.dstack([np.full((100, 40, 3), 200, np.uint8), alpha])
    Image.fromarray(cut_out).save(folder / "b.png")
    model, names = _photo_size(tiny_config), ["a.jpg", "b.png"]
    options = {"body_mask": "detected", "background": (1, 2, 3)}
    given = GivenPoses(folder, names, folder / "keypoints.csv")
    files = FileReader(folder, names, given, "none", model, 8, **options)
    (persons,) = files.persons()
    assert persons.names == ("b",) and "a.jpg: no outline of the person" in files.skipped[0]
    np.testing.assert_array_equal(persons.parts["body_mask"][0, ..., 0], alpha / 255)
    assert persons.images[0, 0, 0].tolist() == [1, 2, 3], "never what is hidden"
    # A found outline gives way to that of the picture.
    (found,) = FileReader(folder, ["b.png"], _Found(), "none", model, 8, **options).persons()
    np.testing.assert_array_equal(found.parts["body_mask"], persons.parts["body_mask"])


class _Found(PhotoPoses):
    """One person on every photo, whose outline is the photo's upper half."""

    def of(self, name, photo):
        mask = np.zeros(photo.shape[:2], np.float32)
        mask[: len(mask) // 2] = 1
        keypoints = np.zeros((18, 3), np.float32)
        keypoints[0] = (20, 10, 1)
        return [PhotoPose(keypoints, np.array([0, 0, 100, 40]), mask)]


@pytest.mark.parametrize("crop", ["none", "person"])
def test_the_outline_found_stands_in_for_the_drawn_one(folder, tiny_config, crop):
    def masks(body_mask):
        options = {"crop": crop, "body_mask": body_mask}
        files = FileReader(
            folder, ["b.png"], _Found(), "letterbox", tiny_config.model, 8, **options
        )
        (persons,) = files.persons()
        return persons.parts

    assert masks("keypoints") == {}
    mask = masks("detected")["body_mask"]
    assert mask.shape == (1, 64, 32, 1)
    assert mask[0, 28, 16] == 1 and mask[0, 36, 16] == 0


def test_who_is_on_a_photo_is_told_by_the_name_of_its_file(tiny_config, tmp_path):
    names = ["all_photos/7_a.png", "all_photos/7_b.png", "all_photos/8_a.png", "all_photos/_c.png"]
    (tmp_path / "all_photos").mkdir()
    for name in names:
        Image.new("RGB", (40, 100)).save(tmp_path / name)
    (persons,) = FileReader(tmp_path, names, _Found(), "stretch", tiny_config.model, 8).persons()
    assert persons.identities == ("7", "7", "8", "all_photos__c")


def test_a_pose_without_a_name_is_left_out(tiny_config, tmp_path):
    numbers = {name: [start] * 18 for name, start in (("", 5), ("a.jpg", 7))}
    lines = [f"{name}: {row}: {row}" for name, row in numbers.items()]
    path = tmp_path / "k.csv"
    path.write_text("\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n")
    poses, notes, left_out = read_poses(
        str(path), "auto", (64, 32), "stretch", tiny_config.model, None
    )
    assert poses.names == ("a",) and len(left_out) == 1 and not notes
    np.testing.assert_array_equal(poses.keypoints[:, 0], [[7, 7, 1]])
