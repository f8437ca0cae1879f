import dataclasses
import json
import math
import re
import signal

import numpy as np
import pytest

from dpig_tf2 import synthetic
from dpig_tf2.synthetic.factors import SCENES, Arm, Garment, Leg, Pose
from dpig_tf2.synthetic.kinematics import KEYPOINT_ORDER
from dpig_tf2.synthetic.scene import _grain, vary_background

STANDING = Pose(
    yaw=0.0,
    lean=0.0,
    head_turn=0.0,
    nod=0.0,
    right_arm=Arm(0.0, 0.2, 0.2, 0.0),
    left_arm=Arm(0.0, 0.2, 0.2, 0.0),
    right_leg=Leg(0.0, 0.05, 0.0),
    left_leg=Leg(0.0, 0.05, 0.0),
    scale=0.86,
    row=0.95,
    column=0.0,
)


def rng(seed):
    return np.random.default_rng(seed)


def keypoint(keypoints, name):
    return keypoints[KEYPOINT_ORDER.index(name)]


def test_keypoint_order_is_the_packages_order():
    from dpig_tf2.ops.keypoints import KEYPOINT_NAMES

    assert KEYPOINT_ORDER == KEYPOINT_NAMES


@pytest.mark.parametrize("size", [(64, 32), (128, 64), (96, 96)])
def test_render_is_deterministic(size):
    factors = [
        (synthetic.sample_foreground(rng(1)), synthetic.sample_background(rng(2)), pose)
        for pose in (synthetic.sample_pose(rng(3)), synthetic.sample_pose(rng(3)))
    ]
    first, second = (synthetic.render(*each, *size) for each in factors)
    assert first.shape == (*size, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_a_seed_gives_the_pictures_that_it_always_gave():
    """Published weights were trained on them: mean colors of person and rest, sums of keypoints."""
    expected = {
        "0001_c2s1_000967_01.jpg": [129.6, 109.4, 96.1, 181.5, 165.5, 161.3, 444.0, 328.6, 17],
        "0002_c3s1_000162_01.jpg": [139.1, 100.3, 88.4, 117.5, 111.9, 105.8, 429.1, 248.5, 13],
        "0003_c4s1_000241_01.jpg": [153.0, 97.2, 95.8, 122.9, 125.3, 122.5, 528.2, 285.3, 17],
        "0004_c5s1_000473_01.jpg": [174.9, 74.0, 78.2, 143.5, 133.7, 116.1, 363.2, 153.3, 11],
        "0005_c6s1_000494_01.jpg": [174.1, 148.3, 78.3, 110.1, 114.3, 87.6, 197.2, 188.6, 7],
        "0006_c1s1_000547_01.jpg": [150.0, 120.0, 109.2, 104.5, 101.0, 80.9, 330.1, 202.0, 12],
    }
    images = synthetic.make_images(0, 6, 1)
    assert [image.name for image in images] == list(expected)
    for image in images:
        picture = synthetic.render(image.foreground, image.background, image.pose)
        person = synthetic.foreground_coverage(image.foreground, image.pose) == 1
        colors = [picture[pixels].mean(axis=0) for pixels in (person, ~person)]
        found = [*colors, synthetic.pose_keypoints(image.pose).sum(axis=0)]
        np.testing.assert_allclose(np.concatenate(found), expected[image.name], atol=0.3)


def test_larger_image_shows_the_same_picture():
    image = synthetic.make_images(0, 1, 1)[0]
    small = synthetic.render(image.foreground, image.background, image.pose, 64, 32)
    large = synthetic.render(image.foreground, image.background, image.pose, 192, 96)
    reduced = large.reshape(64, 3, 32, 3, 3).mean(axis=(1, 3))
    # Lines in the scene are whole pixels wide, so the two are near but not equal.
    assert np.abs(reduced - small).mean() < 4


def test_foreground_changes_only_its_own_pixels():
    background, pose = synthetic.sample_background(rng(5)), synthetic.sample_pose(rng(6))
    persons = [synthetic.sample_foreground(rng(seed)) for seed in (7, 8)]
    images = [synthetic.render(person, background, pose) for person in persons]
    masks = [synthetic.foreground_mask(person, pose) for person in persons]
    outside = ~(masks[0] | masks[1])
    np.testing.assert_array_equal(images[0][outside], images[1][outside])
    assert (images[0] != images[1])[masks[0]].mean() > 0.5


def test_background_does_not_reach_covered_pixels():
    person, pose = synthetic.sample_foreground(rng(9)), synthetic.sample_pose(rng(10))
    images = [
        synthetic.render(person, synthetic.sample_background(rng(seed)), pose) for seed in (1, 2)
    ]
    covered = synthetic.foreground_coverage(person, pose) == 1
    assert covered.mean() > 0.05
    np.testing.assert_array_equal(images[0][covered], images[1][covered])


def test_scene_shows_around_person_and_shadow():
    image = synthetic.make_images(3, 1, 1)[0]
    scene = synthetic.render_background(image.background)
    picture = synthetic.render(image.foreground, image.background, image.pose)
    mask = synthetic.foreground_mask(image.foreground, image.pose)
    # The shadow lies at the feet, in the lower half.
    np.testing.assert_array_equal(picture[:32][~mask[:32]], scene[:32][~mask[:32]])
    assert np.all(picture[~mask] <= scene[~mask])
    feet = synthetic.pose_keypoints(STANDING)[[10, 13], 0].max()
    picture = synthetic.render(image.foreground, image.background, STANDING).astype(int)
    mask = synthetic.foreground_mask(image.foreground, STANDING)
    darker = (scene - picture).max(axis=-1)
    rows = np.nonzero((darker > 10) & ~mask)[0]
    assert len(rows) and abs(rows.mean() - feet) < 5, "it lies at the feet"


@pytest.mark.parametrize("scene", SCENES)
def test_wide_picture_shows_more_of_the_scene(scene):
    background = synthetic.sample_background(rng(3), scene)
    square = synthetic.render_background(background, 60, 60)
    wide = synthetic.render_background(background, 60, 140)
    assert wide.shape == (60, 140, 3)
    # Rows of tiles start at the left edge of the picture; all else stays in its place.
    near = np.abs(wide[:, 40:100].astype(float) - square) <= 2
    assert near.mean() > 0.6
    grain = _grain(background.grain, 60, 140)
    assert grain[:, :30].std() > 1 and grain[:, 110:].std() > 1, "there too"


def test_coverage_agrees_with_mask():
    person, pose = synthetic.sample_foreground(rng(1)), synthetic.sample_pose(rng(2))
    coverage = synthetic.foreground_coverage(person, pose, 48, 24)
    assert coverage.shape == (48, 24) and coverage.dtype == np.float32
    np.testing.assert_array_equal(coverage > 0, synthetic.foreground_mask(person, pose, 48, 24))
    assert 0 < coverage[coverage < 1].max() < coverage.max() == 1


def test_clothes_are_where_they_belong():
    """A red shirt with short sleeves, blue trousers to above the knee."""
    red, blue, skin = (200, 30, 30), (30, 30, 200), (220, 180, 40)
    person = dataclasses.replace(
        synthetic.sample_foreground(rng(0)),
        skin=skin,
        upper=Garment("red", red, red, "plain", 0.1, 0.6),
        lower=Garment("blue", blue, blue, "plain", 0.1, 0.6),
        lower_kind="trousers",
        bag="none",
    )
    size = (256, 128)
    picture = synthetic.render(person, synthetic.sample_background(rng(0)), STANDING, *size)
    keypoints = synthetic.pose_keypoints(STANDING, *size)
    for start, end, place, color in (
        ("neck", "right_hip", 0.5, red), ("right_hip", "right_knee", 0.3, blue),
        ("right_shoulder", "right_elbow", 0.3, red), ("right_shoulder", "right_elbow", 0.85, skin),
        ("right_elbow", "right_wrist", 0.5, skin), ("left_hip", "left_knee", 0.85, skin),
    ):  # fmt: skip
        ends = [keypoint(keypoints, name)[:2] for name in (start, end)]
        row, column = (ends[0] + place * (ends[1] - ends[0])).astype(int)
        shade = picture[row, column] / np.linalg.norm(picture[row, column])
        assert shade @ color > 0.99 * np.linalg.norm(color), (start, place)


def test_legs_take_turns_and_arms_swing_against_them():
    poses = [synthetic.sample_pose(rng(seed)) for seed in range(200)]
    legs = np.array([(pose.right_leg.swing, pose.left_leg.swing) for pose in poses])
    np.testing.assert_array_equal(legs[:, 0], -legs[:, 1])
    arms = np.array([(pose.right_arm.swing, pose.left_arm.swing) for pose in poses])
    walking = np.abs(legs[:, 0]) > 0.1
    for side in (0, 1):
        against = np.sign(arms[walking, side]) == -np.sign(legs[walking, side])
        assert against.mean() > 0.7  # others gesture


def test_build_changes_thickness_only():
    thin = dataclasses.replace(synthetic.sample_foreground(rng(3)), build=0.84, bag="none")
    stout = dataclasses.replace(thin, build=1.24)
    areas = [synthetic.foreground_coverage(person, STANDING).sum() for person in (thin, stout)]
    assert areas[1] > 1.15 * areas[0]


def test_keypoints_lie_on_the_body():
    for seed in range(60):
        pose = synthetic.sample_pose(rng(seed))
        person = dataclasses.replace(synthetic.sample_foreground(rng(1000 + seed)), build=0.84)
        keypoints = synthetic.pose_keypoints(pose, 128, 64)
        mask = synthetic.foreground_mask(person, pose, 128, 64)
        for name, (row, column, visible) in zip(KEYPOINT_ORDER, keypoints, strict=True):
            if visible:
                assert mask[int(row), int(column)], f"{name} of pose {seed} lies off the body"


def test_keypoint_statistics():
    keypoints = np.stack(
        [synthetic.pose_keypoints(synthetic.sample_pose(rng(s))) for s in range(400)]
    )
    assert keypoints.dtype == np.float32 and keypoints.shape == (400, 18, 3)
    visible = keypoints[..., 2] == 1
    assert np.all(keypoints[~visible] == 0)
    assert np.all(keypoints[..., 0] <= 63) and np.all(keypoints[..., 1] <= 31)
    assert np.all(keypoints >= 0)
    assert 13.5 < visible.sum(axis=1).mean() < 15
    assert np.all(visible.mean(axis=0) > 0.4)
    no_legs = ~visible[:, [9, 10, 12, 13]].any(axis=1)
    assert 0.02 < no_legs.mean() < 0.15
    assert visible.sum(axis=1).min() >= 4 and visible.sum(axis=1).max() == 18


def test_right_side_is_left_in_the_image_from_the_front():
    front = synthetic.pose_keypoints(STANDING, 128, 64)
    back = synthetic.pose_keypoints(dataclasses.replace(STANDING, yaw=math.pi), 128, 64)
    for joint in ("shoulder", "wrist", "hip", "ankle"):
        right, left = f"right_{joint}", f"left_{joint}"
        assert keypoint(front, right)[1] < keypoint(front, left)[1]
        assert keypoint(back, right)[1] > keypoint(back, left)[1]
    assert front[:, 2].sum() == 18
    assert [name for name in KEYPOINT_ORDER if not keypoint(back, name)[2]] == [
        "nose",
        "right_eye",
        "left_eye",
    ]


def test_side_view_faces_the_image_right_and_hides_the_far_side():
    side = synthetic.pose_keypoints(dataclasses.replace(STANDING, yaw=math.pi / 2), 128, 64)
    assert keypoint(side, "nose")[1] > keypoint(side, "neck")[1] + 3
    assert keypoint(side, "right_ear")[2] == 1 and keypoint(side, "left_ear")[2] == 0
    for joint in ("elbow", "wrist", "hip"):
        assert keypoint(side, f"right_{joint}")[2] == 1 and keypoint(side, f"left_{joint}")[2] == 0


def test_arm_behind_the_back_is_missing_from_the_front_only():
    behind = dataclasses.replace(STANDING, right_arm=Arm(-0.5, 0.2, 1.1, 2.1))
    front = synthetic.pose_keypoints(behind, 128, 64)
    back = synthetic.pose_keypoints(dataclasses.replace(behind, yaw=math.pi), 128, 64)
    assert keypoint(front, "right_wrist")[2] == 0 and keypoint(back, "right_wrist")[2] == 1


def test_wider_frame_moves_columns_only():
    narrow = synthetic.pose_keypoints(STANDING, 128, 64)
    wide = synthetic.pose_keypoints(STANDING, 128, 128)
    np.testing.assert_allclose(wide - narrow, np.broadcast_to((0, 32, 0), (18, 3)), atol=1e-4)


def test_an_image_may_be_wider_than_high():
    image = synthetic.make_images(0, 1, 1)[0]
    wide = synthetic.render(image.foreground, image.background, image.pose, 48, 110)
    assert wide.shape == (48, 110, 3) and wide.std(axis=0).min() > 1


def test_front_and_back_differ():
    person, background = synthetic.sample_foreground(rng(4)), synthetic.sample_background(rng(4))
    back = dataclasses.replace(STANDING, yaw=math.pi)
    head = slice(4, 14), slice(12, 20)
    front_head = synthetic.render(person, background, STANDING)[head].astype(int)
    back_head = synthetic.render(person, background, back)[head].astype(int)
    assert np.abs(front_head - back_head).max() > 40


@pytest.mark.parametrize(
    "sample",
    [synthetic.sample_foreground, synthetic.sample_background, synthetic.sample_pose],
)
def test_json_round_trip(sample):
    for seed in range(20):
        factor = sample(rng(seed))
        assert synthetic.from_dict(json.loads(json.dumps(synthetic.to_dict(factor)))) == factor


def changed(**changes):
    return {**synthetic.to_dict(synthetic.sample_foreground(rng(0))), **changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"factor": "weather"}, "'factor' must be one of"),
        (changed(build="broad"), r"foreground\.build: expected float"),
        (changed(build=True), r"foreground\.build: expected float"),
        (changed(build=1e3), r"foreground\.build: expected at most 100"),
        (changed(shoes=[-1, 2, 3]), r"foreground\.shoes: expected at least 0"),
        (changed(hair_style="mohawk"), "hair_style must be one of"),
        (changed(shoes=[1, 2]), r"foreground\.shoes: expected 3 values, got 2"),
        (changed(shoes=3), r"foreground\.shoes: expected a list"),
        (changed(upper="shirt"), r"foreground\.upper: expected a dictionary"),
        (changed(scarf=1), "missing or unknown fields .*scarf"),
    ],
)
def test_from_dict_names_what_is_wrong(data, message):
    with pytest.raises(ValueError, match=message):
        synthetic.from_dict(data)


