"""Paths between two codes or two noise vectors."""

import numpy as np

PATHS = ("linear", "spherical")
_NO_ANGLE = 1e-6  # sine of the angle below which a great circle is not defined


def blend(start, end, steps: int, path: str = "linear") -> np.ndarray:
    """Points from `start` to `end`; the first and the last are these themselves, bit for bit.

    Args:
        start, end: float [E].
        steps: number of points, both ends included.
        path: "linear", the straight line; "spherical", sin((1 - t) a) / sin(a) * start +
            sin(t a) / sin(a) * end with the angle a between them, which keeps the length that
            Gaussian noise has. Where the two point the same or opposite ways it is the line.

    Returns:
        float32 [steps, E].

    Raises:
        ValueError: if steps < 2, the path is unknown or the shapes differ.
    """
    if steps < 2:
        raise ValueError(f"an interpolation has at least 2 steps, got {steps}")
    if path not in PATHS:
        raise ValueError(f"path must be one of {', '.join(PATHS)}; got {path!r}")
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(f"cannot interpolate between shapes {start.shape} and {end.shape}")
    fraction = np.linspace(0.0, 1.0, steps)[:, None]
    angle = _angle(start, end)
    if path == "spherical" and np.sin(angle) > _NO_ANGLE:
        weights = np.sin((1 - fraction) * angle), np.sin(fraction * angle)
        start_weight, end_weight = (weight / np.sin(angle) for weight in weights)
    else:
        start_weight, end_weight = 1 - fraction, fraction
    return (start_weight * start + end_weight * end).astype(np.float32)


def _angle(start, end):
    """Angle between two vectors in radians; 0 if one of them is zero."""
    length = np.linalg.norm(start) * np.linalg.norm(end)
    return np.arccos(np.clip(start @ end / length, -1.0, 1.0)) if length else 0.0
