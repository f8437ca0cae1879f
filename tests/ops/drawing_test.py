"""What is drawn in NumPy has the bits of what TensorFlow draws."""

import subprocess
import sys

import numpy as np
import pytest

from dpig_tf2.ops import drawing, keypoints, pose_maps, regions

SIZES = [(128, 64), (256, 256), (17, 40)]


def poses(height, width, count=40):
    """Poses of which keypoints are missing, lie on whole pixels, and outside the image."""
    rng = np.random.default_rng(height)
    visible = rng.random((count, 18, 1)) < 0.8
    places = rng.uniform(-0.3, 1.3, (count, 18, 2)) * (height, width)
    places[: count // 2] = np.round(places[: count // 2])
    return np.concatenate([places * visible, visible], axis=-1).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [1, 4, 7, 10])
def test_masks(size, radius):
    given = poses(*size)
    expected = pose_maps.body_mask(given, *size, radius).numpy()[..., 0]
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(drawing.body_masks(given, *size, radius), expected > 0)
    fast = pose_maps.body_mask(given, *size, radius, "fast").numpy()[..., 0]
    np.testing.assert_array_equal(fast, expected)


@pytest.mark.parametrize("parts", [7, 37])
@pytest.mark.parametrize("rule", regions.BOX_RULES)
def test_boxes(rule, parts):
    for size in SIZES:
        given = poses(*size)
        expected = regions.part_boxes(given, *size, rule, parts)
        for ours, theirs in zip(
            drawing.part_boxes(given, *size, rule, parts), expected, strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_mirrored_keypoints():
    given = poses(128, 64)
    np.testing.assert_array_equal(drawing.mirrored(given, 64), keypoints.flip_horizontal(given, 64))


def test_nobody_draws_nothing():
    nobody = np.zeros((2, 18, 3), np.float32)
    assert not drawing.body_masks(nobody, 64, 32, 4).any()
    assert not pose_maps.body_mask(nobody, 64, 32, 4, "fast").numpy().any()


def test_tensorflow_is_not_loaded():
    program = "import sys, dpig_tf2.ops.drawing; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