@pytest.mark.parametrize(
    ("sample", "changes", "message"),
    [
        (synthetic.sample_pose, {"scale": -1}, "scale must be above 0, got -1"),
        (synthetic.sample_foreground, {"build": -1}, "build must be above 0, got -1"),
        (synthetic.sample_foreground, {"hat": [0, 0, 300]}, "hat must be RGB from 0 to 255"),
        (synthetic.sample_background, {"wall": [300, 0, 0]}, "wall must be RGB from 0 to 255"),
        (synthetic.sample_background, {"light": -1}, "light must be above 0, got -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(sample, changes, message):
    with pytest.raises(ValueError, match=message):
        synthetic.from_dict(synthetic.to_dict(sample(rng(0))) | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"length": 99.0}, "length must be from 0 to 2"), ({"accent": (0, 256, 0)}, "accent must be")],
)
def test_impossible_cloth_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(synthetic.sample_foreground(rng(0)).upper, **changes)


def test_to_dict_takes_factors_only():
    with pytest.raises(ValueError, match="got Arm"):
        synthetic.to_dict(STANDING.left_arm)


def test_unknown_texture_is_refused():
    with pytest.raises(ValueError, match="texture must be one of"):
        Garment("red", (200, 0, 0), (0, 0, 0), "paisley", 0.1, 1.0)


