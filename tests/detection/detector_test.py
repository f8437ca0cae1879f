"""The detector with the published networks, on synthetic persons and on real photos."""

import dataclasses
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.detection import accuracy
from dpig_tf2.detection import detector as detectors
from dpig_tf2.detection.consensus import Opinion
from dpig_tf2.detection.detector import PoseDetector, main_person
from dpig_tf2.detection.networks import NUM_LANDMARKS, Look, Region
from dpig_tf2.detection.overlays import overlay
from dpig_tf2.errors import DpigError
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

FACE = [0, 14, 15]


def synthetic_person(seed, height=256, width=128, **changes):
    """Picture, true keypoints and true silhouette."""
    rng = np.random.default_rng(seed)
    foreground, background = synthetic.sample_foreground(rng), synthetic.sample_background(rng)
    pose = dataclasses.replace(synthetic.sample_pose(rng), **changes)
    return (
        synthetic.render(foreground, background, pose, height, width),
        synthetic.pose_keypoints(pose, height, width),
        synthetic.foreground_mask(foreground, pose, height, width),
    )


def share_near(found, true):
    seen = true[:, 2] > 0
    extent = np.ptp(true[seen, :2], axis=0).max()
    near = np.linalg.norm(found[:, :2] - true[:, :2], axis=1) <= 0.1 * extent
    return (near & (found[:, 2] > 0))[seen].mean()


@pytest.fixture(scope="module")
def scene():
    """A wide picture of two persons on gray, the larger one in the middle, and their keypoints."""
    photo = np.full((384, 640, 3), 120, np.uint8)
    small, small_keypoints, _ = synthetic_person(104, 200, 100)
    large, large_keypoints, _ = synthetic_person(100, 300, 150)
    photo[150:350, 20:120] = small
    photo[40:340, 250:400] = large
    return photo, large_keypoints + (40, 250, 0), small_keypoints + (150, 20, 0)


@pytest.mark.parametrize("seed", [100, 103, 105, 108])
def test_a_synthetic_person_is_found(detector, seed):
    photo, keypoints, silhouette = synthetic_person(seed)
    (person,) = detector.detect([photo])[0]
    assert share_near(person.keypoints, keypoints) >= 0.9
    assert person.keypoints.shape == (18, 3) and person.keypoints.dtype == np.float32
    assert set(np.unique(person.keypoints[:, 2])) <= {0, 1}
    assert person.scores.shape == (18,) and person.presence > 0.9
    hidden = person.keypoints[:, 2] == 0
    assert not person.keypoints[hidden].any()
    found = person.mask >= 0.5
    assert found.shape == silhouette.shape
    assert (found & silhouette).sum() / (found | silhouette).sum() > 0.85
    rows, columns = np.nonzero(silhouette)
    true_box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    np.testing.assert_allclose(person.box, true_box, atol=12)


def test_the_face_is_hidden_from_behind_only(detector):
    front, _, _ = synthetic_person(100, yaw=0.0, head_turn=0.0)
    behind, _, _ = synthetic_person(100, yaw=np.pi, head_turn=0.0)
    (seen,), (hidden,) = detector.detect([front, behind])
    assert seen.keypoints[FACE, 2].all()
    assert not hidden.keypoints[FACE, 2].any() and hidden.keypoints[[2, 5], 2].all()
    assert hidden.keypoints[2, 1] > hidden.keypoints[5, 1]


def test_a_profile_keeps_its_face():
    points = np.zeros((18, 2))
    points[[2, 5], 1] = (60, 50)  # the right shoulder lies to the right
    points[[8, 11]] = (100, 55)
    points[1] = (40, 55)
    points[[16, 17], 1] = (57, 53)
    points[0, 1] = 55
    assert detectors._face_is_hidden(points)
    points[0, 1] = 70
    assert not detectors._face_is_hidden(points)


def _person(opinion, photo_size):
    mask = np.zeros((256, 256), np.float32)
    return detectors._as_person(opinion, 1.0, mask, Region(50.0, 50.0, 100.0), photo_size)


def test_the_larger_and_more_central_is_the_main_one():
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 20, (NUM_LANDMARKS, 2))

    def standing_at(x, size=1.0):
        return _person(Opinion(size * points + (x, 50), np.ones(NUM_LANDMARKS), 1.0), (100, 200))

    aside, middle, small = standing_at(30), standing_at(100), standing_at(100, size=0.3)
    assert middle.prominence > aside.prominence > small.prominence
    assert main_person([aside, middle, small]) is middle


def test_a_neck_is_as_visible_as_the_shoulder_that_is_less():
    points = np.random.default_rng(0).uniform(20, 80, (NUM_LANDMARKS, 2))
    visibility = np.ones(NUM_LANDMARKS)
    visibility[11] = 0.05
    person = _person(Opinion(points, visibility, 1.0), (100, 100))
    assert person.scores[1] == pytest.approx(0.05)
    assert not person.keypoints[[1, 5]].any() and person.keypoints[2, 2] == 1


