import numpy as np
import pytest

from dpig_tf2.ops import anchors
from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, MIRRORED, flip_horizontal

_SIZE = (128, 64)


def _hidden(keypoints, *names):
    keypoints = keypoints.copy()
    keypoints[:, [KEYPOINT_NAMES.index(name) for name in names]] = 0
    return keypoints


def _of_region(name):
    first = np.cumsum((0, *anchors.ANCHORS_PER_REGION))[REGION_NAMES.index(name)]
    return slice(first, first + anchors.ANCHORS_PER_REGION[REGION_NAMES.index(name)])


def test_anchors_lie_on_their_limbs(standing):
    places, known = anchors.anchors(standing)
    assert known.numpy().all()
    arm = places[0, _of_region("right_arm")].numpy()
    np.testing.assert_allclose(arm[0], (31 + 0.15 * 14, 24 - 0.15 * 2), atol=1e-4)
    np.testing.assert_allclose(arm[-1], (58, 22), atol=1e-4)
    leg = places[0, _of_region("left_leg")].numpy()
    np.testing.assert_allclose(leg[[0, -1]], [(62 + 0.35 * 26, 37), (114, 37)], atol=1e-4)
    thighs = places[0, _of_region("legs")].numpy()[-2:]
    np.testing.assert_allclose(thighs, [(62 + 0.3 * 26, 27), (62 + 0.3 * 26, 37)], atol=1e-4)


def test_an_anchor_is_known_if_all_its_points_are(standing):
    _, known = anchors.anchors(_hidden(standing, "right_wrist"))
    assert known[0, _of_region("right_arm")].numpy().tolist() == [1, 1, 0, 0]
    assert known.numpy().sum() == anchors.NUM_ANCHORS - 2


def test_a_hidden_face_is_above_the_neck(standing):
    face = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
    places, known = anchors.anchors(_hidden(standing, *face))
    head = _of_region("head")
    assert known[0, head].numpy().all()
    np.testing.assert_allclose(places[0, head][2], (30 - 0.35 * 32, 32), atol=1e-4)
    _, known = anchors.anchors(_hidden(standing, *face, "neck"))
    assert not known[0, head].numpy().any()


def test_one_hip_stands_for_both(standing):
    _, known = anchors.anchors(_hidden(standing, "left_hip"))
    assert known[0, _of_region("legs")][0] == 1


def test_texels_lie_in_rows_on_the_torso(standing):
    places, known = anchors.texels(standing)
    assert known.numpy().all()
    ends = np.cumsum(list(anchors.TEXELS_OF_REGION.values()))
    names = [REGION_NAMES[region] for region in anchors.TEXELS_OF_REGION]
    of_region = dict(zip(names, np.split(places[0], ends), strict=False))
    rows, columns = of_region["upper_body"].T
    np.testing.assert_allclose(rows[:5], 31 - 0.02 * 31, atol=1e-3)
    np.testing.assert_allclose(
        columns[:5], 24 + 16 * np.array([-0.15, 0.18, 0.5, 0.82, 1.15]), atol=0.1
    )
    np.testing.assert_allclose(rows[-5:], 31 + (8 / 8.5 - 0.02) * 31, atol=1e-3)
    skirt = 31 + 1.05 * 31
    np.testing.assert_allclose(of_region["legs"][:3, 0], skirt, atol=1e-3)
    assert (np.diff(of_region["legs"][:3, 1]) > 4).all(), "from the right side to the left"


def test_the_middle_stands_for_a_hidden_shoulder_and_hip(standing):
    hidden = _hidden(standing, "left_shoulder", "left_hip")
    places, known = anchors.texels(hidden)
    torso = slice(0, 45)
    assert known[0, torso].numpy().all()
    assert places[0, torso][4, 1].numpy() == pytest.approx(24 + 1.15 * (32 - 24), abs=0.5)
    _, known = anchors.texels(_hidden(hidden, "neck"))
    assert not known[0, torso].numpy().any()


def test_maps_of_texels_tell_rows_from_each_other(standing):
    maps = anchors.BodyMaps(standing, *_SIZE, with_texels=True).of_texels((64, 32)).numpy()[0]
    places, _ = anchors.texels(standing)
    for i in (12, 17):  # next to each other on the middle of the torso
        found = np.unravel_index(maps[..., i].argmax(), (64, 32))
        assert abs(found[0] * 2 + 0.5 - places[0, i, 0]) <= 1.01
    row = tuple(np.round((places[0, 12].numpy() - 0.5) / 2).astype(int))
    assert maps[(*row, 17)] < 0.5 * maps[(*row, 12)]