def test_names_identities_and_cameras():
    images = synthetic.make_images(seed=1, identities=3, images_per_identity=8, first_identity=11)
    assert [image.identity for image in images] == sorted([11, 12, 13] * 8)
    assert len({image.name for image in images}) == 24
    for image in images:
        assert re.fullmatch(r"\d{4}_c\ds[1-6]_\d{6}_\d\d\.jpg", image.name)
        assert int(image.name[:4]) == image.identity and int(image.name[6]) == image.camera
    assert {image.camera for image in images} == set(range(1, 7))
    assert [int(image.name[8]) for image in images] == 3 * [1, 1, 1, 1, 1, 1, 2, 2]
    persons = {image.identity: image.foreground for image in images}
    assert all(image.foreground == persons[image.identity] for image in images)
    assert len(set(persons.values())) == 3
    assert len({image.pose for image in images}) == 24


def test_camera_keeps_its_place():
    images = synthetic.make_images(seed=2, identities=2, images_per_identity=12)
    places = {(i.camera, i.background.scene, i.background.wall) for i in images}
    assert len(places) == 6
    assert len({image.background for image in images}) == 24


def test_things_move_with_the_wall_behind_them():
    for seed in range(20):
        place = synthetic.sample_background(rng(seed))
        again = vary_background(rng(100 + seed), place)
        pan = again.shift - place.shift
        before = {(thing.kind, thing.size, thing.color): thing.column for thing in place.objects}
        for thing in again.objects:
            column = before.get((thing.kind, thing.size, thing.color))
            assert column is None or thing.column - column == pytest.approx(pan, abs=2e-4)


