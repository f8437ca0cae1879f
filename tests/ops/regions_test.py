import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.ops import regions


def _pose(keypoints):
    """A batch of one pose [1, 18, 3] from {index: (row, column)}."""
    pose = np.zeros((1, 18, 3), np.float32)
    for index, (row, column) in keypoints.items():
        pose[0, index] = row, column, 1
    return pose


def _boxes(keypoints, rule="market1501", height=128, width=64, parts=7):
    boxes, visibility = regions.part_boxes(_pose(keypoints), height, width, rule, parts)
    return boxes.numpy()[0], visibility.numpy()[0]


_WRISTS = {4: (60.7, 20.2), 7: (61, 40)}


def test_market_margins():
    elbow_and_wrist = _WRISTS | {3: (50.5, 18)}
    boxes, visibility = _boxes(elbow_and_wrist)
    # Right arm, two keypoints: grown by 6, then truncated. Left arm, one keypoint: by 10.
    np.testing.assert_array_equal(boxes[4], [44, 12, 66, 26])
    np.testing.assert_array_equal(boxes[3], [51, 30, 71, 50])
    np.testing.assert_array_equal(boxes[1], [44, 12, 67, 46])
    np.testing.assert_array_equal(visibility, [0, 1, 0, 1, 1, 0, 0])


def test_coordinates_just_below_a_whole_pixel_are_not_rounded_up():
    row = np.nextafter(np.float32(63), np.float32(0))  # + 10 would be 73 in float32
    boxes, _ = _boxes({4: (row, 20)})
    assert boxes[4].tolist() == [52, 10, 72, 30]


def test_invisible_parts_have_the_unit_box():
    boxes, visibility = _boxes({})
    np.testing.assert_array_equal(boxes, np.tile([0, 0, 1, 1], (7, 1)))
    assert not visibility.any()


def test_boxes_are_clipped_to_the_last_pixel():
    boxes, _ = _boxes({3: (2, 1), 4: (126.5, 63)})
    np.testing.assert_array_equal(boxes[4], [0, 0, 127, 63])


def test_deepfashion_margins_depend_on_framing():
    head = {0: (60, 100), 1: (90, 100)}
    whole_body = head | {13: (240, 90), 10: (240, 110)}
    boxes, _ = _boxes(whole_body, "deepfashion", 256, 256)
    np.testing.assert_array_equal(boxes[0], [60 - 10 - 10, 90, 100, 110])
    np.testing.assert_array_equal(boxes[5], [220, 70, 255, 110])  # one keypoint: 20
    boxes, _ = _boxes(head | {13: (240, 90)}, "deepfashion", 256, 256)  # one leg only: cropped
    np.testing.assert_array_equal(boxes[0], [60 - 25 - 20, 80, 110, 120])
    np.testing.assert_array_equal(boxes[5], [200, 50, 255, 130])


def test_lifted_nose_stays_in_the_image():
    boxes, _ = _boxes({0: (12, 100), 1: (90, 100)}, "deepfashion", 256, 256)
    assert boxes[0][0] == 0


def test_groups_are_those_of_the_records():
    assert len(regions.PART_GROUPS) == 37
    boxes, visibility = _boxes(_WRISTS, parts=37)
    alone = 17 + 4  # group of the right wrist alone
    np.testing.assert_array_equal(boxes[alone], [50, 10, 70, 30])
    assert visibility[alone] == 1 and visibility[17 + 5] == 0
    np.testing.assert_array_equal(boxes[:7], _boxes(_WRISTS)[0])


def test_boxes_equal_release(shared_dir):
    with np.load(shared_dir / "fixtures" / "tf1" / "m1_io.npz") as io:
        for side in "01":
            poses = io[f"in/pose_rcv_{side}"].reshape(-1, 18, 3)
            boxes, visibility = regions.part_boxes(poses, 128, 64, "market1501", 37)
            np.testing.assert_array_equal(boxes, io[f"in/part_bbox_{side}"])
            np.testing.assert_array_equal(visibility, io[f"in/part_vis_{side}"])


