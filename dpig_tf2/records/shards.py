"""Finding the record files of a split.

A name is <prefix>_<split>_<shard>-of-<shards>.tfrecord; in the lean layout it ends in
.photos.tfrecord, beside <prefix>_<split>.pairs. Prefix and split may both hold underscores, so
where one ends and the other begins follows from what is known, in this order:

0. Prefix and split that are asked for together.
1. A prefix of this program (`schema.VARIANTS`): the split is the rest. So every file that this
   program writes is read exactly.
2. The split that is asked for, or one of `KNOWN_SPLITS`, the longest that the name ends with: the
   prefix is the rest, `My_Data` of `My_Data_train`.
3. The first underscore.
"""

import pathlib
import re
from collections.abc import Sequence

from dpig_tf2.records import schema
from dpig_tf2.records.schema import RecordError

KNOWN_SPLITS = ("train", "val", "validation", "test", "test_samples", "test_seq", "all")
_SHARD = re.compile(r"(?P<stem>.+_.+)_(?P<shard>\d{5})-of-(?P<shards>\d{5})(\.photos)?\.tfrecord")


def prefix_and_split(
    stem: str, split: str | None = None, prefix: str | None = None
) -> tuple[str, str]:
    """("Market1501", "train") of "Market1501_train", by the rule of this module.

    Args:
        stem: a file name before its shard number, with an underscore inside.
        split, prefix: what is asked for, if anything is.
    """
    if prefix and split and stem == f"{prefix}_{split}":
        return prefix, split
    for variant in schema.VARIANTS.values():
        if stem.startswith(f"{variant.file_prefix}_"):
            return variant.file_prefix, stem[len(variant.file_prefix) + 1 :]
    for known in sorted({*KNOWN_SPLITS, split or "train"}, key=len, reverse=True):
        rest = stem.removesuffix(f"_{known}")
        if rest not in (stem, ""):
            return rest, known
    end = stem.index("_", 1)
    return stem[:end], stem[end + 1 :]


def find_splits(
    data_dir, split: str | None = None, prefix: str | None = None
) -> dict[tuple[str, str], list[pathlib.Path]]:
    """The record files of a folder in shard order, by (prefix, split).

    Args:
        data_dir: the folder.
        split, prefix: as for `prefix_and_split`.

    Raises:
        RecordError: if there is no such folder.
    """
    data_dir = pathlib.Path(data_dir)
    if not data_dir.is_dir():
        reason = "is a file, expected a folder" if data_dir.exists() else "does not exist"
        raise RecordError(f"data folder {data_dir} {reason}", file=data_dir)
    found: dict[tuple[str, str], list[pathlib.Path]] = {}
    for path in sorted(data_dir.iterdir()):
        match = _SHARD.fullmatch(path.name)
        if match and path.is_file():
            found.setdefault(prefix_and_split(match["stem"], split, prefix), []).append(path)
    return found


def layout(paths: Sequence[pathlib.Path]) -> str:
    """The layout of the record files of a split, one of `schema.LAYOUTS`."""
    return _layout(paths[0])


def _layout(path):
    return "lean" if path.name.endswith(schema.PHOTOS_ENDING) else "published"


def strays(data_dir) -> list[str]:
    """Lines on what looks like a record file but has another name, such as a browser's copies."""
    other_name = "its name is not like Market1501_train_00000-of-00001.tfrecord"
    return [
        f"{path} ({'it is no file' if _SHARD.fullmatch(path.name) else other_name})"
        for path in sorted(pathlib.Path(data_dir).iterdir())
        if ".tfrecord" in path.name
        and not path.name.startswith(".")
        and not (_SHARD.fullmatch(path.name) and path.is_file())
    ]


def stem(path) -> str:
    """How the name of a shard begins, "Market1501_train"."""
    return pathlib.Path(path).name.rpartition("_")[0]


def find_shards(data_dir, split: str, prefix: str | None = None) -> list[pathlib.Path]:
    """The record files of one split, complete and in order.

    Args:
        data_dir: folder with files named like Market1501_train_00000-of-00001.tfrecord.
        split: e.g. "train".
        prefix: e.g. "Market1501"; needed only where the folder holds several datasets.

    Raises:
        RecordError: if there are none, if several datasets have this split, or if shards of the
            announced number are missing.
    """
    splits = find_splits(data_dir, split, prefix)
    prefixes = [p for p, s in splits if s == split and prefix in (None, p)]
    wanted = f"{prefix or '*'}_{split}_*.tfrecord"
    if not prefixes:
        there = ", ".join(f"{p}_{s}" for p, s in splits) or "no record files"
        there += "".join(f"; not read: {line}" for line in strays(data_dir)[:1])
        raise RecordError(
            f"no records {wanted} in {data_dir}; it holds {there}", file=data_dir, field="split"
        )
    if len(prefixes) > 1:
        raise RecordError(
            f"{data_dir} has split {split!r} of several datasets, {', '.join(prefixes)}: name one",
            file=data_dir,
            field="prefix",
        )
    paths = splits[prefixes[0], split]
    if len(layouts := set(map(_layout, paths))) > 1:
        raise RecordError(
            f"{data_dir} mixes the layouts {' and '.join(sorted(layouts))} of "
            f"{prefixes[0]}_{split}; keep one",
            file=data_dir,
            field="layout",
        )
    matches = list(filter(None, (_SHARD.fullmatch(path.name) for path in paths)))
    announced = {match["shards"] for match in matches}
    if len(announced) > 1:
        names = ", ".join(f"-of-{shards}" for shards in sorted(announced))
        raise RecordError(
            f"{data_dir} mixes shards {names} of {prefixes[0]}_{split}; keep one set", file=data_dir
        )
    there = {int(match["shard"]) for match in matches}
    missing = sorted(set(range(int(announced.pop()))) - there)
    if missing:
        raise RecordError(
            f"{data_dir}: {prefixes[0]}_{split} lacks shard {missing[0]:05d} "
            f"({len(missing)} of {len(missing) + len(there)} missing)"
            + "".join(f"; not read: {line}" for line in strays(data_dir)[:1]),
            file=data_dir,
        )
    return paths
