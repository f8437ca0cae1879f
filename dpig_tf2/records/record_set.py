"""The records of one split, counted and ready to be read by number."""

import dataclasses
import pathlib
from typing import cast

import numpy as np

from dpig_tf2.records import check, index, shards
from dpig_tf2.records.schema import RecordError

_TRIED_RECORDS = 1000  # how many bad records a split may begin with; they take seconds


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """The records of one split.

    Attributes:
        split: its name.
        reader: reads records by number.
        numbers: int64 [N], the usable records as `reader` counts them.
        height, width: image size of the first record, pixels.
        stored: keys of the first record, which nearly all others hold too.
        skipped: a line for each bad record that was left out.
    """

    split: str
    reader: index.RecordReader
    numbers: np.ndarray
    height: int
    width: int
    stored: frozenset[str] | None = None
    skipped: tuple[str, ...] = ()

    @classmethod
    def open(cls, data_dir, split: str, *, prefix: str | None = None) -> "RecordSet":
        """Finds and counts the records of a split.

        Args:
            data_dir: folder with files such as Market1501_train_00000-of-00001.tfrecord.
            split: "train", "test" or whatever the file names say.
            prefix: dataset part of the file names, needed where several have this split.

        Raises:
            RecordError: if the folder or the split does not exist, a shard is missing, or there is
                no readable record.
        """
        paths = shards.find_shards(data_dir, split, prefix)
        reader = index.RecordReader([index.index_file(path) for path in paths])
        if not len(reader):
            why = next((f"; {f.path}: {f.problem}" for f in reader.files if f.problem), "")
            message = f"{paths[0]}: no records of split {split!r}{why}"
            raise RecordError(message, file=paths[0])
        sample = _first_good(reader)
        height, width = cast(tuple[int, int], sample.size)  # known of a good record
        return cls(
            split=split,
            reader=reader,
            numbers=np.arange(len(reader)),
            height=height,
            width=width,
            stored=sample.keys,
        )

    def __len__(self) -> int:
        """Number of usable examples."""
        return len(self.numbers)

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        return tuple(file.path for file in self.reader.files)

    def problems(self, number: int) -> list[RecordError]:
        """What is wrong with one record as `reader` counts them; empty if nothing."""
        try:
            serialized = self.reader.read(number)
        except RecordError as error:
            return [error]
        found = check.problems(serialized, (self.height, self.width), self.stored)
        return [self.reader.error(number, problem) for problem in found]


def _first_good(reader):
    """Summary of the first record that can be used; some bad ones may precede it."""
    problems = []
    for number in range(min(_TRIED_RECORDS, len(reader))):
        try:
            summary = check.summarize(reader.read(number))
        except RecordError as error:
            problems.append(error)
            continue
        if not summary.problems:
            return summary
        problems.append(reader.error(number, summary.problems[0]))
    raise problems[0]
