"""Labelled picture sheets and pose drawings for people to look at."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dpig_tf2.io.atomic import replacing

# Pairs of keypoints (COCO-18 order) joined in a pose drawing, from the neck outward.
_BONES = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_PAPER, _INK, _EMPTY = (255, 255, 255), (20, 20, 20), (226, 226, 226)
_TITLE_SIZE, _LABEL_SIZE, _SMALLEST_LABEL = 16, 12, 7
_MARGIN = 4


def labelled_sheet(
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
        ValueError: if there is no picture, a picture is not uint8 or has another shape, the number
            of labels differs, or scale < 1 or gap < 0.
    """
    if scale < 1 or gap < 0:
        raise ValueError(f"scale must be at least 1 and gap at least 0, got {scale} and {gap}")
    cells = [[None if cell is None else _as_rgb(cell) for cell in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    _check_labels("row_labels", row_labels, len(cells))
    _check_labels("column_labels", column_labels, columns)
    shapes = [cell.shape for row in cells for cell in row if cell is not None]
    if not shapes:
        raise ValueError("a sheet needs at least one picture, got none")
    cell_height, cell_width = (scale * max(shape[axis] for shape in shapes) for axis in (0, 1))
    sheet = _Sheet(len(cells), columns, cell_height, cell_width, gap)
    sheet.reserve(row_labels, column_labels, title)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            sheet.paste(i, j, cell, scale)
    return sheet.image()


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a PNG file that is complete or not there at all; makes the folder if needed.

    Args:
        path: where to write.
        image: uint8 [H, W, 3], [H, W, 1] or [H, W].

    Raises:
        ValueError: if the image has another dtype or shape.
    """
    picture = Image.fromarray(_as_rgb(image))
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def pose_picture(
    keypoints: np.ndarray, height: int, width: int, background: np.ndarray | None = None
) -> np.ndarray:
    """A coloured drawing of a pose: a line for each bone, a dot for each visible keypoint.

    Args:
        keypoints: float [18, 3], pixels (row, column, visibility); invisible ones are left out.
        height, width: size in pixels.
        background: uint8 [H, W, 3] to draw on; black without one.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: if keypoints or background have another shape.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.shape != (18, 3):
        raise ValueError(f"keypoints must be [18, 3], got {list(keypoints.shape)}")
    if background is None:
        background = np.zeros((height, width, 3), np.uint8)
    background = _as_rgb(background)
    if background.shape != (height, width, 3):
        raise ValueError(f"background must be [{height}, {width}, 3], got {list(background.shape)}")
    # Drawn four times too large and averaged, so that thin slanted lines stay smooth.
    size = 4
    large = Image.fromarray(background).resize((size * width, size * height), Image.Resampling.BOX)
    draw = ImageDraw.Draw(large)
    radius = size * max(0.9, height / 90)
    spots = [((c + 0.5) * size, (r + 0.5) * size) for r, c, _ in keypoints]
    seen = keypoints[:, 2] > 0.5
    for index, (a, b) in enumerate(_BONES):
        if seen[a] and seen[b]:
            draw.line([spots[a], spots[b]], fill=_rainbow(index, len(_BONES)), width=round(radius))
    for index in np.flatnonzero(seen):
        x, y = spots[index]
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_rainbow(index, 18))
    return np.asarray(large.reduce(size))


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
    while True:
        font = ImageFont.load_default(size)
        lines = _wrap(str(text), font, width, breaking=size == _SMALLEST_LABEL)
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


def _as_rgb(picture: np.ndarray) -> np.ndarray:
    """A picture as uint8 [H, W, 3]."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        raise ValueError(f"a picture must be uint8, got {picture.dtype}")
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise ValueError(f"a picture must be [H, W, 3], [H, W, 1] or [H, W], got {picture.shape}")
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def _check_labels(name: str, labels: Sequence[str] | None, expected: int) -> None:
    if labels is not None and len(labels) != expected:
        raise ValueError(f"{name}: expected {expected} labels, got {len(labels)}")


def _rainbow(index: int, count: int) -> tuple[int, int, int]:
    rgb = colorsys.hsv_to_rgb(index / count * 0.9, 0.95, 1.0)
    return tuple(round(255 * channel) for channel in rgb)
