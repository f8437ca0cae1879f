"""Labeled picture sheets for people to look at."""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dpig_tf2.errors import DpigError
from dpig_tf2.io.images import as_rgb

_PAPER, _INK, _EMPTY = (255, 255, 255), (20, 20, 20), (226, 226, 226)
_TITLE_SIZE, _LABEL_SIZE, _SMALLEST_LABEL = 16, 12, 7
_MARGIN = 4
_GAP = 12  # pixels between sheets that are put together
_SPELLED = str.maketrans(  # letters that Unicode does not take apart
    {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
    | {"–": "-", "—": "-", "’": "'"}
)


def labeled_sheet(
    rows: Sequence[Sequence[np.ndarray | None]],
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    scale: int = 1,
    title: str | None = None,
    gap: int = 2,
) -> np.ndarray:
    """A table of pictures with labels to the left and above.

    Labels are wrapped, and shrunk where one word is too long, so that none reaches into another.

    Args:
        rows: pictures uint8 [H, W, 3], [H, W, 1] or [H, W]; all rows need not be equally long;
            None leaves a cell empty. The largest picture sets the size of all cells.
        row_labels, column_labels: one for each row, and for each column of the longest row.
        scale: whole-number enlargement of every picture.
        title: a line above everything.
        gap: pixels between cells.

    Returns:
        uint8 [H, W, 3].

    Raises:
        DpigError: if there is no picture, a picture is not uint8 or has another shape, the number
            of labels differs, or scale < 1 or gap < 0.
    """
    if scale < 1 or gap < 0:
        raise DpigError(f"scale must be at least 1 and gap at least 0, got {scale} and {gap}")
    cells = [[None if cell is None else as_rgb(cell) for cell in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    _check_labels("row_labels", row_labels, len(cells))
    _check_labels("column_labels", column_labels, columns)
    shapes = [cell.shape for row in cells for cell in row if cell is not None]
    if not shapes:
        raise DpigError("a sheet needs at least one picture, got none")
    cell_height, cell_width = (scale * max(shape[axis] for shape in shapes) for axis in (0, 1))
    sheet = _Sheet(len(cells), columns, cell_height, cell_width, gap)
    sheet.reserve(row_labels, column_labels, title)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            sheet.paste(i, j, cell, scale)
    return sheet.image()


def stacked(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Sheets uint8 [H, W, 3] one below the other on white paper."""
    width = max(sheet.shape[1] for sheet in sheets)
    return np.concatenate(
        [
            np.pad(
                sheet,
                ((0, _GAP), (0, width - sheet.shape[1]), (0, 0)),
                constant_values=255,
            )
            for sheet in sheets
        ]
    )


def beside(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Sheets uint8 [H, W, 3] next to one another on white paper."""
    return stacked([sheet.transpose(1, 0, 2) for sheet in sheets]).transpose(1, 0, 2)


class _Sheet:
    """The paper: knows where cells and labels go."""

    def __init__(self, rows: int, columns: int, cell_height: int, cell_width: int, gap: int):
        self._rows, self._columns = rows, columns
        self._cell_height, self._cell_width, self._gap = cell_height, cell_width, gap
        self._left = self._top = gap
        self._image = Image.new("RGB", (1, 1))

    def reserve(self, row_labels, column_labels, title) -> None:
        """Makes the paper as large as cells and labels need, and writes the labels."""
        room = max(90, self._cell_width)
        side = [_fit(label, room, self._cell_height) for label in row_labels or ()]
        above = [_fit(label, self._cell_width, None) for label in column_labels or ()]
        self._left += _room(text.width for text in side)
        width = self._left + self._columns * (self._cell_width + self._gap)
        head = [_fit(title, width - 2 * _MARGIN, None, _TITLE_SIZE)] if title else []
        self._top += _room(text.height for text in head) + _room(text.height for text in above)
        height = self._top + self._rows * (self._cell_height + self._gap)
        self._image = Image.new("RGB", (width, height), _PAPER)
        for text in head:
            self._image.paste(text, (_MARGIN, _MARGIN))
        for j, text in enumerate(above):
            x = self._corner(0, j)[0] + (self._cell_width - text.width) // 2
            self._image.paste(text, (x, self._top - _MARGIN - text.height))
        for i, text in enumerate(side):
            y = self._corner(i, 0)[1] + (self._cell_height - text.height) // 2
            self._image.paste(text, (self._left - self._gap - _MARGIN - text.width, y))

    def paste(self, row: int, column: int, cell: np.ndarray | None, scale: int) -> None:
        x, y = self._corner(row, column)
        if cell is None:
            box = (x, y, x + self._cell_width, y + self._cell_height)
            self._image.paste(_EMPTY, box)
            return
        picture = Image.fromarray(cell.repeat(scale, axis=0).repeat(scale, axis=1))
        offset = (
            (self._cell_width - picture.width) // 2,
            (self._cell_height - picture.height) // 2,
        )
        self._image.paste(picture, (x + offset[0], y + offset[1]))

    def image(self) -> np.ndarray:
        return np.asarray(self._image)

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        return (
            self._left + column * (self._cell_width + self._gap),
            self._top + row * (self._cell_height + self._gap),
        )


def _room(sizes: Iterable[int]) -> int:
    """Pixels that labels of these sizes need with a margin on both sides; 0 without labels."""
    return max((size + 2 * _MARGIN for size in sizes), default=0)


def _fit(text: str, width: int, height: int | None, size: int = _LABEL_SIZE) -> Image.Image:
    """A picture of `text`, wrapped and if need be shrunk to `width` x `height` pixels."""
    text = _in_ascii(str(text))
    while True:
        font = ImageFont.load_default(size)
        lines = _wrap(text, font, width, breaking=size == _SMALLEST_LABEL)
        box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox(
            (0, 0), "\n".join(lines), font=font, spacing=1
        )
        fits = box[2] <= width and (height is None or box[3] <= height)
        if fits or size == _SMALLEST_LABEL:
            break
        size -= 1
    # Text that does not even fit at the smallest size is cut off rather than run into the next.
    extent = (min(int(box[2]) + 1, width), min(int(box[3]) + 1, height or int(box[3]) + 1))
    picture = Image.new("RGB", extent, _PAPER)
    ImageDraw.Draw(picture).multiline_text(
        (0, 0), "\n".join(lines), fill=_INK, font=font, spacing=1
    )
    return picture


def _in_ascii(text: str) -> str:
    """The text in letters that Pillow's font has: others without their marks, or "?"."""
    parts = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    return "".join(
        letter if letter.isascii() else "?" for letter in parts if not unicodedata.combining(letter)
    )


def _wrap(text: str, font, width: int, breaking: bool) -> list[str]:
    """Lines no wider than `width`, broken at spaces, and inside words only if `breaking`."""
    lines = [""]
    for word in text.split():
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:
            if breaking and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line] or [" "]


def _check_labels(name: str, labels: Sequence[str] | None, expected: int) -> None:
    if labels is not None and len(labels) != expected:
        raise DpigError(f"{name}: expected {expected} labels, got {len(labels)}")
