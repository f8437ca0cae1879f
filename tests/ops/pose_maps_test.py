import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from dpig_tf2.execution import IMPLEMENTATIONS
from dpig_tf2.ops import pose_maps
from dpig_tf2.ops.keypoints import LIMBS


def _pose(keypoints):
    """A batch of one pose [1, 18, 3] from {index: (row, column)}."""
    pose = np.zeros((1, 18, 3), np.float32)
    for index, (row, column) in keypoints.items():
        pose[0, index] = row, column, 1
    return pose


def _random_poses(count, height, width, seed):
    rng = np.random.default_rng(seed)
    visible = rng.random((count, 18, 1)) < 0.8
    coordinates = rng.uniform(0, 1, (count, 18, 2)) * (height, width) * visible
    return np.concatenate([coordinates, visible], axis=-1).astype(np.float32)


def test_pose_map_draws_a_disc_at_truncated_coordinates():
    drawn = pose_maps.pose_map(_pose({3: (5.9, 7.2)}), 12, 16, radius=1).numpy()
    expected = np.full((12, 16), -1.0)
    expected[[4, 5, 5, 5, 6], [7, 6, 7, 8, 7]] = 1.0
    np.testing.assert_array_equal(drawn[0, :, :, 3], expected)
    assert (np.delete(drawn, 3, axis=-1) == -1).all()
    assert drawn.dtype == np.float32


def test_pose_map_clips_at_the_border_and_truncates_toward_zero():
    drawn = pose_maps.pose_map(_pose({0: (0, 0), 1: (-0.9, 15)}), 12, 16, radius=1).numpy()
    assert np.argwhere(drawn[0, :, :, 0] > 0).tolist() == [[0, 0], [0, 1], [1, 0]]
    assert np.argwhere(drawn[0, :, :, 1] > 0).tolist() == [[0, 14], [0, 15], [1, 15]]


def test_pose_map_default_radius_is_inclusive():
    drawn = pose_maps.pose_map(_pose({0: (20, 20)}), 41, 41).numpy()[0, :, :, 0]
    assert drawn[20, 24] == drawn[16, 20] == 1 and drawn[20, 25] == -1
    assert (drawn > 0).sum() == 49  # lattice points within 4


def test_pose_map_equals_release(shared_dir):
    with np.load(shared_dir / "fixtures" / "tf1" / "m1_io.npz") as io:
        poses = io["in/pose_rcv_0"].reshape(-1, 18, 3)
        np.testing.assert_array_equal(pose_maps.pose_map(poses, 128, 64), io["out/pose"])