def test_keypoints_are_pixels_of_the_photo_or_missing():
    points = np.random.default_rng(0).uniform(20, 80, (NUM_LANDMARKS, 2))
    points[[0, 28]] = ((50, 1), (50, 99))  # (x, y); the person's extent is 98
    points[[12, 11]] = ((101.5, 40), (105.5, 40))  # beyond the edge by 2 pixels and by 6
    keypoints = _person(Opinion(points, np.ones(NUM_LANDMARKS), 1.0), (100, 100)).keypoints
    np.testing.assert_allclose(keypoints[3], (*points[14, ::-1] - 0.5, 1), rtol=1e-6)
    assert keypoints[2].tolist() == [39.5, 99, 1] and not keypoints[5].any()


def test_looks_that_saw_nobody_have_no_say_where_others_saw_a_person():
    points, seen = (
        np.random.default_rng(0).uniform(20, 80, (NUM_LANDMARKS, 2)),
        np.ones(NUM_LANDMARKS),
    )
    look = Look(points, seen, seen, 0.9, np.zeros((256, 256), np.float32), Region(50, 50, 100))
    astray = dataclasses.replace(look, visibility=0 * seen, presence=0.2)
    photo = np.zeros((100, 100, 3), np.uint8)
    person = PoseDetector(None, None, 0)._person(photo, [look, astray], 0.0)
    assert (person.scores == 1).all()


def test_masks_are_averaged_where_looks_had_the_region_of_the_last():
    regions = Region(50, 50, 90), Region(50, 50, 100), Region(50, 50, 100)
    looks = [
        types.SimpleNamespace(mask=np.full((2, 2), value, np.float32), region=region)
        for value, region in zip((0.0, 0.2, 0.6), regions, strict=True)
    ]
    mask, region = detectors._agreed_mask(looks)
    np.testing.assert_allclose(mask, 0.4)
    assert region == regions[2]


@pytest.mark.parametrize(("box", "same"), [((10, 10, 20, 20), True), ((96, 10, 106, 20), False)])
def test_who_lies_in_the_box_of_another_is_the_same(box, same):
    large, small = (types.SimpleNamespace(box=np.array(b)) for b in ((0, 0, 100, 100), box))
    assert detectors._is_same(large, small) == detectors._is_same(small, large) == same


def test_views_overlap_by_half():
    views = detectors._views(100, 300, 100.0)
    assert [(view.x, view.y, view.side) for view in views] == [
        (x, 50, 100) for x in (50, 100, 150, 200, 250)
    ]


def test_pictures_without_a_person(detector):
    pictures = []
    for seed in range(17):
        background = synthetic.sample_background(np.random.default_rng(seed))
        height, width = ((256, 256), (128, 64))[seed % 2]
        pictures.append(synthetic.render_background(background, height, width))
    assert detector.detect(pictures) == [[]] * 17


def test_several_persons_and_the_main_one(detector, scene):
    photo, large, small = scene
    persons = detector.detect([photo])[0]
    assert len(persons) == 2
    assert main_person(persons) is persons[0]
    assert share_near(persons[0].keypoints, large) > 0.8
    assert share_near(persons[1].keypoints, small) > 0.7
    assert main_person([]) is None


def test_persons_who_stand_close_are_all_found(detector):
    """Alone, the finder sees one of the two on each of these photos."""
    for seed in (6, 10, 13):
        rng = np.random.default_rng(seed)
        photo = synthetic.render_background(synthetic.sample_background(rng), 480, 720)
        expected = []
        for number, left in enumerate((175, 365)):
            picture, keypoints, silhouette = synthetic_person(2 * seed + number, 360, 180)
            part = photo[110:470, left : left + 180]
            part[silhouette] = picture[silhouette]
            expected.append(keypoints[keypoints[:, 2] > 0, :2].mean(axis=0) + (110, left))
        persons = sorted(detector.detect([photo])[0], key=lambda person: person.box[1])
        middles = [person.keypoints[person.keypoints[:, 2] > 0, :2] for person in persons]
        np.testing.assert_allclose([m.mean(axis=0) for m in middles], expected, atol=30)


def test_size_and_orientation_of_the_photo_do_not_matter(detector):
    photo, keypoints, _ = synthetic_person(103, 256, 128)
    large = np.asarray(Image.fromarray(photo).resize((1280, 2560), Image.Resampling.BICUBIC))
    (person,) = detector.detect([large])[0]
    assert share_near(person.keypoints, keypoints * (10, 10, 1)) >= 0.9
    far = np.full((1200, 1600, 3), 130, np.uint8)
    far[700:1100, 900:1100] = np.asarray(Image.fromarray(photo).resize((200, 400)))
    (person,) = detector.detect([far])[0]
    assert share_near(person.keypoints, keypoints * (400 / 256, 200 / 128, 1) + (700, 900, 0)) > 0.8
    assert person.mask.shape == (1200, 1600)


