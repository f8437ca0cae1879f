"""Finding the record files of a split."""

import pathlib
import re

from dpig_tf2.records.schema import RecordError

_SHARD = re.compile(
    r"(?P<prefix>.+?)_(?P<split>.+)_(?P<shard>\d{5})-of-(?P<shards>\d{5})\.tfrecord"
)


def find_splits(data_dir) -> dict[tuple[str, str], list[pathlib.Path]]:
    """The record files of a folder in shard order, by (prefix, split).

    Raises:
        RecordError: if the folder does not exist.
    """
    data_dir = pathlib.Path(data_dir)
    if not data_dir.is_dir():
        raise RecordError(f"data folder {data_dir} does not exist")
    found: dict[tuple[str, str], list[pathlib.Path]] = {}
    for path in sorted(data_dir.iterdir()):
        match = _SHARD.fullmatch(path.name)
        if match:
            found.setdefault((match["prefix"], match["split"]), []).append(path)
    return found


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
    splits = find_splits(data_dir)
    prefixes = [p for p, s in splits if s == split and prefix in (None, p)]
    wanted = f"{prefix or '*'}_{split}_*.tfrecord"
    if not prefixes:
        there = ", ".join(f"{p}_{s}" for p, s in splits) or "no record files"
        raise RecordError(f"no records {wanted} in {data_dir}; it holds {there}")
    if len(prefixes) > 1:
        raise RecordError(
            f"{data_dir} holds split {split!r} of several datasets: {', '.join(prefixes)}; name one"
        )
    paths = splits[prefixes[0], split]
    announced = {_SHARD.fullmatch(path.name)["shards"] for path in paths}
    if len(announced) > 1:
        names = ", ".join(f"-of-{shards}" for shards in sorted(announced))
        raise RecordError(f"{data_dir} mixes shards {names} of {prefixes[0]}_{split}; keep one set")
    there = {int(_SHARD.fullmatch(path.name)["shard"]) for path in paths}
    missing = sorted(set(range(int(announced.pop()))) - there)
    if missing:
        raise RecordError(
            f"{data_dir}: {prefixes[0]}_{split} lacks shard {missing[0]:05d} "
            f"({len(missing)} of {len(missing) + len(there)} missing)"
        )
    return paths
