"""Arguments that are no arrays of numbers, or no whole numbers, are refused by name."""

import numpy as np
import pytest

from dpig_tf2 import config
from dpig_tf2.sampling import checks
from dpig_tf2.sampling.checks import SamplerError


@pytest.mark.parametrize(
    "values",
    [None, "x", ["1", "2"], [[1.0], [1.0, 2.0]], {}, np.ones(2, complex), np.array([None, 1])],
)
def test_what_is_no_array_of_numbers_is_refused(values):
    with pytest.raises(SamplerError, match="code must hold numbers") as caught:
        checks.check_array("code", values, (None,))
    assert caught.value.field == "code"


@pytest.mark.parametrize("value", [0, -1, 1.0, "2", None, np.ones(3), 2**31, float("nan")])
def test_a_count_is_a_whole_number_above_0(value):
    with pytest.raises(SamplerError, match="count must be a whole number from 1") as caught:
        checks.check_count(value)
    assert caught.value.field == "count" and "\n" not in str(caught.value)


def test_whole_numbers_of_any_kind_are_taken():
    checks.check_count(np.int32(3))
    checks.check_seed(-5)
    checks.check_seed(2**31 - 1)
    for seed in (2**31, 2**32, -(2**31) - 1):
        with pytest.raises(SamplerError, match="seed must be a whole number"):
            checks.check_seed(seed)


def test_numbers_that_networks_make_infinite_ones_of_are_refused():
    assert checks.check_array("code", [[-1e6]], (None, 1)) == [[-1e6]]
    for value in (1.1e6, -1.1e6, 1e300):
        with pytest.raises(SamplerError) as refused:
            checks.check_array("code", [[0.0, value]], (None, 2))
        assert refused.value.field == "code"


@pytest.mark.parametrize(
    ("boxes", "visibility", "field"),
    [
        ((0, 0, 9, 4), 1, None),
        ((0, 0, 9, 4), 0.5, "part_visibility"),
        ((0, 0, 48, 4), 1, "part_boxes"),
        ((0, -1, 9, 4), 1, "part_boxes"),
        ((9, 0, 0, 4), 1, "part_boxes"),
    ],
)
def test_parts_obey_the_rules_of_records(boxes, visibility, field):
    model = config.preset("synthetic").model  # of 48 x 24 pixels
    given = np.broadcast_to(boxes, (2, 7, 4)), np.full((2, 7), visibility)
    if field is None:
        assert len(checks.check_parts(model, 2, None, *given)) == 2
        return
    with pytest.raises(SamplerError, match=field) as caught:
        checks.check_parts(model, 2, None, *given)
    assert caught.value.field == field
