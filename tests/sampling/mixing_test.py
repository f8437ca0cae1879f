"""Region codes of different persons put together."""

import numpy as np
import pytest

from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.sampling import mixing
from dpig_tf2.sampling.checks import SamplerError

_BASE, _DONOR = np.random.default_rng(0).normal(size=(2, 3, 14)).astype(np.float32)


def test_a_region_is_its_slice_of_the_code():
    mixed = mixing.mix_regions(_BASE, {"legs": _DONOR})
    expected = _BASE.copy()
    expected[:, 4:6] = _DONOR[:, 4:6]  # the third of seven regions, two numbers each
    np.testing.assert_array_equal(mixed, expected)


def test_a_garment_is_several_regions():
    mixed = mixing.mix_regions(_BASE, {"lower_garment": _DONOR})
    changed = (mixed != _BASE).all(axis=0).reshape(7, 2).all(axis=1)
    assert [name for name, c in zip(REGION_NAMES, changed, strict=True) if c] == [
        "legs", "left_leg", "right_leg",
    ]  # fmt: skip


def test_all_regions_of_one_person_are_that_person():
    mixed = mixing.mix_regions(_BASE, dict.fromkeys(REGION_NAMES, _DONOR))
    np.testing.assert_array_equal(mixed, _DONOR)


def test_nothing_is_changed_in_place():
    before = _BASE.copy()
    mixing.mix_regions(_BASE, {"head": _DONOR})
    np.testing.assert_array_equal(_BASE, before)


def test_an_invisible_region_has_a_zero_code():
    code = _BASE.copy()
    code[1, 4:6] = 0
    assert mixing.has_regions(code, ["legs"]).tolist() == [True, False, True]
    assert mixing.has_regions(code, ["lower_garment"]).all()  # single legs are still visible


def test_refuses_an_unknown_region():
    with pytest.raises(SamplerError, match="region must be one of head, .*; got 'hat'"):
        mixing.mix_regions(_BASE, {"hat": _DONOR})
