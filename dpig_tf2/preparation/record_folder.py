"""Writing the record files of one split: shards, a manifest, and continuing where a run stopped."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from dpig_tf2.errors import DpigError
from dpig_tf2.io import locks
from dpig_tf2.io.atomic import remove_temporaries
from dpig_tf2.io.hashes import sha256
from dpig_tf2.io.manifests import Manifest, OutputError
from dpig_tf2.progress import Progress
from dpig_tf2.records import schema, writer

_MANIFEST_VERSION = 1


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
        """Raises DpigError if the split is no name, or there are fewer examples than shards."""
        if not re.fullmatch(r"\w[\w.-]*", self.split):
            raise DpigError(
                f"split must be a name of letters, digits, _ . -; got {self.split!r}",
                field="split",
            )
        if not 1 <= self.num_shards <= examples:
            raise DpigError(
                f"cannot cut {examples} examples into {self.num_shards} shards", field="num_shards"
            )

    @property
    def name(self) -> str:
        """How the names of all its files begin."""
        return f"{self.prefix}_{self.split}"

    @property
    def shards_there(self) -> list[pathlib.Path]:
        """Record files of this split in the folder, however many it was cut into."""
        digits = "[0-9]" * 5
        pattern = f"{self.name}_{digits}-of-{digits}.tfrecord"
        return sorted(pathlib.Path(self.out_dir).glob(pattern))

    @property
    def manifest_path(self) -> pathlib.Path:
        return pathlib.Path(self.out_dir) / schema.manifest_name(self.name)

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
        DpigError: if there are fewer pairs than shards, or the split is no file name.
        OutputError: if the folder holds records made from other settings.
        locks.LockedError: if another process is writing the split.
    """
    output.check(len(pairs))
    with locks.writing(output.out_dir, output.name):
        return _write_pairs(output, pairs, encoder, settings, report)


def _write_pairs(output, pairs, encoder, settings, report) -> Written:
    count = len(pairs)
    settings = {**settings, "examples": count, "shards": output.num_shards}
    manifest = _opened_manifest(output, settings)
    finished = manifest.files
    reused = len(finished)
    manifest.facts |= {"version": _MANIFEST_VERSION, **(report or {})}

    def note_finished():
        manifest.facts["finished"] = len(finished) == output.num_shards
        manifest.write()

    note_finished()  # before the first shard, which is of unknown origin without
    progress = Progress(output.name, count)
    for shard in range(output.num_shards):
        path = output.shard_path(shard)
        if path.name in finished:
            continue
        start, stop = (count * i // output.num_shards for i in (shard, shard + 1))
        chosen = _reporting(encoder.encode(pairs[start:stop]), start, progress)
        writer.write_shard(path, chosen)
        finished[path.name] = {
            "examples": stop - start,
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
        }
        note_finished()
    paths = tuple(output.shard_path(shard) for shard in range(output.num_shards))
    return Written(count, paths, reused)


def _opened_manifest(output, settings) -> Manifest:
    """A manifest of whole shards with the same settings; refuses or clears anything else."""
    present = {path.name: path for path in output.shards_there}
    if present and not output.manifest_path.exists() and not output.overwrite:
        raise OutputError(
            f"{output.out_dir} already holds {next(iter(present))} of unknown origin: choose "
            "another folder, or overwrite",
            file=output.out_dir,
        )
    what = f"records of {output.name}"
    manifest = Manifest(output.manifest_path, settings, what, output.overwrite)
    remove_temporaries(pathlib.Path(output.out_dir), f"{output.name}_[0-9]*.tfrecord")
    for name, facts in list(manifest.files.items()):
        if name not in present or sha256(present[name]) != facts.get("sha256"):
            del manifest.files[name]
    if output.overwrite:
        for name, path in present.items():
            if name not in manifest.files:
                path.unlink()
    return manifest


def _reporting(examples: Iterable[bytes], start: int, progress: Progress):
    for done, example in enumerate(examples, start + 1):
        yield example
        progress.update(done)
