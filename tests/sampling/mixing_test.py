"""Region codes of different persons put together."""

import re

import numpy as np
import pytest

from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.sampling import mixing
from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.person_codes import PersonCodes

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


@pytest.mark.parametrize("donor", [_DONOR[:2], _DONOR[:, :7], _DONOR[0]])
def test_refuses_donors_of_another_shape(donor):
    shapes = f"donor of legs have shape {list(donor.shape)}, those of the base [3, 14]"
    with pytest.raises(SamplerError, match=re.escape(shapes)) as caught:
        mixing.mix_regions(_BASE, {"legs": donor})
    assert caught.value.field == "legs"


def test_refuses_differently_many_persons():
    base, donor = (PersonCodes(foreground=c, background=c) for c in (_BASE, _DONOR))
    for few in (2, 1):
        with pytest.raises(SamplerError, match="donor of head have shape"):
            mixing.mix_codes(base, {"head": donor.take(range(few))})
        with pytest.raises(SamplerError, match="background have shape") as caught:
            mixing.mix_codes(base, {}, donor.take(range(few)))
        assert caught.value.field == "background"


def test_refuses_an_unknown_region():
    with pytest.raises(SamplerError, match="region must be one of head, .*; got 'hat'"):
        mixing.mix_regions(_BASE, {"hat": _DONOR})
