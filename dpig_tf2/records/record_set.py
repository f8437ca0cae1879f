"""The records of one split, counted and ready to be read by number."""

import dataclasses
import pathlib
from typing import cast

import numpy as np

from dpig_tf2.records import check, index, pair_index, schema, shards
from dpig_tf2.records.schema import RecordError

_TRIED_RECORDS = 1000  # how many bad records a split may begin with; they take seconds


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """The records of one split, in either layout.

    Attributes:
        split: its name.
        reader: reads records by number; in the lean layout, photos.
        numbers: int64 [N], the usable examples: records as `reader` counts them, or rows of
            `pairs`.
        height, width: image size of the first record, pixels.
        stored: keys of the first record, which nearly all others hold too.
        skipped: a line for each bad record that was left out.
        pairs: of the lean layout, int32 [M, 2] of photos; None in the published one.
        pairs_path: their file.
    """

    split: str
    reader: index.RecordReader
    numbers: np.ndarray
    height: int
    width: int
    stored: frozenset[str] | None = None
    skipped: tuple[str, ...] = ()
    pairs: np.ndarray | None = None
    pairs_path: pathlib.Path | None = None

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
            problems = (f"{file.path}: {file.problem}" for file in reader.files if file.problem)
            why = next(problems, "every file is empty")
            message = f"{paths[0]}: no records of split {split!r}; {why}"
            raise RecordError(message, file=paths[0])
        layout, pairs, pairs_path = shards.layout(paths), None, None
        if layout == "lean":
            pairs_path = paths[0].parent / f"{shards.stem(paths[0])}{schema.PAIRS_ENDING}"
            pairs = pair_index.read_pairs(pairs_path, len(reader))
            if not len(pairs):
                raise RecordError(f"{pairs_path}: no pairs", file=pairs_path)
        sample = _first_good(reader, layout)
        height, width = cast(tuple[int, int], sample.size)  # known of a good record
        return cls(
            split=split,
            reader=reader,
            numbers=np.arange(len(reader if pairs is None else pairs)),
            height=height,
            width=width,
            stored=sample.keys,
            pairs=pairs,
            pairs_path=pairs_path,
        )

    def __len__(self) -> int:
        """Number of usable examples."""
        return len(self.numbers)

    @property
    def layout(self) -> str:
        """One of `schema.LAYOUTS`."""
        return "published" if self.pairs is None else "lean"

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        """The record files, as `places` counts them."""
        return tuple(file.path for file in self.reader.files)

    @property
    def manifest(self) -> pathlib.Path:
        """The manifest, which has the checksums of the files; others' records have none."""
        first = self.paths[0]
        return first.with_name(schema.manifest_name(shards.stem(first)))

    @property
    def examples_in(self) -> dict[pathlib.Path, int]:
        """How many records each file holds, the one of pairs included."""
        counts = {file.path: len(file.offsets) for file in self.reader.files}
        if self.pairs_path is not None and self.pairs is not None:
            counts[self.pairs_path] = len(self.pairs)
        return counts

    def records_of(self, numbers) -> np.ndarray:
        """The records that examples are made of, int64 [B]; in the lean layout photos [B, 2]."""
        return np.asarray(numbers if self.pairs is None else self.pairs[numbers], np.int64)

    def places(self, numbers) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the files, and byte offsets in them, of the records of some examples."""
        return self.reader.places(self.records_of(numbers))

    def photos(self) -> "RecordSet":
        """The photos of the lean layout that stand in usable examples, each as an example alone."""
        used = np.unique(self.records_of(self.numbers))
        return dataclasses.replace(self, pairs=used[:, None], numbers=np.arange(len(used)))

    def problems(self, number: int) -> list[RecordError]:
        """What is wrong with one example; empty if nothing."""
        found = []
        for record in dict.fromkeys(np.ravel(self.records_of(number)).tolist()):
            try:
                serialized = self.reader.read(record)
            except RecordError as error:
                found.append(error)
                continue
            size = (self.height, self.width)
            problems = check.problems(serialized, size, self.stored, self.layout)
            found += [self.reader.error(record, problem) for problem in problems]
        return found


def _first_good(reader, layout):
    """Summary of the first record that can be used; some bad ones may precede it."""
    problems = []
    for number in range(min(_TRIED_RECORDS, len(reader))):
        try:
            summary = check.summarize(reader.read(number), layout=layout)
        except RecordError as error:
            problems.append(error)
            continue
        if not summary.problems:
            return summary
        problems.append(reader.error(number, summary.problems[0]))
    raise problems[0]
