import numpy as np
import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.visual import charts


def _chart(*values, places=(1, 2, 4)):
    curve = [(value, value, value) for value in values]
    return charts.chart("t", "ms", [charts.Panel("x", places, ["a"] * len(places), {"one": curve})])


def _points(picture):
    """Row and column of the middle of each disc, from left to right."""
    blue = np.all(picture == charts._COLORS[0], axis=-1)[charts._TOP :]
    found = []
    for column in range(4, blue.shape[1] - 4):
        for row in np.flatnonzero(blue[4:-4, column]) + 4:
            if blue[row - 4 : row + 5, column].all() and blue[row, column - 4 : column + 5].all():
                found.append((row, column))
    return found


def test_equal_ratios_are_equal_distances():
    """Twice the value at twice the place, again and again: a straight line that rises."""
    (first, second, third) = _points(_chart(10, 20, 40))
    assert first[0] > second[0] > third[0]
    assert abs((first[0] - second[0]) - (second[0] - third[0])) <= 1
    assert abs((second[1] - first[1]) - (third[1] - second[1])) <= 1


def test_ticks_hold_every_value():
    assert charts._ticks(96.3, 1127) == pytest.approx([50, 100, 200, 500, 1000, 2000])
    assert charts._ticks(0.2, 0.2) == pytest.approx([0.1, 0.2, 0.5])


def test_curves_of_one_name_have_one_color():
    curve, other = [(1.0, 2.0, 3.0)] * 2, [(5.0, 6.0, 7.0)] * 2
    panels = [
        charts.Panel("x", (1, 2), ("1", "2"), {"one": curve}),
        charts.Panel("y", (1, 2), ("1", "2"), {"two": other, "one": curve}),
    ]
    picture = charts.chart("t", "ms", panels)
    left = charts._LEFT + charts._PANEL_WIDTH
    for color, in_left in zip(charts._COLORS, (True, False), strict=False):
        drawn = np.all(picture == color, axis=-1)[charts._TOP :]
        assert drawn[:, :left].any() == in_left and drawn[:, left:].any()


def test_a_chart_of_nothing_is_refused():
    with pytest.raises(DpigError, match="at least one curve") as refused:
        charts.chart("t", "ms", [])
    assert refused.value.field == "panels"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (99.4, "99"), (99.6, "100"), (123.4, "123")]
)
def test_numbers_are_written_without_exponents(value, text):
    assert charts._number(value) == text
