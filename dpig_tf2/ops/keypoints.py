"""Keypoint order, limbs and coordinate conversions.

A pose is float32 [..., K, 3] with K = 18: (row, column, visibility). Rows and columns are pixels
with the origin at the top left; visibility is 0 or 1; a missing keypoint is (0, 0, 0).

TensorFlow is imported where it is needed: the conversion of records uses this module without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# OpenPose COCO-18; "right" is the person's own right side.
KEYPOINT_NAMES = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)
NUM_KEYPOINTS = len(KEYPOINT_NAMES)

# How far outside the image a coordinate is still meant, in image sizes. A person whom the frame
# cuts off, or whom a crop magnifies, reaches about as far again beyond it; what lies farther is not
# in pixels of this image, and drawing up to there takes memory and time for nothing.
FAR_OUTSIDE = 1.0

# Pairs of 0-based keypoints whose connecting line the body mask covers.
LIMBS = tuple(
    (a - 1, b - 1)
    for a, b in (
        (2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12),
        (12, 13), (13, 14), (2, 1), (1, 15), (15, 17), (1, 16), (16, 18), (2, 17), (2, 18),
        (9, 12), (12, 6), (9, 3), (17, 18),
    )
)  # fmt: skip

# Where each keypoint's mirror image is found, e.g. left wrist <-> right wrist.
MIRRORED = tuple(
    KEYPOINT_NAMES.index(
        name.replace("right", "left") if "right" in name else name.replace("left", "right")
    )
    for name in KEYPOINT_NAMES
)


def is_outside(keypoints, height: int, width: int):
    """Which keypoints have their pixel outside the image, whether visible or not.

    A pixel is found by truncation toward zero, so that coordinates in (-1, size) are inside.

    Args:
        keypoints: float [..., 18, 2 or 3], pixels; a NumPy array or a tensor.
        height, width: image size in pixels.

    Returns:
        bool [..., 18] of the same kind; True where a coordinate is NaN.
    """
    row, column = keypoints[..., 0], keypoints[..., 1]
    return ~((row > -1) & (row < height) & (column > -1) & (column < width))


def is_far_outside(keypoints, height: int, width: int):
    """Which keypoints lie more than `FAR_OUTSIDE` image sizes outside; as `is_outside`."""
    row, column = keypoints[..., 0], keypoints[..., 1]
    row_margin, column_margin = FAR_OUTSIDE * height, FAR_OUTSIDE * width
    return ~(
        (row >= -row_margin)
        & (row <= height + row_margin)
        & (column >= -column_margin)
        & (column <= width + column_margin)
    )


def normalize(keypoints, height: int, width: int) -> tf.Tensor:
    """Maps pixel keypoints to [-1, 1]: row / height * 2 - 1, column / width * 2 - 1.

    Args:
        keypoints: float32 [..., 18, 3], pixels.
        height, width: image size in pixels.

    Returns:
        float32 [..., 18, 3]; visibility unchanged. A missing keypoint becomes (-1, -1, 0).
    """
    import tensorflow as tf

    row, column, visibility = tf.unstack(tf.cast(keypoints, tf.float32), axis=-1)
    return tf.stack([row / height * 2.0 - 1.0, column / width * 2.0 - 1.0, visibility], axis=-1)


def denormalize(keypoints, height: int, width: int) -> tf.Tensor:
    """Maps normalized keypoints back to pixels, clamped to [0, size - 1] and not truncated.

    Args:
        keypoints: float32 [..., 18, 3]; rows and columns in [-1, 1] units, possibly outside.
        height, width: image size in pixels.

    Returns:
        float32 [..., 18, 3], pixels; visibility unchanged.
    """
    import tensorflow as tf

    row, column, visibility = tf.unstack(tf.cast(keypoints, tf.float32), axis=-1)
    row = tf.clip_by_value((row + 1.0) / 2.0 * height, 0.0, height - 1.0)
    column = tf.clip_by_value((column + 1.0) / 2.0 * width, 0.0, width - 1.0)
    return tf.stack([row, column, visibility], axis=-1)


def flip_horizontal(keypoints, width: int) -> tf.Tensor:
    """Keypoints of the mirrored image: columns reflected, left and right exchanged.

    Args:
        keypoints: float32 [..., 18, 3], pixels.
        width: image width in pixels.

    Returns:
        float32 [..., 18, 3], pixels; missing keypoints stay (0, 0, 0).
    """
    import tensorflow as tf

    row, column, visibility = tf.unstack(
        tf.gather(tf.cast(keypoints, tf.float32), MIRRORED, axis=-2), axis=-1
    )
    column = tf.where(visibility > 0.5, width - 1.0 - column, column)
    return tf.stack([row, column, visibility], axis=-1)
