"""Measured curves drawn side by side, both axes in steps of equal ratio."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dpig_tf2.errors import DpigError

_PAPER, _INK, _GRID = (255, 255, 255), (20, 20, 20), (222, 222, 222)
_COLORS = ((31, 105, 180), (205, 90, 30), (40, 140, 70), (140, 70, 160))
_TITLE, _TEXT = ImageFont.load_default(20), ImageFont.load_default(15)
_PANEL_WIDTH, _PANEL_HEIGHT = 330, 300
_LEFT, _TOP, _GAP, _BOTTOM = 84, 92, 28, 64
_INSET = 54  # pixels between a panel's edge and its first and last point


@dataclasses.dataclass(frozen=True)
class Panel:
    """Curves over one quantity.

    Attributes:
        title: the quantity, below the axis.
        places: where its values lie on the axis, positive; the axis is logarithmic.
        labels: what each value is called.
        curves: {name: (lowest, value, highest) at each place}, positive.
    """

    title: str
    places: Sequence[float]
    labels: Sequence[str]
    curves: Mapping[str, Sequence[tuple[float, float, float]]]


def chart(title: str, unit: str, panels: Sequence[Panel]) -> np.ndarray:
    """Panels beside each other with one vertical axis, which is logarithmic, and one legend.

    Args:
        title: a line above everything.
        unit: of the values, above the vertical axis.
        panels: curves of a name have one color in all.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DpigError: if there is nothing to draw.
    """
    values = [v for p in panels for curve in p.curves.values() for each in curve for v in each]
    if not values:
        raise DpigError("a chart needs at least one curve, got none", field="panels")
    ticks = _ticks(min(values), max(values))
    width = _LEFT + len(panels) * (_PANEL_WIDTH + _GAP)
    picture = Image.new("RGB", (width, _TOP + _PANEL_HEIGHT + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((16, 14), title, _INK, _TITLE)
    draw.text((16, _TOP - 12), unit, _INK, _TEXT, anchor="ls")
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(names)}
    x = _LEFT
    for name, color in colors.items():
        draw.line([(x, _TOP - 40), (x + 24, _TOP - 40)], color, 3)
        draw.text((x + 32, _TOP - 40), name, _INK, _TEXT, anchor="lm")
        x += 56 + int(draw.textlength(name, _TEXT))
    for i, panel in enumerate(panels):
        _draw_panel(draw, _LEFT + i * (_PANEL_WIDTH + _GAP), panel, ticks, colors, i == 0)
    return np.asarray(picture)


def _draw_panel(draw, left, panel, ticks, colors, numbered):
    def row(value):
        return _TOP + _PANEL_HEIGHT * (1 - _fraction(value, ticks[0], ticks[-1]))

    def column(place):
        share = _fraction(place, min(panel.places), max(panel.places))
        return left + _INSET + share * (_PANEL_WIDTH - 2 * _INSET)

    for tick in ticks:
        draw.line([(left, row(tick)), (left + _PANEL_WIDTH, row(tick))], _GRID)
        if numbered:
            draw.text((left - 8, row(tick)), f"{tick:g}", _INK, _TEXT, anchor="rm")
    bottom = _TOP + _PANEL_HEIGHT
    draw.rectangle([left, _TOP, left + _PANEL_WIDTH, bottom], outline=_INK)
    for place, label in zip(panel.places, panel.labels, strict=True):
        draw.line([(column(place), bottom), (column(place), bottom + 5)], _INK)
        draw.text((column(place), bottom + 9), label, _INK, _TEXT, anchor="mt")
    draw.text((left + _PANEL_WIDTH / 2, bottom + 34), panel.title, _INK, _TEXT, anchor="mt")
    for name, curve in panel.curves.items():
        points = []
        for place, (lowest, value, highest) in zip(panel.places, curve, strict=True):
            x, y = column(place), row(value)
            draw.line([(x, row(lowest)), (x, row(highest))], colors[name])
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], colors[name])
            draw.text((x - 8, y - 4), _number(value), colors[name], _TEXT, anchor="rb")
            points.append((x, y))
        draw.line(points, colors[name], 2)


def _number(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"


def _fraction(value, low, high):
    """Where a value lies between two others in ratio, in [0, 1]."""
    return math.log(value / low) / math.log(high / low) if high > low else 0.5


def _ticks(low, high):
    """Round numbers 1, 2 and 5 times powers of ten, the first below and the last above all."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    first = max(step for step in steps if step < low)
    last = min(step for step in steps if step > high)
    return [step for step in steps if first <= step <= last]
