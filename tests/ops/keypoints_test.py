import numpy as np
import tensorflow as tf

from dpig_tf2.ops import keypoints as ops


def _pose(**visible):
    """A pose [18, 3] with the named keypoints at (row, column)."""
    pose = np.zeros((18, 3), np.float32)
    for name, (row, column) in visible.items():
        pose[ops.KEYPOINT_NAMES.index(name)] = row, column, 1
    return pose


def test_normalize_scales_each_axis_by_its_size():
    pose = _pose(nose=(0, 0), neck=(64, 48), left_ear=(128, 64))
    normalized = ops.normalize(pose, 128, 64).numpy()
    np.testing.assert_array_equal(normalized[0], [-1, -1, 1])
    np.testing.assert_array_equal(normalized[1], [0, 0.5, 1])
    np.testing.assert_array_equal(normalized[17], [1, 1, 1])
    np.testing.assert_array_equal(normalized[5], [-1, -1, 0])


def test_denormalize_inverts_and_clamps():
    pose = np.random.default_rng(0).uniform(0, 63, (4, 18, 3)).astype(np.float32)
    back = ops.denormalize(ops.normalize(pose, 128, 64), 128, 64)
    np.testing.assert_allclose(back, pose, atol=1e-5)
    outside = np.array([[1.5, -1.25, 1.0], [1.0, 1.0, 0.0]], np.float32)
    clamped = ops.denormalize(outside, 128, 64).numpy()
    np.testing.assert_array_equal(clamped, [[127, 0, 1], [127, 63, 0]])


def test_denormalize_does_not_truncate():
    row = ops.denormalize(np.array([[0.01, 0.0, 1.0]], np.float32), 128, 64).numpy()[0, 0]
    np.testing.assert_allclose(row, 64.64, atol=1e-4)


def test_flip_exchanges_the_sides_and_keeps_missing_keypoints():
    flipped = ops.flip_horizontal(_pose(right_wrist=(30, 10), nose=(5, 31.5)), 64).numpy()
    np.testing.assert_array_equal(flipped, _pose(left_wrist=(30, 53), nose=(5, 31.5)))


def test_flip_twice_changes_nothing():
    rng = np.random.default_rng(1)
    visible = rng.random((3, 18, 1)) < 0.7
    pose = np.concatenate([rng.integers(0, 64, (3, 18, 2)) * visible, visible], axis=-1)
    pose = pose.astype(np.float32)
    twice = ops.flip_horizontal(ops.flip_horizontal(pose, 64), 64)
    np.testing.assert_array_equal(twice, pose)


def test_limbs_join_neighboring_keypoints():
    names = {tuple(ops.KEYPOINT_NAMES[k] for k in limb) for limb in ops.LIMBS}
    assert len(names) == len(ops.LIMBS) == 23
    for limb in (
        ("neck", "right_shoulder"),
        ("left_elbow", "left_wrist"),
        ("right_knee", "right_ankle"),
        ("nose", "left_eye"),
        ("left_hip", "left_shoulder"),
        ("right_ear", "left_ear"),
    ):
        assert limb in names, limb


def test_any_leading_axes_in_graphs():
    graph = tf.function(
        lambda x: ops.denormalize(ops.normalize(x, 128, 64), 128, 64),
        input_signature=[tf.TensorSpec([None, None, 18, 3])],
    )
    assert graph(tf.zeros([2, 5, 18, 3])).shape == (2, 5, 18, 3)
