"""Tables of numbers drawn as colored cells."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dpig_tf2.visual.sheets import labeled_sheet

_CELL_HEIGHT, _CELL_WIDTH, _FONT_SIZE = 26, 84, 13
_POSITIVE, _NEGATIVE = (40, 110, 190), (200, 70, 50)  # the colors of 1 and of -1
_EMPTY = (226, 226, 226)


def heat_map(
    rows: Mapping[str, Sequence[float | None]], columns: Sequence[str], title: str
) -> np.ndarray:
    """A table uint8 [H, W, 3]: white at 0, blue at 1, red at -1, the number in every cell.

    Args:
        rows: {label: values}, None for an empty cell.
        columns: labels.
        title: a line above.
    """
    cells = [[_cell(value) for value in values] for values in rows.values()]
    return labeled_sheet(cells, list(rows), columns, title=title)


def _cell(value: float | None) -> np.ndarray:
    if value is None:
        return np.full((_CELL_HEIGHT, _CELL_WIDTH, 3), _EMPTY, np.uint8)
    strength = min(abs(value), 1.0)
    full = np.array(_POSITIVE if value > 0 else _NEGATIVE)
    color = tuple(np.rint(255 + strength * (full - 255)).astype(int).tolist())
    picture = Image.new("RGB", (_CELL_WIDTH, _CELL_HEIGHT), color)
    ImageDraw.Draw(picture).text(
        (_CELL_WIDTH / 2, _CELL_HEIGHT / 2),
        f"{round(value, 2) + 0.0:.2f}",  # never -0.00
        fill="white" if strength > 0.6 else "black",
        font=ImageFont.load_default(_FONT_SIZE),
        anchor="mm",
    )
    return np.asarray(picture)
