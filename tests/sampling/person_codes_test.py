"""PersonCodes: what is kept together, replaced, and refused."""

import dataclasses

import numpy as np
import pytest

from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.person_codes import PersonCodes, concatenate

_RNG = np.random.default_rng(0)
_FOREGROUND, _BACKGROUND, _POSE = (_RNG.normal(size=(3, size)) for size in (7, 4, 2))
_KEYPOINTS = np.ones((3, 18, 3))


@pytest.fixture
def codes():
    return PersonCodes(foreground=_FOREGROUND, background=_BACKGROUND, keypoints=_KEYPOINTS)


def test_rows_are_float32_and_cannot_be_set(codes):
    assert len(codes) == 3 and codes.factors == ("foreground", "background", "pose")
    assert {values.dtype.name for values in codes.as_arrays().values()} == {"float32"}
    assert codes.code("foreground") is codes.foreground
    with pytest.raises(dataclasses.FrozenInstanceError):
        codes.foreground = _FOREGROUND


def test_arrays_and_back(codes):
    arrays = codes.as_arrays()
    assert list(arrays) == ["foreground", "background", "keypoints"]
    again = PersonCodes(**arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_nobody_is_known_without_a_field():
    nobody = PersonCodes()
    assert len(nobody) == 0 and nobody.factors == () and nobody.repeat(4).as_arrays() == {}


def test_take_and_repeat_keep_the_fields_together(codes):
    for found, rows in ((codes.take([2, 0]), [2, 0]), (codes.repeat(2), [0, 0, 1, 1, 2, 2])):
        for name, values in codes.as_arrays().items():
            np.testing.assert_array_equal(getattr(found, name), values[rows])


def test_a_mask_takes_those_where_it_is_true(codes):
    chosen = codes.take(np.arange(len(codes)) == 1)
    assert len(chosen) == 1
    np.testing.assert_array_equal(chosen.foreground, codes.foreground[1:2])


@pytest.mark.parametrize("rows", [[7], [0.7], [True], ["a"], None])
def test_rows_that_nobody_has_are_refused(codes, rows):
    with pytest.raises(SamplerError):
        codes.take(rows)


def test_a_new_pose_takes_the_place_of_either_form(codes):
    coded = codes.replace(pose=_POSE)
    assert coded.keypoints is None and coded.pose.shape == (3, 2)
    seen = coded.replace(keypoints=_KEYPOINTS)
    assert seen.pose is None and seen.keypoints.shape == (3, 18, 3)
    dressed = codes.replace(foreground=2 * _FOREGROUND)
    np.testing.assert_array_equal(dressed.foreground, 2 * codes.foreground)
    np.testing.assert_array_equal(dressed.keypoints, codes.keypoints)


def test_only_some_factors(codes):
    assert set(codes.only(["pose"]).as_arrays()) == {"keypoints"}
    assert set(codes.only(["background", "shoes"]).as_arrays()) == {"background"}


def test_concatenate_is_the_inverse_of_take(codes):
    joined = concatenate([codes.take([0]), codes.take([1, 2])])
    for name, values in codes.as_arrays().items():
        np.testing.assert_array_equal(getattr(joined, name), values)


@pytest.mark.parametrize("parts", [[], [{"pose": _POSE}, {"keypoints": _KEYPOINTS}]])
def test_concatenate_refuses(parts):
    with pytest.raises(SamplerError, match="cannot concatenate"):
        concatenate([PersonCodes(**part) for part in parts])


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"foreground": _FOREGROUND[0]}, "foreground"),
        ({"pose": np.float32(1)}, "pose"),
        ({"background": _BACKGROUND * np.nan}, "background"),
        ({"keypoints": _KEYPOINTS[:, :17]}, "keypoints"),
        ({"pose": _POSE, "keypoints": _KEYPOINTS}, "pose"),
        ({"foreground": _FOREGROUND, "background": _BACKGROUND[:2]}, "background"),
    ],
)
def test_refuses(fields, field):
    with pytest.raises(SamplerError) as caught:
        PersonCodes(**fields)
    assert caught.value.field == field


def test_names_what_is_not_known(codes):
    for factor in ("pose", "appearance", "shoes"):  # the pose is there, but not as its code
        with pytest.raises(SamplerError) as caught:
            codes.code(factor)
        assert caught.value.field == factor


def test_one_person():
    one = PersonCodes(pose=_POSE[:1])
    assert one.one() is one
    with pytest.raises(SamplerError, match="codes of one person, got 3"):
        PersonCodes(pose=_POSE).one()
