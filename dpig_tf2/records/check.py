"""What is wrong with a record, in words; and a report on a folder of records."""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.ops import images
from dpig_tf2.records import index, schema, shards

_FIRST_PROBLEMS = 20  # problems listed in a report; all are counted
_KINDS = {"bytes": "bytes_list", "int64": "int64_list", "float": "float_list"}


@dataclasses.dataclass
class RecordSummary:
    """What one readable example holds."""

    size: tuple[int, int] | None = None  # rows, columns
    keys: frozenset[str] = frozenset()
    parts: int | None = None
    identities: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    visible: int = 0  # visible keypoints of both sides
    problems: list[str] = dataclasses.field(default_factory=list)


def summarize(serialized: bytes, size: tuple[int, int] | None = None) -> RecordSummary:
    """Reads one example with every check that a reader relies on.

    Args:
        serialized: a tf.train.Example.
        size: expected (rows, columns) of both images; None takes the first image's.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # the decoder's exception class differs between protobuf builds
        return RecordSummary(problems=[f"not a tf.train.Example ({type(error).__name__})"])
    summary = RecordSummary(size, frozenset(features))
    for key in schema.IMAGE.keys:
        _read_image(features, key, summary)
    if summary.size:
        _check_lengths(features, summary)
    _check_keypoints(features, summary)
    boxes = _values(features, schema.PART_VISIBILITY.keys[0])
    summary.parts = len(boxes) or None
    summary.identities = tuple(
        v for key in schema.IDENTITY.keys for v in _values(features, key)[:1]
    )
    summary.names = tuple(
        v.decode(errors="replace") for key in schema.NAME.keys for v in _values(features, key)[:1]
    )
    return summary


def problems(serialized: bytes, size: tuple[int, int] | None = None) -> list[str]:
    """One line for each thing that makes the example unusable, naming the key; empty if none."""
    return summarize(serialized, size).problems


def _values(features, key) -> Sequence:
    if key not in features:
        return ()
    kind = features[key].WhichOneof("kind")
    return getattr(features[key], kind).value if kind else ()


def _read_image(features, key, summary):
    encoded = _values(features, key)
    if len(encoded) != 1:
        what = "is missing" if key not in features else f"holds {len(encoded)} values, not 1"
        summary.problems.append(f"required key {key} {what}")
        return
    try:
        shape = tuple(images.decode_image(encoded[0]).shape[:2])
    except (tf.errors.OpError, TypeError):
        summary.problems.append(f"{key} cannot be decoded as JPEG or PNG ({len(encoded[0])} bytes)")
        return
    summary.size = summary.size or shape
    if shape != summary.size:
        summary.problems.append(
            f"{key} is {shape[0]} x {shape[1]} pixels, expected {summary.size[0]} x "
            f"{summary.size[1]} (rows x columns)"
        )


def _check_lengths(features, summary):
    for feature in schema.FEATURES:
        if feature is schema.IMAGE:  # has been read already
            continue
        allowed = feature.allowed_lengths(*summary.size)
        for key in feature.keys:
            if key not in features:
                continue
            kind = features[key].WhichOneof("kind")
            if kind not in (None, _KINDS[feature.kind]):
                summary.problems.append(f"{key} holds {kind}, expected {_KINDS[feature.kind]}")
            length = len(_values(features, key))
            if allowed and length not in allowed:
                expected = " or ".join(map(str, allowed))
                summary.problems.append(f"{key} holds {length} values, expected {expected}")


def _check_keypoints(features, summary):
    for side, key in enumerate(schema.KEYPOINTS.keys):
        values = np.asarray(_values(features, key), np.float64)
        if not len(values):
            sparse = schema.SPARSE_INDICES[4].keys[side]
            if sparse not in features:
                summary.problems.append(f"required key {key} is missing, and so is {sparse}")
            else:
                summary.visible += len({index % 18 for index in _values(features, sparse)})
        elif not np.isfinite(values).all():
            summary.problems.append(f"{key} holds values that are not finite")
        elif len(values) == 54:
            summary.visible += int((values[2::3] > 0.5).sum())


@dataclasses.dataclass
class Report:
    """What a folder of records holds; `problems` are "<file> record <n>: ..." lines."""

    lines: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        shown = self.problems[:_FIRST_PROBLEMS]
        more = len(self.problems) - len(shown)
        tail = [f"and {more} more problems"] if more else []
        verdict = "no problems" if self.ok else f"{len(self.problems)} problems"
        return "\n".join([*self.lines, *shown, *tail, verdict])


def check_folder(
    data_dir, progress: Callable[[str, int, int], None] | None = None, limit: int | None = None
) -> Report:
    """Reads every record of a folder and reports on each split.

    Args:
        data_dir: folder of record files.
        progress: called with (split, records done, records in all).
        limit: records checked in each split; None checks all.

    Raises:
        schema.RecordError: if the folder does not exist.
    """
    report = Report()
    splits = shards.find_splits(data_dir)
    if not splits:
        report.problems.append(
            f"{data_dir}: no files like Market1501_train_00000-of-00001.tfrecord"
        )
    for prefix, split in splits:
        try:
            paths = shards.find_shards(data_dir, split, prefix)
        except schema.RecordError as error:
            report.problems.append(str(error))
            paths = splits[prefix, split]
        _check_split(f"{prefix}_{split}", paths, report, progress, limit)
    return report


@dataclasses.dataclass
class _Tally:
    """Counts over the readable examples of a split."""

    read: int = 0
    visible: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    parts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    keys: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    identities: set[int] = dataclasses.field(default_factory=set)
    names: set[str] = dataclasses.field(default_factory=set)

    def add(self, summary: RecordSummary) -> None:
        self.read += 1
        self.visible += summary.visible
        self.sizes[summary.size] += 1
        self.parts[summary.parts] += 1
        self.keys.update(summary.keys)
        self.identities.update(summary.identities)
        self.names.update(summary.names)

    def lines(self) -> list[str]:
        always = sorted(key for key, count in self.keys.items() if count == self.read)
        sometimes = sorted(f"{key} ({n})" for key, n in self.keys.items() if n < self.read)
        lines = [
            "image sizes (rows x columns): " + _counts(self.sizes, "{0[0]} x {0[1]}"),
            "part regions: " + _counts(self.parts, "{0}"),
            f"identities: {len(self.identities)}; image names: {len(self.names)}",
            f"visible keypoints: {self.visible / (36 * self.read):.1%}",
            "keys: " + ", ".join(always),
        ]
        return lines + (
            ["keys of some examples only: " + ", ".join(sometimes)] if sometimes else []
        )


def _check_split(name, paths, report, progress, limit):
    reader = index.RecordReader([index.index_file(path) for path in paths])
    report.problems += [f"{f.path}: {f.problem}" for f in reader.files if f.problem]
    if not len(reader):
        report.problems.append(f"{name}: no records in {len(paths)} files")
    total = len(reader) if limit is None else min(limit, len(reader))
    tally = _Tally()
    for number, serialized in itertools.islice(reader.scan(), total):
        where = reader.describe(number)
        if serialized is None:
            report.problems.append(f"{where}: wrong checksum")
        else:
            summary = summarize(serialized)
            report.problems += [f"{where}: {problem}" for problem in summary.problems]
            tally.add(summary)
        if progress:
            progress(name, number + 1, total)
    checked = "" if total == len(reader) else f" (the first {total} checked)"
    report.lines.append(f"{name}: {len(reader.files)} files, {len(reader)} examples{checked}")
    report.lines += [f"  {f.path.name}: {len(f.offsets)} examples" for f in reader.files]
    report.lines += [f"  {line}" for line in tally.lines()] if tally.read else []


def _counts(counter, pattern):
    return ", ".join(
        f"{'none' if value is None else pattern.format(value)} ({count})"
        for value, count in counter.most_common()
    )