def test_images_depend_on_seed_identity_and_index_only():
    few = synthetic.make_images(seed=4, identities=2, images_per_identity=3, first_identity=2)
    many = synthetic.make_images(seed=4, identities=4, images_per_identity=5)
    assert all(image in many for image in few)
    other = synthetic.make_images(seed=5, identities=2, images_per_identity=3, first_identity=2)
    assert not {image.pose for image in few} & {image.pose for image in other}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"seed": -1}, "seed"),
        ({"identities": 0}, "identities"),
        ({"images_per_identity": 1001}, "images_per_identity"),
        ({"first_identity": 9999}, "first_identity"),
        ({"cameras": 10}, "cameras"),
    ],
)
def test_make_images_refuses_what_names_cannot_hold(arguments, name):
    with pytest.raises(ValueError, match=f"^{name} must be from"):
        synthetic.make_images(**{"seed": 0, "identities": 2, "images_per_identity": 2} | arguments)


def test_tiny_image_is_refused():
    image = synthetic.make_images(0, 1, 1)[0]
    with pytest.raises(ValueError, match="at least 8 pixels, got 64 x 4"):
        synthetic.render(image.foreground, image.background, image.pose, 64, 4)


def test_attributes_of_a_known_person():
    person = dataclasses.replace(
        synthetic.sample_foreground(rng(0)),
        hair_style="ponytail",
        hair_color=(28, 22, 20),
        hat=(200, 30, 30),
        upper=Garment("red", (200, 30, 30), (0, 0, 0), "plain", 0.1, 0.6),
        lower=Garment("blue", (30, 60, 200), (0, 0, 0), "plain", 0.1, 2.0),
        lower_kind="trousers",
        bag="backpack",
    )
    values = dict(zip(synthetic.ATTRIBUTE_FIELDS, synthetic.attributes(person), strict=True))
    expected = dict.fromkeys(synthetic.ATTRIBUTE_FIELDS, 1)
    yes = ("backpack", "upred", "downblue", "clothes", "up", "hair", "hat", "gender")
    assert values == expected | dict.fromkeys(yes, 2) | {"age": 3}


