"""The pairs of the lean layout: a file of numbers of photos, int32 [N, 2], little-endian."""

import pathlib
from collections.abc import Iterator

import numpy as np

from dpig_tf2.records.schema import RecordError

DTYPE = np.dtype("<i4")
_PAIR = 2 * DTYPE.itemsize  # bytes
_BLOCK = 1 << 20  # pairs looked at together


def read_pairs(path, photos: int) -> np.ndarray:
    """The pairs of a file as a read-only map of it, int32 [N, 2] of (source, target).

    Args:
        path: the file.
        photos: how many photos there are; pairs number them from 0.

    Raises:
        RecordError: if the file is missing, cut off, or has a number that no photo has.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise RecordError(f"{path} is missing, which pairs the photos", file=path)
    size = path.stat().st_size
    if size % _PAIR:
        raise RecordError(f"{path} is cut off: {size} bytes, {_PAIR} for each pair", file=path)
    if not size:
        return np.zeros((0, 2), DTYPE)
    pairs = np.memmap(path, DTYPE, "r", shape=(size // _PAIR, 2))
    for start, block in _blocks(pairs):
        beyond = (block < 0) | (block >= photos)
        if beyond.any():
            row, side = np.argwhere(beyond)[0]
            raise RecordError(
                f"{path} pair {start + row}: photo {block[row, side]}, expected 0 to {photos - 1}",
                file=path,
                record=int(start + row),
            )
    return pairs


def _blocks(pairs) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(pairs), _BLOCK):
        yield start, np.asarray(pairs[start : start + _BLOCK])
