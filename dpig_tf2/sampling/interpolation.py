"""Paths between two codes or two noise vectors, and the persons on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.sampling.checks import check_whole_number
from dpig_tf2.sampling.person_codes import PersonCodes

if TYPE_CHECKING:
    from dpig_tf2.sampling.sampler import PersonSampler

PATHS = ("linear", "spherical")
_NO_ANGLE = 1e-6  # sine of the angle below which a great circle is not defined


def codes_between(
    sampler: "PersonSampler",
    start: PersonCodes,
    end: PersonCodes,
    steps: int = 9,
    factors: Sequence[str] | None = None,
    path: str = "linear",
) -> PersonCodes:
    """Persons on the way from one to another, straight from code to code.

    Args:
        sampler: encodes poses that are given as keypoints.
        start, end: one person each.
        steps: number of persons, both ends included.
        factors: those that change, all by default; the others stay at `start`. A pose that changes
            does so in its embedding, and is so encoded and decoded.
        path: "linear" or "spherical", see `blend`.
    """
    factors = sampler.config.model.known_factors(factors)
    if "pose" in factors:
        start, end = sampler.encode_poses(start), sampler.encode_poses(end)
    start, end = start.one(), end.one()
    ways = {f: blend(start.code(f)[0], end.code(f)[0], steps, path) for f in factors}
    return start.repeat(steps).replace(**ways)


def codes_between_noise(
    sampler: "PersonSampler",
    start: Mapping[str, np.ndarray],
    end: Mapping[str, np.ndarray],
    held: PersonCodes,
    steps: int = 9,
    path: str = "spherical",
) -> PersonCodes:
    """Persons on the way from one noise vector to another, through the mapping networks.

    Args:
        sampler: with the mapping networks.
        start, end: {factor: noise [1, E]} of the factors that change.
        held: one person who gives the other factors.
        steps: number of persons, both ends included.
        path: "linear" or "spherical"; the latter keeps the length that Gaussian noise has.
    """
    factors = sampler.config.model.known_factors(start)
    ways = {f: blend(start[f][0], end[f][0], steps, path) for f in factors}
    mapped = {factor: sampler.map_noise(way, factor) for factor, way in ways.items()}
    return held.one().repeat(steps).replace(**mapped)


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
        DpigError: if steps < 2, the path is unknown or the shapes differ.
    """
    check_whole_number("steps", steps, 2, 2**31 - 1)
    if not isinstance(path, str) or path not in PATHS:
        raise DpigError(f"path must be one of {', '.join(PATHS)}; got {str(path)[:99]!r}")
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if start.ndim != 1 or start.shape != end.shape:
        raise DpigError(f"cannot interpolate between shapes {start.shape} and {end.shape}")
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
