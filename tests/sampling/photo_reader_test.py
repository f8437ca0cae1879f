"""Persons of image files."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.detection.photo_poses import PhotoPose, PhotoPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.io import images
from dpig_tf2.io.atomic import write_text
from dpig_tf2.preparation import photos
from dpig_tf2.preparation.given_poses import GivenPoses
from dpig_tf2.sampling.persons import concatenate
from dpig_tf2.sampling.photo_reader import FileReader, fit_keypoints, read_poses


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


def reader(folder, model, *names, batch_size=8, **options):
    poses = GivenPoses(folder, names, folder / "keypoints.csv")
    return FileReader(folder, names, poses, "stretch", model, batch_size, **options)


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


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_what_is_skipped_is_named(folder, tiny_config, batch_size):
    names, options = ("a.jpg", "bad.png", "lone.png"), {"skipped": ["gone.png"]}
    files = reader(folder, tiny_config.model, *names, batch_size=batch_size, **options)
    assert [person.names for person in files.persons()] == [("a",)]
    assert files.done == files.total == 3
    gone, bad, lone = files.skipped
    assert gone == "gone.png"
    assert "bad.png: is not a JPEG or PNG image" in bad and "lone.png: no keypoints in" in lone


def test_names_do_not_depend_on_what_can_be_used(folder, tiny_config):
    (folder / "b.jpg").write_bytes(b"no image")
    (persons,) = reader(folder, tiny_config.model, "b.jpg", "b.png").persons()
    assert persons.names == ("b-2",)


def test_photos_that_are_added_or_removed_leave_the_names_of_others(folder, tiny_config):
    def named(*files):
        read = FileReader(
            folder, files, _Found((20, 10), (60, 10)), "stretch", tiny_config.model, 8
        )
        read.keep_names(names)
        return concatenate(read.persons()).names

    names: dict[str, str] = {}
    assert named("b.png", "lone.png") == ("b", "b_person2", "lone", "lone_person2")
    for name in ("b.jpg", "b_person2.jpg"):
        (folder / name).write_bytes((folder / "a.jpg").read_bytes())
    assert named("b.jpg", "b.png", "b_person2.jpg") == (
        "b-2", "b_person2-2", "b", "b_person2", "b_person2-3", "b_person2_person2",
    )  # fmt: skip
    assert named("b.jpg") == ("b-2", "b_person2-2")


def test_no_more_photos_are_read_than_asked_for(folder, tiny_config):
    files = reader(folder, tiny_config.model, "a.jpg", "b.png", limit=1)
    assert (files.files, files.total) == ([folder / "a.jpg"], 1)
    assert len(concatenate(files.persons())) == 1


def test_poses_of_the_first_batch_are_looked_for_ahead(folder, tiny_config):
    Image.new("RGBA", (40, 100)).save(folder / "b.png")
    poses, names, model = _Found(), ["b.png", "a.jpg"], tiny_config.model
    FileReader(folder, names, poses, "stretch", model, 1, background=(1, 2, 3)).begin()
    ((name, image),) = poses.seen_ahead
    assert name == "b.png" and image[0, 0].tolist() == [1, 2, 3]


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
    for batch_size in (1, 8):
        names[1] = "bad.png"  # is not read: two persons are enough
        given = GivenPoses(folder, names, folder / "k.csv", everyone=True)
        model = _photo_size(tiny_config)
        files = FileReader(folder, names, given, "none", model, batch_size, limit=2)
        (persons,) = files.persons()
        assert files.skipped == [] and files.done == files.total
    assert persons.keypoints[:, 0].tolist() == [[10, 10, 1], [20, 20, 1]]
    assert persons.identities == ("a", "a person 2")


def test_a_person_who_is_left_out_is_told_from_the_others(folder, tiny_config):
    poses, model = _Found((20, 10), (300, 10)), _photo_size(tiny_config)
    files = FileReader(folder, ["a.jpg"], poses, "none", model, 8)
    assert concatenate(files.persons()).names == ("a",)
    told = f"{folder / 'a.jpg'}: a person 2: not one keypoint is visible inside the image"
    assert files.skipped == [told]
    lone = FileReader(folder, ["a.jpg"], _Found((300, 10)), "none", model, 8, crop="person")
    assert list(lone.persons()) == [] and "a.jpg: not one keypoint is visible" in lone.skipped[0]


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
    options["crop"] = "person"
    (cut,) = FileReader(folder, ["b.png"], given, "none", model, 8, **options).persons()
    assert cut.places[0].background == (1, 2, 3)
    options["crop"] = "none"
    # A found outline gives way to that of the picture.
    (found,) = FileReader(folder, ["b.png"], _Found(), "none", model, 8, **options).persons()
    np.testing.assert_array_equal(found.parts["body_mask"], persons.parts["body_mask"])
    # Of several persons it does not tell which part is whose.
    poses = _Found((20, 10), (60, 10))
    (both,) = FileReader(folder, ["b.png"], poses, "none", model, 8, **options).persons()
    assert both.parts["body_mask"][:, 60, 20].max() == 0


class _Found(PhotoPoses):
    """Persons of one keypoint on every photo, whose outline is the photo's upper half."""

    def __init__(self, *places, identity=None):
        super().__init__()
        self._places, self._identity = places or ((20, 10),), identity
        self.seen_ahead = []

    def look_ahead(self, photos):
        self.seen_ahead += photos

    def identity(self, name):
        return self._identity

    def of(self, name, photo):
        mask = np.zeros(photo.shape[:2], np.float32)
        mask[: len(mask) // 2] = 1
        keypoints = np.zeros((len(self._places), 18, 3), np.float32)
        keypoints[:, 0, :2], keypoints[:, 0, 2] = self._places, 1
        return [PhotoPose(each, np.array([0, 0, 100, 40]), mask) for each in keypoints]


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
    assert mask[0, 28, 0] == 0, "beside the photo is nobody"


def test_who_is_on_a_photo_is_told_by_the_name_of_its_file(tiny_config, tmp_path):
    names = ["all_photos/7_a.png", "all_photos/7_b.png", "all_photos/8_a.png", "all_photos/_c.png"]
    (tmp_path / "all_photos").mkdir()
    for name in names:
        Image.new("RGB", (40, 100)).save(tmp_path / name)
    (persons,) = FileReader(tmp_path, names, _Found(), "stretch", tiny_config.model, 8).persons()
    assert persons.identities == ("7", "7", "8", "all_photos__c")
    known = _Found(identity="anna")
    (persons,) = FileReader(tmp_path, names[:1], known, "stretch", tiny_config.model, 8).persons()
    assert persons.identities == ("anna",)


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


@pytest.mark.parametrize("size", [None, (200, 100)])
def test_poses_are_of_images_of_the_size_given_or_else_of_the_files(tiny_config, tmp_path, size):
    sizes = {"height": 100, "width": 50}
    images = [{"id": i, "file_name": name} | sizes for i, name in enumerate(("a.jpg", "b.jpg"))]
    poses = [{"image_id": i, "keypoints": [20, 50, 2] * 17, "num_keypoints": 17} for i in (0, 1)]
    path = tmp_path / "k.json"
    path.write_text(json.dumps({"images": images, "annotations": poses}))
    read, _, _ = read_poses(str(path), "auto", size, "stretch", tiny_config.model, 1)
    assert read.names == ("a",), "no more than asked for"
    np.testing.assert_allclose(read.keypoints[0, 0, :2], (32, 0.4 * 32))


@pytest.mark.parametrize(
    ("size", "noted"), [(None, "64 x 32 pixels"), ((64, 32), "their image"), ((200, 200), None)]
)
def test_keypoints_outside_of_the_image_of_a_pose_are_told(tiny_config, tmp_path, size, noted):
    path = tmp_path / "k.csv"
    rows = [5] * 9 + [100] * 3 + [-1] * 6
    path.write_text(f"name:keypoints_y:keypoints_x\na.jpg: {rows}: {rows}\n")
    poses, notes, _ = read_poses(str(path), "auto", size, "stretch", tiny_config.model, None)
    assert poses.keypoints[0, :, 2].sum() == (12 if size == (200, 200) else 9)
    assert len(notes) == bool(noted)
    if noted:
        assert f"k.csv: a.jpg: 3 of 12 keypoints are outside of {noted}" in notes[0]
        assert ("--target_size" in notes[0]) == (size is None), "a size that was given is no guess"


def test_keypoints_outside_of_their_photo_are_told(folder, tiny_config):
    rows = [5] * 9 + [100] * 3 + [-1] * 6
    (folder / "keypoints.csv").write_text(f"name:keypoints_y:keypoints_x\na.jpg: {rows}: {rows}\n")
    files = reader(folder, tiny_config.model, "a.jpg")
    (persons,) = files.persons()
    assert persons.keypoints[0, :, 2].sum() == 9
    [note] = files.notes
    assert "a.jpg: 3 of 12 keypoints are outside of the image and count as missing" in note


def test_a_file_without_a_usable_pose_is_refused_with_the_first_reason(tiny_config, tmp_path):
    path = tmp_path / "k.csv"
    numbers = f"{[500] * 18}: {[20] * 18}"
    path.write_text(f"name:keypoints_y:keypoints_x\na.jpg: {numbers}\nb.jpg: {numbers}\nc.jpg: x\n")
    reason = "no usable pose; .*a.jpg: not one keypoint is visible inside the image"
    for size, way_out in ((None, " of 64 x 32 pixels; --target_size says"), ((64, 32), "$")):
        with pytest.raises(DpigError, match=reason + way_out) as refused:
            read_poses(str(path), "auto", size, "stretch", tiny_config.model, None)
        assert refused.value.file == str(path)


@pytest.mark.parametrize(
    ("keypoint", "inside"),
    [
        ((0, 0, 1), True), ((63.5, 31.5, 1), True), ((40, 5, 1), True),
        ((-0.5, 5, 1), False), ((5, -0.5, 1), False), ((64, 5, 1), False), ((5, 32, 1), False),
    ],
)  # fmt: skip
def test_keypoints_outside_the_image_are_missing(keypoint, inside):
    keypoints = np.array([keypoint, (1, 1, 1)], np.float32)
    moved = fit_keypoints(keypoints, photos.place((64, 32), (64, 32), "none"))
    assert moved[0].tolist() == (list(keypoint) if inside else [0, 0, 0])