def test_tiny_and_odd_photos_are_no_error(detector):
    shapes = [(1, 1, 3), (8, 3, 3), (3, 500, 3), (700, 2, 3)]
    photos = [np.full(shape, 99, np.uint8) for shape in shapes]
    assert detector.detect(photos) == [[]] * 4
    assert detector.detect([]) == []


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_other_arrays_are_refused(detector, shape):
    good = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DpigError, match=r"photo 1: .* expected uint8 \[H, W, 3\]") as raised:
        detector.detect([good, np.zeros(shape, np.uint8)])
    assert raised.value.record == 1


def test_the_same_photo_gives_the_same_person(detector):
    photo, _, _ = synthetic_person(105)
    first, second = (detector.detect([photo])[0][0] for _ in range(2))
    np.testing.assert_array_equal(first.keypoints, second.keypoints)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_number_of_further_looks(pose_model):
    with pytest.raises(DpigError, match="further_looks must be from 0 to 4, got 5") as raised:
        PoseDetector.load(pose_model, further_looks=5)
    assert raised.value.field == "further_looks"
    photo, keypoints, _ = synthetic_person(100)
    (person,) = PoseDetector.load(pose_model, further_looks=0).detect([photo])[0]
    assert share_near(person.keypoints, keypoints) > 0.8


def test_overlay_draws_each_person(detector, scene):
    photo, _, _ = scene
    persons = detector.detect([photo])[0]
    picture = overlay(photo, persons, height=192)
    assert picture.shape == (192, 320, 3) and picture.dtype == np.uint8
    plain = overlay(photo, [], height=192)
    changed = np.abs(picture.astype(int) - plain).max(axis=2) > 30
    assert changed[20:170, 125:200].any() and changed[75:175, 10:60].any()
    assert not changed[:, 220:].any()


def test_overlay_of_a_very_wide_photo_is_lower():
    assert overlay(np.zeros((100, 400, 3), np.uint8), []).shape == (256, 1024, 3)
    assert overlay(np.zeros((100, 800, 3), np.uint8), []).shape == (128, 1024, 3)


def test_detection_needs_no_tensorflow(pose_model):
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import numpy as np\n"
        "from dpig_tf2.detection import accuracy, crops, keypoint_csv, overlays\n"
        "from dpig_tf2.detection.detector import PoseDetector\n"
        f"detector = PoseDetector.load({str(pose_model)!r})\n"
        "assert detector.detect([np.zeros((64, 32, 3), np.uint8)]) == [[]]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_missing_extra_is_named(pose_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(DpigError, match=r"pip install 'dpig-tf2\[pose\]'"):
        PoseDetector.load(pose_model)


@pytest.mark.parametrize(
    ("name", "photos", "found", "error"), [("market1501", 18, 97, 3.2), ("deepfashion", 8, 99, 4.8)]
)
def test_real_photos(detector, shared_dir, name, photos, found, error):
    folder = shared_dir / "real" / name
    if not folder.is_dir():
        pytest.skip(f"real photos absent: {folder} does not exist")
    names, references = read_keypoint_csv(folder / "keypoints.csv")
    pictures = (np.asarray(Image.open(folder / "images" / name)) for name in names)
    measured = accuracy.measure(detector, zip(pictures, references, strict=True))
    assert (measured.photos, measured.missed) == (photos, 0)
    assert measured.found >= found
    assert measured.pixel_error <= error
    assert measured.visibility >= 90


def test_agrees_with_another_implementation(detector, shared_dir):
    """Most keypoints lie where a single look puts them; several looks move few of them far."""
    stored = shared_dir / "fixtures" / "pose_from_photo" / "keypoints.npz"
    for needed in (stored, shared_dir / "real"):
        if not needed.exists():
            pytest.skip(f"reference data absent: {needed} does not exist")
    with np.load(stored) as arrays:
        expected = {name: arrays[name] for name in arrays.files}
    distances = []
    for name, keypoints in expected.items():
        dataset, _, file = name.partition("/")
        photo = np.asarray(Image.open(shared_dir / "real" / dataset / "images" / file))
        person = detector.detect([photo])[0][0]
        both = (keypoints[:, 2] > 0.5) & (person.keypoints[:, 2] > 0)
        away = np.linalg.norm(person.keypoints[both, :2] - keypoints[both, :2], axis=1)
        distances.extend(away / np.ptp(keypoints[:, 0]))
    assert np.median(distances) < 0.015 and np.quantile(distances, 0.9) < 0.05
