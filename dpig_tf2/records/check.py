"""What is wrong with a record, in words; and a report on a folder of records."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import counted, printable
from dpig_tf2.ops import images
from dpig_tf2.records import (
    decoder,
    index,
    pair_index,
    parsing,
    record_manifest,
    rules,
    schema,
    shards,
)

_FIRST_PROBLEMS = 20  # problems listed in a report; all are counted
# TensorFlow's messages may hold bytes of the record, at which its own Python side fails.
_UNREADABLE = (tf.errors.OpError, UnicodeDecodeError)
_KINDS = {"bytes": "bytes_list", "int64": "int64_list", "float": "float_list"}


@dataclasses.dataclass
class RecordSummary:
    """What one readable example holds."""

    size: tuple[int, int] | None = None  # rows, columns
    keys: frozenset[str] = frozenset()
    parts: int | None = None
    identities: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    visible: int = 0  # visible keypoints
    persons: int = 0  # sides that were looked at
    problems: list[str] = dataclasses.field(default_factory=list)


def summarize(
    serialized: bytes,
    size: tuple[int, int] | None = None,
    stored: frozenset[str] | None = None,
    layout: str = "published",
) -> RecordSummary:
    """Reads one example as the pipeline does, and says which rules it breaks.

    Args:
        serialized: a tf.train.Example.
        size: expected (rows, columns) of both images; None takes the first image's.
        stored: keys that nearly all records of its split hold, as for `Decoder`.
        layout: one of `schema.LAYOUTS`.
    """
    sides = schema.SIDES_STORED[layout]
    features = _features(serialized)
    summary = RecordSummary(size, frozenset(features))
    try:
        spec = parsing.parsing_spec(0, 0, images=True, sides=sides)
        parsed = tf.io.parse_example([serialized], spec)
    except _UNREADABLE as error:
        summary.problems += _parsing_problems(serialized, features, None, error, sides)
    else:
        for key in schema.IMAGE.keys[:sides]:
            _check_image(parsed[key][0], key, summary)
    if summary.size is None:
        return summary
    if stored is None:
        # Those that a record lacks would be filled up at the image's size, which it alone tells.
        lengths = _picture_lengths(features, sides)
        stored = frozenset(lengths)
        if set(lengths.values()) - {summary.size[0] * summary.size[1]}:
            summary.problems += _parsing_problems(serialized, features, summary.size, "", sides)
            return summary
    try:
        keypoints, found = _examiner(*summary.size, stored, layout)(tf.constant([serialized]))
    except _UNREADABLE as error:
        summary.problems += _parsing_problems(serialized, features, summary.size, error, sides)
        return summary
    summary.problems += _broken_rules(found)
    summary.persons = sides
    summary.visible = sum(int((side.numpy()[..., 2] > 0.5).sum()) for side in keypoints)
    summary.parts = len(_values(features, schema.PART_VISIBILITY.keys[0])) or None
    summary.identities = tuple(
        v for key in schema.IDENTITY.keys[:sides] for v in _values(features, key)[:1]
    )
    summary.names = tuple(
        v.decode(errors="replace")
        for key in schema.NAME.keys[:sides]
        for v in _values(features, key)[:1]
    )
    return summary


def problems(
    serialized: bytes,
    size: tuple[int, int] | None = None,
    stored: frozenset[str] | None = None,
    layout: str = "published",
) -> list[str]:
    """One line for each thing that makes the example unusable, naming the key; empty if none.

    Args:
        serialized, size, stored, layout: as for `summarize`.
    """
    return summarize(serialized, size, stored, layout).problems


def _features(serialized):
    """{key: feature}; empty where Python's protobuf cannot read what TensorFlow perhaps can."""
    try:
        return tf.train.Example.FromString(serialized).features.feature
    except Exception:  # the decoder's exception class differs between protobuf builds
        return {}


def _values(features, key) -> Sequence:
    if key not in features:
        return ()
    kind = features[key].WhichOneof("kind")
    return getattr(features[key], kind).value if kind else ()