def test_attribute_values_are_in_range():
    values = np.stack(
        [synthetic.attributes(synthetic.sample_foreground(rng(seed))) for seed in range(100)]
    )
    assert values.shape == (100, 27)
    assert values.min() == 1 and values[:, 1:].max() == 2 and values[:, 0].max() == 4
    varied = values.min(axis=0) < values.max(axis=0)
    assert varied.sum() >= 24


def test_attribute_fields_follow_the_real_file(shared_dir):
    scipy_io = pytest.importorskip("scipy.io")
    path = shared_dir / "real" / "market1501" / "market_attribute.mat"
    if not path.is_file():
        pytest.skip(f"real attribute file absent: {path}")
    train = scipy_io.loadmat(path)["market_attribute"][0, 0]["train"][0, 0]
    assert train.dtype.names[:27] == synthetic.ATTRIBUTE_FIELDS


def test_an_interruption_arrives_wherever_it_comes():
    """NumPy loses some that come while it makes an array of strings."""
    sent, arrived = [], 0

    def stop(number, frame):
        sent.append(number)
        raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    previous = signal.signal(signal.SIGALRM, stop)
    try:
        for number in range(1000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-4 + number * 1e-7)
                while len(sent) == number:
                    synthetic.sample_foreground(rng)
            except KeyboardInterrupt:
                arrived += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert arrived == len(sent) == 1000
