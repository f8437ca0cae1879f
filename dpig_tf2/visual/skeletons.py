"""Drawings of poses."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from dpig_tf2.errors import DpigError
from dpig_tf2.io.images import as_rgb

# Pairs of keypoints (COCO-18 order) joined in a pose drawing, from the neck outward.
BONES = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip


def pose_picture(
    keypoints: np.ndarray, height: int, width: int, background: np.ndarray | None = None
) -> np.ndarray:
    """A colored drawing of a pose: a line for each bone, a dot for each visible keypoint.

    Args:
        keypoints: float [18, 3], pixels (row, column, visibility); invisible ones are left out.
        height, width: size in pixels.
        background: uint8 [H, W, 3] to draw on; black without one.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DpigError: if keypoints or background have another shape.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.shape != (18, 3):
        raise DpigError(f"keypoints must be [18, 3], got {list(keypoints.shape)}")
    if background is None:
        background = np.zeros((height, width, 3), np.uint8)
    background = as_rgb(background)
    if background.shape != (height, width, 3):
        raise DpigError(f"background must be [{height}, {width}, 3], got {list(background.shape)}")
    # Drawn four times too large and averaged, so that thin slanted lines stay smooth.
    size = 4
    large = Image.fromarray(background).resize((size * width, size * height), Image.Resampling.BOX)
    draw = ImageDraw.Draw(large)
    radius = size * max(0.9, height / 90)
    spots = [((c + 0.5) * size, (r + 0.5) * size) for r, c, _ in keypoints]
    seen = keypoints[:, 2] > 0.5
    for index, (a, b) in enumerate(BONES):
        if seen[a] and seen[b]:
            draw.line([spots[a], spots[b]], fill=_rainbow(index, len(BONES)), width=round(radius))
    for index in np.flatnonzero(seen):
        x, y = spots[index]
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_rainbow(index, 18))
    return np.asarray(large.reduce(size))


def _rainbow(index: int, count: int) -> tuple[int, int, int]:
    rgb = colorsys.hsv_to_rgb(index / count * 0.9, 0.95, 1.0)
    return tuple(round(255 * channel) for channel in rgb)