@pytest.mark.parametrize(("height", "width", "radius"), [(20, 12, 4), (9, 16, 1)])
def test_implementations_draw_the_same_pose_maps(height, width, radius):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-3, 22, (3, 18, 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(size=(3, 18)) < 0.7
    expected, drawn = (
        pose_maps.pose_map(keypoints, height, width, radius, implementation)
        for implementation in IMPLEMENTATIONS
    )
    assert set(np.unique(expected)) == {-1.0, 1.0}
    np.testing.assert_array_equal(drawn, expected)


def test_body_mask_of_one_short_limb_is_two_closed_discs():
    # Elbow to wrist, 3 pixels apart: shorter than the radius, so only the ends are drawn.
    mask = pose_maps.body_mask(_pose({3: (10, 10), 4: (10, 13)}), 24, 24, radius=4).numpy()
    rows, columns = np.mgrid[:24, :24]
    discs = ((rows - 10) ** 2 + (columns - 10) ** 2 <= 16) | (
        (rows - 10) ** 2 + (columns - 13) ** 2 <= 16
    )
    square = np.ones((5, 5))
    np.testing.assert_array_equal(mask[0, :, :, 0], ndimage.binary_closing(discs, square))


def test_body_mask_needs_both_ends_of_a_limb():
    assert not pose_maps.body_mask(_pose({3: (10, 10)}), 24, 24, radius=4).numpy().any()
    # Elbow and knee are both visible but no limb joins them.
    assert not pose_maps.body_mask(_pose({3: (10, 10), 9: (20, 10)}), 24, 24, 4).numpy().any()


@pytest.mark.parametrize("options", [("reference",), ("fast",), ("reference", True)])
def test_masks_of_nobody_have_the_size_of_masks(options):
    nobody = np.zeros((0, 18, 3), np.float32)
    assert pose_maps.body_mask(nobody, 24, 16, 4, *options).shape == (0, 24, 16, 1)


def _mask_by_loops(pose, height, width, radius):
    mask = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    for a, b in LIMBS:
        if pose[a, 2] and pose[b, 2]:
            start, stop = pose[a, :2].astype(float), pose[b, :2].astype(float)
            count = int(np.linalg.norm(stop - start) / radius)
            points = [start + (stop - start) * i / count for i in range(1, count)]
            for row, column in np.trunc([start, stop, *points]):
                mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    square = np.ones((5, 5))
    dilated = ndimage.binary_dilation(mask, square)
    return ndimage.binary_erosion(dilated, square, border_value=1)


@pytest.mark.parametrize("radius", [4, 7])
def test_body_mask_equals_loops(radius):
    poses = _random_poses(4, 64, 32, seed=radius)
    masks = pose_maps.body_mask(poses, 64, 32, radius).numpy()
    assert masks.shape == (4, 64, 32, 1) and masks.dtype == np.float32
    for pose, mask in zip(poses, masks, strict=True):
        np.testing.assert_array_equal(mask[..., 0], _mask_by_loops(pose, 64, 32, radius))


@pytest.mark.parametrize("key, radius", [("mask_r4_0", 4), ("mask_r6_0", 7), ("mask_r6_1", 7)])
def test_body_mask_equals_release(shared_dir, key, radius):
    with np.load(shared_dir / "fixtures" / "tf1" / "m1_io.npz") as io:
        poses = io[f"in/pose_rcv_{key[-1]}"].reshape(-1, 18, 3)
        np.testing.assert_array_equal(pose_maps.body_mask(poses, 128, 64, radius), io[f"in/{key}"])


@pytest.mark.parametrize(("height", "width", "radius"), [(64, 32, 4), (128, 64, 7), (9, 16, 1)])
def test_portable_body_masks_are_equal(height, width, radius):
    rng = np.random.default_rng(radius)
    poses = _random_poses(40, height, width, seed=radius)
    poses[20:, :, :2] = rng.uniform(-1, 2, (20, 18, 2)) * (height, width)  # also outside
    expected, found = (
        pose_maps.body_mask(poses, height, width, radius, portable=portable)
        for portable in (False, True)
    )
    np.testing.assert_array_equal(found, expected)


def test_portable_body_masks_of_whole_pixels_are_equal_but_where_float64_rounds_down():
    rng = np.random.default_rng(0)
    poses = np.ones((200, 18, 3), np.float32)
    poses[..., :2] = rng.integers(0, (128, 64), (200, 18, 2))
    expected, found = (
        pose_maps.body_mask(poses, 128, 64, 7, portable=portable).numpy()
        for portable in (False, True)
    )
    differ = (expected != found).any(axis=(1, 2, 3))
    assert differ.mean() < 0.1 and np.abs(expected - found).mean() < 1e-4


def test_batches_of_any_size_in_one_graph():
    graph = tf.function(
        lambda poses: (pose_maps.pose_map(poses, 64, 32, 2), pose_maps.body_mask(poses, 64, 32, 4)),
        input_signature=[tf.TensorSpec([None, 18, 3])],
    )
    poses = _random_poses(5, 64, 32, seed=0)
    for whole, single in zip(graph(poses), graph(poses[3:4]), strict=True):
        np.testing.assert_array_equal(whole[3:4], single)
    assert graph(poses)[1].shape.as_list() == [5, 64, 32, 1]


@pytest.mark.parametrize("function", [pose_maps.pose_map, pose_maps.body_mask])
def test_refuses_a_radius_below_one(function):
    with pytest.raises(ValueError, match="radius must be at least 1 pixel, got 0"):
        function(np.zeros((1, 18, 3)), 64, 32, radius=0)


def test_memory_does_not_grow_with_coordinates():
    """The discs on a limb are counted by its length, which is bounded."""
    far = _pose({2: (10, 10), 3: (1e9, -1e9), 4: (10, 1e30)})
    near = _pose({2: (10, 10), 3: (128, -32), 4: (10, 64)})
    np.testing.assert_array_equal(
        pose_maps.body_mask(far, 64, 32, 4), pose_maps.body_mask(near, 64, 32, 4)
    )
