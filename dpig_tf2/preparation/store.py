"""What a conversion keeps in files while it is under way, so that memory does not grow with it."""

import contextlib
import dataclasses
import os
import pathlib
import pickle
import random
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from dpig_tf2.preparation.pairs import python2_shuffle
from dpig_tf2.records.pair_index import DTYPE

_BLOCK = 1 << 16  # pairs handled at once


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Errors of the system name the file, also where it does not (a disk that is full)."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class Store:
    """Objects in a file of this process, which others may read.

    Args:
        path: the file.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._file = open(path, "wb")
        self._length = 0

    def add(self, pickled: bytes) -> "Place":
        """Where an object, already pickled, is found later."""
        place = Place(self._length, len(pickled))
        with naming(self.path):
            self._file.write(pickled)
        self._length += len(pickled)
        return place

    def close(self) -> None:
        """Completes the file."""
        with naming(self.path):
            self._file.close()


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in a `Store` an object is; in bytes."""

    offset: int
    length: int


def pickled(value: object) -> bytes:
    """An object as `Store.add` takes it."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def load(path: pathlib.Path, place: Place) -> Any:
    """An object of a `Store`, which this program alone has written."""
    with open(path, "rb", buffering=0) as file:
        return pickle.loads(os.pread(file.fileno(), place.length, place.offset))


class PairFile:
    """Pairs of numbers in a file, of which blocks are in memory at a time.

    Args:
        path: the file, which is made.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._file = open(path, "w+b")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, pairs: np.ndarray) -> None:
        """Adds integers [n, 2]."""
        with naming(self.path):
            self._file.write(np.asarray(pairs, DTYPE).tobytes())
        self._count += len(pairs)

    def blocks(self) -> Iterator[np.ndarray]:
        """All pairs, int32 [n, 2] at a time."""
        self._flush()
        with open(self.path, "rb") as file:
            while content := file.read(_BLOCK * 2 * DTYPE.itemsize):
                yield np.frombuffer(content, DTYPE).reshape(-1, 2)

    def shuffle(self, generator: random.Random) -> None:
        """Brings the pairs into the release's order, in the file."""
        self._flush()
        if self._count:  # an empty file cannot be mapped
            # A pair is one item of eight bytes.
            items = np.memmap(self._file, np.int64, "r+", shape=(self._count,))
            python2_shuffle(items.data, generator)
            items.flush()

    def numbered(self, identities: Sequence[Hashable]) -> dict[Hashable, int]:
        """Index of each identity by first appearance.

        Args:
            identities: of the numbers that the pairs are made of.
        """
        codes = {identity: code for code, identity in enumerate(dict.fromkeys(identities))}
        code_of = np.array([codes[identity] for identity in identities])
        found: dict[int, int] = {}
        for block in self.blocks():
            flat = code_of[block.ravel()]
            _, first = np.unique(flat, return_index=True)
            for position in np.sort(first):
                found.setdefault(int(flat[position]), len(found))
        names = list(codes)
        return {names[code]: index for code, index in found.items()}

    def _flush(self):
        with naming(self.path):
            self._file.flush()
