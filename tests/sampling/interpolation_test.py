"""Paths between codes: exact ends, formulas, and through a model."""

import numpy as np
import pytest

from dpig_tf2.sampling import interpolation

_A, _B = np.random.default_rng(1).normal(size=(2, 7)).astype(np.float32)


@pytest.mark.parametrize("path", interpolation.PATHS)
def test_the_ends_are_the_codes_bit_for_bit(path):
    points = interpolation.blend(_A, _B, 5, path)
    assert points.shape == (5, 7) and points.dtype == np.float32
    np.testing.assert_array_equal(points[0], _A)
    np.testing.assert_array_equal(points[-1], _B)


def test_linear_is_the_straight_line():
    points = interpolation.blend(_A, _B, 5, "linear")
    np.testing.assert_allclose(points[1], 0.75 * _A + 0.25 * _B, rtol=1e-6)


def test_spherical_keeps_the_length_and_turns_evenly():
    points = interpolation.blend([3.0, 0.0], [0.0, 3.0], 4, "spherical")
    angles = np.radians([0, 30, 60, 90])
    np.testing.assert_allclose(points, 3 * np.c_[np.cos(angles), np.sin(angles)], atol=1e-6)


@pytest.mark.parametrize("end", [2 * _A, -_A, 0 * _A], ids=["parallel", "opposite", "zero"])
def test_spherical_without_an_angle_is_the_line(end):
    spherical = interpolation.blend(_A, end, 4, "spherical")
    np.testing.assert_allclose(spherical, interpolation.blend(_A, end, 4), atol=1e-6)


def test_an_angle_of_nothing_is_computed_without_a_warning():
    """Rounding takes the cosine of some vectors with themselves beyond 1."""
    for code in np.random.default_rng(0).normal(size=(20, 8)):
        with np.errstate(invalid="raise"):
            points = interpolation.blend(code, code, 3, "spherical")
        np.testing.assert_array_equal(points[1], np.float32(code))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((_A, _B, 1), "steps must be a whole number from 2 to .*, got 1"),
        ((_A, _B, 3, "cubic"), "path must be one of linear, spherical; got 'cubic'"),
        ((_A, _B[:3], 3), r"between shapes \(7,\) and \(3,\)"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        interpolation.blend(*arguments)
