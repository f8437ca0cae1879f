"""Text files named after the photos, with a line `x y` or `x y score` for each keypoint."""

import re
from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.keypoint_formats import openpose
from dpig_tf2.preparation.keypoint_formats.model import Entry, KeypointsError, Source

NAME = "text"
EXPECTED = "lines of x y [score], one for each keypoint"
_SEPARATOR = re.compile(r"[\s,;]+")
_MOST_BYTES = 100_000


def is_points(text: str) -> bool:
    """Whether the first line that is no remark consists of numbers."""
    fields = next(iter(_lines(text)), (0, ["-"]))[1]
    try:
        return len([float(field) for field in fields]) > 1
    except ValueError:
        return False


def read(source: Source) -> Iterator[Entry]:
    path = source.path
    if path.stat().st_size > _MOST_BYTES:
        raise KeypointsError(f"{path}: {path.stat().st_size} bytes are no keypoints", file=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeypointsError(f"{path}: no text in UTF-8: {error}", file=path) from None
    rows = []
    for number, fields in _lines(text):
        try:
            rows.append([float(field) for field in fields])
        except ValueError:
            raise KeypointsError(f"{path} line {number}: expected x y [score]", file=path) from None
        if len(fields) not in (2, 3) or len(fields) != len(rows[0]):
            raise KeypointsError(
                f"{path} line {number}: {len(fields)} numbers, expected x y [score]", file=path
            )
    if not rows:
        raise KeypointsError(f"{path}: no lines of x y [score]", file=path)
    points = np.asarray(rows)
    if points.shape[1] == 2:  # missing ones are written as zeros or as -1
        missing = (points == 0).all(axis=1) | (points == -1).all(axis=1)
        points = np.c_[points, ~missing]
    try:
        yield source.own_photo([openpose.scored(points, (17, 18, 25, 26, 133, 135, 136))])
    except KeypointsError as error:
        raise KeypointsError(f"{path}: {error}", file=path) from None


def _lines(text):
    """(number, fields) of each line that is neither empty nor a remark."""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip(" \t,;")
        if line:
            yield number, _SEPARATOR.split(line)
