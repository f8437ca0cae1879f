"""Writing the record files of one split: shards, a manifest, and continuing where a run stopped."""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import remove_temporaries, replacing
from dpig_tf2.progress import Progress
from dpig_tf2.records import schema, writer

_MANIFEST_VERSION = 1


class OutputError(DpigError):
    """The output folder holds something else; the message says what differs."""


@dataclasses.dataclass(frozen=True)
class Output:
    """Where the records of a split go and how they are cut.

    Args:
        out_dir: folder, created if needed.
        prefix: dataset part of the file names.
        split: split part of the file names.
        num_shards: number of files.
        overwrite: replace what an earlier run with other settings wrote.
    """

    out_dir: pathlib.Path
    prefix: str
    split: str
    num_shards: int = 1
    overwrite: bool = False

    def check(self, examples: int) -> None:
        """Raises ValueError if the split is no name, or there are fewer examples than shards."""
        if not re.fullmatch(r"\w[\w.-]*", self.split):
            raise ValueError(f"split must be a name of letters, digits, _ . -; got {self.split!r}")
        if not 1 <= self.num_shards <= examples:
            raise ValueError(f"cannot cut {examples} examples into {self.num_shards} shards")

    @property
    def shards_there(self) -> list[pathlib.Path]:
        """Record files of this split in the folder, however many it was cut into."""
        digits = "[0-9]" * 5
        name = f"{self.prefix}_{self.split}_{digits}-of-{digits}.tfrecord"
        return sorted(pathlib.Path(self.out_dir).glob(name))

    @property
    def manifest_path(self) -> pathlib.Path:
        return pathlib.Path(self.out_dir) / f"manifest_{self.prefix}_{self.split}.json"

    def shard_path(self, shard: int) -> pathlib.Path:
        name = schema.shard_name(self.prefix, self.split, shard, self.num_shards)
        return pathlib.Path(self.out_dir) / name


@dataclasses.dataclass(frozen=True)
class Written:
    """What is in the folder now; `reused` counts the shards that an earlier run had finished."""

    examples: int
    shards: tuple[pathlib.Path, ...]
    reused: int


def write_pairs(
    output: Output,
    pairs: Sequence[writer.Pair],
    encoder: writer.PairEncoder,
    settings: Mapping[str, object],
    report: Mapping[str, object] | None = None,
) -> Written:
    """Writes the pairs as shards with a manifest; finished shards of an earlier run are kept.

    Args:
        output: where to.
        pairs: in the order of the records.
        encoder: serializes them.
        settings: everything that decides the content, JSON values; the same folder is never filled
            from two different settings.
        report: further facts for the manifest, such as counts of skipped images.

    Raises:
        ValueError: if there are fewer pairs than shards, or the split is no file name.
        OutputError: if the folder holds records made from other settings.
    """
    count = len(pairs)
    output.check(count)
    settings = json.loads(json.dumps({**settings, "examples": count, "shards": output.num_shards}))
    finished = _finished_shards(output, settings)
    reused = len(finished)
    manifest = {"version": _MANIFEST_VERSION, "settings": settings, **(report or {})}

    def note_finished():
        done = len(finished) == output.num_shards
        write_json(output.manifest_path, {**manifest, "finished": done, "files": finished})

    note_finished()  # before the first shard, which is of unknown origin without
    progress = Progress(f"{output.prefix}_{output.split}", count)
    for shard in range(output.num_shards):
        path = output.shard_path(shard)
        if path.name in finished:
            continue
        start, stop = (count * i // output.num_shards for i in (shard, shard + 1))
        chosen = _reporting(encoder.encode(pairs[start:stop]), start, progress)
        writer.write_shard(path, chosen)
        finished[path.name] = {"examples": stop - start, "sha256": sha256_of(path)}
        note_finished()
    paths = tuple(output.shard_path(shard) for shard in range(output.num_shards))
    return Written(count, paths, reused)


def write_json(path, value) -> None:
    """Writes a JSON file that appears only when it is complete."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def sha256_of(path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finished_shards(output, settings) -> dict[str, dict]:
    """Whole shards that a run with the same settings made; refuses or clears anything else."""
    present = output.shards_there
    remove_temporaries(
        pathlib.Path(output.out_dir), f"{output.prefix}_{output.split}_[0-9]*.tfrecord"
    )
    manifest = _read_manifest(output.manifest_path)
    if manifest is None and not present:
        return {}
    difference = (
        f"{present[0].name} of unknown origin" if manifest is None
        else _difference(manifest["settings"], settings)
    )  # fmt: skip
    if output.overwrite:
        for path in present:
            path.unlink()
        output.manifest_path.unlink(missing_ok=True)
        return {}
    if difference:
        raise OutputError(
            f"{output.out_dir} already holds {output.prefix}_{output.split}: {difference}; choose "
            "another folder or --overwrite"
        )
    known = manifest["files"]
    return {
        path.name: known[path.name]
        for path in present
        if path.name in known and sha256_of(path) == known[path.name]["sha256"]
    }


def _difference(old, new):
    for key in [*new, *old]:  # counts, which follow from the rest, come last
        if old.get(key) == new.get(key):
            continue
        if key == "inputs":  # hashes, which tell nobody anything
            changed = [what for what in new[key] if new[key][what] != old.get(key, {}).get(what)]
            return f"made from other {' and '.join(changed)} than there are now"
        return f"made with {key} = {old.get(key)!r}, not {new.get(key)!r}"
    return None


def _read_manifest(path):
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["settings"], manifest["files"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is not a manifest of this program") from error
    return manifest


def _reporting(examples: Iterable[bytes], start: int, progress: Progress):
    for done, example in enumerate(examples, start + 1):
        yield example
        progress.update(done)