def test_maps_are_highest_at_their_anchor_and_zero_where_unknown(standing):
    places, _ = anchors.anchors(standing)
    maps = anchors.BodyMaps(standing, *_SIZE).of_anchors((64, 32)).numpy()[0]
    for i, (row, column) in enumerate(places[0].numpy()):
        found = np.unravel_index(maps[..., i].argmax(), (64, 32))
        assert abs(found[0] * 2 + 0.5 - row) <= 1.01
        assert abs(found[1] * 2 + 0.5 - column) <= 1.01
    maps = anchors.BodyMaps(_hidden(standing, "right_wrist"), *_SIZE).of_anchors((16, 8)).numpy()
    assert not maps[..., _of_region("right_arm")][..., -1].any()


def test_maps_hold_no_numbers_that_slow_processors_down(standing):
    maps = anchors.BodyMaps(standing * (0.3, 0.3, 1), *_SIZE).of_anchors((64, 32)).numpy()
    assert 0 < maps[maps > 0].min() < 1e-20
    assert maps[maps > 0].min() > 1e-30, "float32 loses digits below 1.2e-38"


def test_maps_grow_with_the_person(standing):
    near = anchors.BodyMaps(standing, *_SIZE).of_anchors((64, 32)).numpy().sum(axis=(1, 2))
    smaller = standing * (0.5, 0.5, 1)
    far = anchors.BodyMaps(smaller, *_SIZE).of_anchors((64, 32)).numpy().sum(axis=(1, 2))
    ratio = near[0, _of_region("upper_body")] / far[0, _of_region("upper_body")]
    np.testing.assert_allclose(ratio, 4, rtol=0.15)


def test_torso_is_usual_where_it_is_not_seen(standing):
    lengths = anchors.torso(np.concatenate([standing, _hidden(standing, "neck")]), 128)
    np.testing.assert_allclose(lengths, [32, 32], atol=0.1)
    assert anchors.torso(np.zeros((1, 18, 3), np.float32), 128).numpy() == 32


def test_mirrored_keypoints_make_mirrored_maps(standing):
    plain = anchors.BodyMaps(standing, *_SIZE).of_keypoints((32, 16)).numpy()
    mirrored = (
        anchors.BodyMaps(flip_horizontal(standing, 64), *_SIZE).of_keypoints((32, 16)).numpy()
    )
    np.testing.assert_allclose(mirrored[:, :, ::-1][..., MIRRORED], plain, atol=1e-5)


def test_the_head_is_the_middle_of_what_is_seen_of_the_face(standing):
    places, _ = anchors.anchors(_hidden(standing, "nose", "left_ear"))
    middle = places[0, _of_region("head")][2]
    np.testing.assert_allclose(middle, ((18 + 18 + 19) / 3, (30 + 34 + 28) / 3), atol=1e-4)


def test_without_face_and_hips_the_head_is_unknown_and_so_at_zero(standing):
    face = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
    places, known = anchors.anchors(_hidden(standing, *face, "right_hip", "left_hip"))
    beyond_the_neck = slice(1, _of_region("head").stop)
    assert not known[0, beyond_the_neck].numpy().any()
    assert not places[0, beyond_the_neck].numpy().any()


def test_no_disc_falls_between_the_cells_of_a_coarse_grid(standing):
    body = anchors.BodyMaps(standing, *_SIZE, with_texels=True)
    for grid in ((8, 4), (8, 8)):
        maps = body.of_texels(grid).numpy()[0]
        assert maps.max(axis=(0, 1)).min() > 0.45


def test_discs_are_as_wide_as_a_share_of_the_torso(standing):
    maps = anchors.BodyMaps(standing, *_SIZE).of_keypoints(_SIZE).numpy()[0]
    neck = maps[30, :, KEYPOINT_NAMES.index("neck")]
    np.testing.assert_allclose(neck[[32, 35, 39]], np.exp(-0.5 * (np.array([0, 3, 7]) / 3.2) ** 2))
    head = anchors.BodyMaps(standing, *_SIZE).of_anchors(_SIZE).numpy()[0, 30, :, 0]
    expected = np.exp(-0.5 * (np.array([0, 3, 7]) / (0.16 * 32)) ** 2)
    np.testing.assert_allclose(head[[32, 35, 39]], expected, rtol=1e-5)


def test_no_torso_is_shorter_than_is_believed(standing):
    lying = standing * (0.01, 1, 1)
    np.testing.assert_allclose(anchors.torso(lying, 128), 0.08 * 128)
