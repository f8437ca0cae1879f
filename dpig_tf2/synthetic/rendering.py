"""Factors to pixels."""

from __future__ import annotations

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.synthetic.factors import Background, Foreground, Pose
from dpig_tf2.synthetic.figure import figure
from dpig_tf2.synthetic.kinematics import SIDES, project, skeleton
from dpig_tf2.synthetic.scene import draw_scene
from dpig_tf2.synthetic.volumes import Canvas

# Everything is drawn this much larger and averaged down.
SUPERSAMPLING = 3
_SHADOW_DARKNESS = 0.5


def render(
    foreground: Foreground,
    background: Background,
    pose: Pose,
    height: int = 64,
    width: int = 32,
) -> np.ndarray:
    """The image of a person in a scene: a pure function of the three factors and the size.

    Pixels that the person covers fully do not depend on the background; pixels outside the person
    do not depend on the foreground.

    Args:
        foreground, background, pose: the factors.
        height, width: image size in pixels.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DpigError: if height or width is below 8.
    """
    canvas = _drawn(foreground, background, pose, height, width)
    return _averaged(canvas.colors)


def render_background(background: Background, height: int = 64, width: int = 32) -> np.ndarray:
    """The scene without person and shadow, uint8 [H, W, 3].

    Raises:
        DpigError: if height or width is below 8.
    """
    _check_size(height, width)
    return _averaged(draw_scene(background, SUPERSAMPLING * height, SUPERSAMPLING * width))


def foreground_coverage(
    foreground: Foreground, pose: Pose, height: int = 64, width: int = 32
) -> np.ndarray:
    """How much of each pixel the person covers, float32 [H, W] in [0, 1].

    Raises:
        DpigError: if height or width is below 8.
    """
    canvas = _drawn(foreground, None, pose, height, width)
    covered = np.isfinite(canvas.depth).astype(np.float32)
    size = SUPERSAMPLING
    return covered.reshape(height, size, width, size).mean(axis=(1, 3))


def foreground_mask(
    foreground: Foreground, pose: Pose, height: int = 64, width: int = 32
) -> np.ndarray:
    """The true silhouette, bool [H, W]: every pixel that the person touches.

    Raises:
        DpigError: if height or width is below 8.
    """
    return foreground_coverage(foreground, pose, height, width) > 0


def _drawn(
    foreground, background: Background | None, pose: Pose, height: int, width: int
) -> Canvas:
    """Person and scene, `SUPERSAMPLING` times too large; no scene: black."""
    _check_size(height, width)
    height, width = SUPERSAMPLING * height, SUPERSAMPLING * width
    body = skeleton(pose)
    if background is None:
        colors = np.zeros((height, width, 3), np.float32)
    else:
        colors = draw_scene(background, height, width)
        _cast_shadow(colors, pose, body)
    row, column = project(np.zeros(3), pose, height, width).tolist()
    canvas = Canvas(colors, height * pose.scale, (column, row))
    for volume, painter in figure(foreground, body):
        canvas.draw(volume, painter)
    return canvas


def _cast_shadow(colors: np.ndarray, pose: Pose, body) -> None:
    """Darkens the ground about the feet, in place; it knows the pose only."""
    height, width = colors.shape[:2]
    feet = np.stack([body.joints[f"{side}_{end}"] for side in SIDES for end in ("ankle", "toe")])
    spots = project(feet * (1.0, 0.0, 1.0), pose, height, width)
    # The camera looks down on the ground: what is nearer to it lies lower in the picture.
    center = spots.mean(axis=0) + (-0.15 * feet[:, 2].mean() * height, 0.02 * height)
    across = 0.07 * height * pose.scale + np.ptp(spots[:, 1]) / 2
    along = 0.028 * height * pose.scale
    # Beyond three radii nothing is left of it.
    top, bottom = (int(np.clip(center[0] + side * along, 0, height)) for side in (-3, 3))
    rows = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - center[0]) / along
    columns = (np.arange(width, dtype=np.float32) + 0.5 - center[1]) / across
    darkness = _SHADOW_DARKNESS * np.exp(-np.float32(rows**2)) * np.exp(-np.float32(columns**2))
    colors[top:bottom] *= 1.0 - darkness[:, :, None]


def _averaged(colors: np.ndarray) -> np.ndarray:
    height, width = (size // SUPERSAMPLING for size in colors.shape[:2])
    blocks = colors.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    columns = sum(blocks[:, :, :, i] for i in range(SUPERSAMPLING))
    mean = sum(columns[:, i] for i in range(SUPERSAMPLING)) / SUPERSAMPLING**2
    return np.clip(mean + 0.5, 0, 255).astype(np.uint8)


def _check_size(height: int, width: int) -> None:
    if height < 8 or width < 8:
        raise DpigError(f"height and width must be at least 8 pixels, got {height} x {width}")