def _picture_lengths(features, sides):
    """{key: number of pixels} of the masks and segmentations that a record holds."""
    keys = (key for f in schema.FEATURES if f.length == "H*W" for key in f.keys[:sides])
    held = (key for key in keys if key in features and features[key].WhichOneof("kind"))
    return {key: len(_values(features, key)) for key in held}


def _check_image(encoded, key, summary):
    if images.is_decodable(encoded, summary.size):
        summary.size = summary.size or tuple(images.encoded_size(encoded).numpy().tolist())
        return
    content = encoded.numpy()
    if summary.size and images.is_decodable(content):
        rows, columns = images.encoded_size(content).numpy()
        summary.problems.append(
            f"{key} is {rows} x {columns} pixels, expected {summary.size[0]} x "
            f"{summary.size[1]} (rows x columns)"
        )
    else:
        summary.problems.append(f"{key} cannot be decoded as JPEG or PNG ({len(content)} bytes)")


@functools.lru_cache(maxsize=8)
def _examiner(height, width, stored, layout):
    """`Decoder.examine` of one record, traced once for a size."""
    decode = decoder.Decoder(height, width, stored=stored, layout=layout)
    words = []

    @tf.function(input_signature=[tf.TensorSpec([1], tf.string)], autograph=False)
    def examine(serialized):
        keypoints, found = decode.examine(serialized)
        words[:] = [(finding.key, finding.problem) for finding in found]
        return keypoints, [(finding.broken, finding.entries) for finding in found]

    def named(serialized):
        keypoints, found = examine(serialized)
        return keypoints, [
            parsing.Finding(*names, *tensors) for names, tensors in zip(words, found, strict=True)
        ]

    return named


def _broken_rules(found):
    """A line for each finding that is broken; one line for a key."""
    lines = {}
    for finding in found:
        where = np.flatnonzero(finding.broken)
        if not len(where) or finding.key in lines:
            continue
        entry = ""
        if finding.entries is not None:
            values = np.asarray(finding.entries)
            entry = values.reshape(-1, *values.shape[finding.broken.shape.rank :])[where[0]]
        problem = finding.problem
        if "{}" in problem:
            problem = problem.format(entry)
        elif finding.entries is not None:
            shown = " ".join(f"{value:g}" for value in np.ravel(entry))
            problem = f"{problem} (number {where[0]}: {shown})"
        lines[finding.key] = f"{finding.key} {problem}"
    return list(lines.values())


def _parsing_problems(serialized, features, size, error, sides):
    """Why TensorFlow cannot parse a record, or without a size its images, in our words if any."""
    if not features and serialized:
        try:
            tf.train.Example.FromString(serialized)
        except Exception as decoding_error:  # as in `_features`
            return [f"not a tf.train.Example ({type(decoding_error).__name__})"]
    found = []
    for feature in schema.FEATURES:
        if feature in rules.UNREAD or (size is None) != (feature is schema.IMAGE):
            continue
        allowed = feature.allowed_lengths(*size) if size else (1,)
        for key in feature.keys[:sides]:
            kind = features[key].WhichOneof("kind") if key in features else None
            length = len(_values(features, key))
            if kind is None and key not in features:
                if feature.required:
                    found.append(f"required key {key} is missing")
            elif kind not in (None, _KINDS[feature.kind]):
                found.append(f"{key} holds {kind}, expected {_KINDS[feature.kind]}")
            elif (kind or feature.required) and length not in (allowed or [length]):
                name = f"required key {key}" if feature.required else key
                expected = " or ".join(map(str, allowed))
                found.append(f"{name} holds {length} values, expected {expected}")
    return found or [f"cannot be parsed ({' '.join(str(error).split())[:200]})"]


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
        tail = [f"and {counted(more, 'more problem')}"] if more else []
        verdict = "no problems" if self.ok else counted(len(self.problems), "problem")
        return "\n".join([*self.lines, *shown, *tail, verdict])