def test_part_boxes_refuses_bad_arguments():
    with pytest.raises(ValueError, match="box rule must be one of market1501, deepfashion"):
        regions.part_boxes(_pose({}), 128, 64, "market")
    with pytest.raises(ValueError, match=r"parts must be in 1\.\.37, got 38"):
        regions.part_boxes(_pose({}), 128, 64, "market1501", parts=38)


# ---- crops

_RNG = np.random.default_rng(0)
_FEATURES = _RNG.normal(size=(2, 16, 12, 3)).astype(np.float32)
_BOXES = np.array(
    [[[0, 0, 15, 11], [3, 2, 9, 10], [0, 0, 1, 1]], [[5, 5, 15, 6], [2, 0, 2, 11], [7, 1, 8, 9]]],
    np.float32,
)


# The two ways on CPU: `tf.image.crop_and_resize`, and products, which XLA compiles.
_WAYS = [("reference", False), ("fast", True)]


@pytest.mark.parametrize("way", _WAYS)
def test_crop_samples_the_released_grid(way):
    """Edges divided by H and W, but sampled on a grid scaled by H - 1 and W - 1."""
    ramp = np.tile(np.arange(16.0, dtype=np.float32)[None, :, None, None], (1, 1, 12, 1))
    crops = regions.crop_regions(ramp, np.array([[[4, 0, 12, 11]]], np.float32), 3, *way)
    expected = np.array([4, 8, 12]) / 16 * 15
    np.testing.assert_allclose(crops[0, 0, :, 0, 0], expected, rtol=1e-6)


def test_implementations_of_crops_are_equal_in_values_and_gradients():
    results = []
    for way in _WAYS:
        features = tf.constant(_FEATURES)
        with tf.GradientTape() as tape:
            tape.watch(features)
            crops = regions.crop_regions(features, _BOXES, 5, *way)
            loss = tf.reduce_sum(tf.sin(crops))
        results.append([crops, tape.gradient(loss, features)])
    assert results[1][0].shape == (2, 3, 5, 5, 3)
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("side", [48, 112, 160])
def test_crops_are_equal_where_boxes_reach_the_edge_or_beyond(side):
    features = np.ones((1, side, side, 1), np.float32)
    edges = np.arange(side, dtype=np.float32)
    boxes = [(edge, 0, side, side) for edge in edges] + [(0, 0, edge, side + 3) for edge in edges]
    boxes += [(-4, edge, side / 2, side) for edge in edges]
    expected, found = (
        regions.crop_regions(features, np.array([boxes], np.float32), 7, *way) for way in _WAYS
    )
    assert 0 < np.mean(expected == 0) < 0.5
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_fast_crops_depend_on_device_and_compiler(monkeypatch):
    used = []
    monkeypatch.setattr(regions, "_crop_and_resize", lambda *_: used.append("library"))
    monkeypatch.setattr(regions, "_crop_by_products", lambda *_: used.append("products"))

    def way(*arguments):
        regions.crop_regions(_FEATURES, _BOXES, 5, *arguments)
        return used.pop()

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert (way("fast"), way("fast", True), way("reference")) == ("library", "products", "library")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert (way("fast"), way("reference")) == ("products", "library")


def test_crops_compile_under_xla():
    compiled = tf.function(
        lambda features: regions.crop_regions(features, _BOXES, 5, jit_compile=True),
        jit_compile=True,
    )
    expected = regions.crop_regions(_FEATURES, _BOXES, 5)
    np.testing.assert_allclose(compiled(tf.constant(_FEATURES)), expected, atol=1e-5)


def test_crop_refuses_bad_arguments():
    with pytest.raises(ValueError, match="crop size must be at least 2, got 1"):
        regions.crop_regions(_FEATURES, _BOXES, 1)
    with pytest.raises(ValueError, match="must be one of reference, fast; got 'nearest'"):
        regions.crop_regions(_FEATURES, _BOXES, 5, "nearest")