def check_folder(data_dir, progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Reads every record and checksum of a folder and reports on each split.

    Image names that two splits share are told: scores of what was trained on say little.

    Args:
        data_dir: folder of record files.
        progress: called with (split, records done, records in all).

    Raises:
        schema.RecordError: if the folder does not exist.
    """
    report = Report()
    splits = shards.find_splits(data_dir)
    if not splits:
        report.problems.append(
            f"{data_dir}: no files like Market1501_train_00000-of-00001.tfrecord"
        )
    names: dict[str, set[str]] = {}
    for prefix, split in splits:
        try:
            paths = shards.find_shards(data_dir, split, prefix)
        except schema.RecordError as error:
            report.problems.append(str(error))
            paths = splits[prefix, split]
        name = f"{prefix}_{split}"
        names[name] = _check_split(name, paths, report, progress)
    for one, other in itertools.combinations(names, 2):
        if shared := sorted(names[one] & names[other] - {""}):
            what = f"{one} and {other} share {counted(len(shared), 'image name')}"
            report.lines.append(f"note: {what}, such as {printable(shared[0])}")
    stems = {f"{prefix}_{split}" for prefix, split in splits}
    for stem in record_manifest.stems(data_dir):
        if stem not in stems:
            report.problems += record_manifest.problems(data_dir, stem, {})
    report.lines += [f"not read: {line}" for line in shards.strays(data_dir)]
    return report


@dataclasses.dataclass
class _Tally:
    """Counts over the readable examples of a split."""

    read: int = 0
    visible: int = 0
    persons: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    parts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    keys: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    identities: set[int] = dataclasses.field(default_factory=set)
    names: set[str] = dataclasses.field(default_factory=set)

    def add(self, summary: RecordSummary) -> None:
        self.read += 1
        self.visible += summary.visible
        self.persons += summary.persons
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
            f"visible keypoints: {self.visible / max(18 * self.persons, 1):.1%}",
            "keys: " + ", ".join(always),
        ]
        return lines + (
            ["keys of some examples only: " + ", ".join(sometimes)] if sometimes else []
        )


def _check_split(name, paths, report, progress):
    """Adds to the report; the names of the images."""
    layout = shards.layout(paths)
    is_lean = layout == "lean"
    reader = index.RecordReader([index.index_file(path) for path in paths])
    report.problems += [f"{f.path}: {f.problem}" for f in reader.files if f.problem]
    if not len(reader):
        report.problems.append(f"{name}: no records in {len(paths)} files")
    counts = {file.path: len(file.offsets) for file in reader.files}
    if is_lean:
        try:
            path = paths[0].parent / f"{name}{schema.PAIRS_ENDING}"
            counts[path] = len(pair_index.read_pairs(path, len(reader)))
        except schema.RecordError as error:
            report.problems.append(str(error))
    report.problems += record_manifest.problems(paths[0].parent, name, counts, checksums=True)
    size = stored = None  # of the first good record, which tells what to expect of the others
    tally = _Tally()
    for number, serialized in reader.scan():
        where = reader.describe(number)
        if serialized is None:
            report.problems.append(f"{where}: wrong checksum")
        else:
            summary = summarize(serialized, size, stored, layout)
            if size is None and not summary.problems:
                size, stored = summary.size, summary.keys
            report.problems += [f"{where}: {problem}" for problem in summary.problems]
            tally.add(summary)
        if progress:
            progress(name, number + 1, len(reader))
    what = "photo" if is_lean else "example"
    found = f"{counted(len(reader.files), 'file')}, {counted(len(reader), what)}"
    report.lines.append(f"{name}: {found}")
    for path, count in counts.items():
        listed = "example" if path.suffix == schema.PAIRS_ENDING else what
        report.lines.append(f"  {path.name}: {counted(count, listed)}")
    report.lines += [f"  {line}" for line in tally.lines()] if tally.read else []
    return tally.names


def _counts(counter, pattern):
    return ", ".join(
        f"{'none' if value is None else pattern.format(value)} ({count})"
        for value, count in counter.most_common()
    )
