"""Writing the files of one split: shards, a manifest, and continuing where a run stopped."""

import contextlib
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from dpig_tf2.errors import DpigError
from dpig_tf2.io import locks
from dpig_tf2.io.atomic import remove_temporaries, replacing
from dpig_tf2.io.hashes import sha256
from dpig_tf2.io.manifests import Manifest, OutputError
from dpig_tf2.preparation.store import PairFile
from dpig_tf2.preparation.workers import Workers, count_one
from dpig_tf2.progress import Progress
from dpig_tf2.records import schema, wire, writer

_MANIFEST_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Output:
    """Where the records of a split go and how they are cut.

    Args:
        out_dir: folder, created if needed.
        prefix: dataset part of the file names.
        split: split part of the file names.
        num_shards: number of files, at most `schema.MAX_SHARDS`.
        overwrite: replace what an earlier run with other settings wrote.
        layout: one of `schema.LAYOUTS`.

    Raises:
        DpigError: if the split is no name, the layout is unknown, or there are too many shards.
    """

    out_dir: pathlib.Path
    prefix: str
    split: str
    num_shards: int = 1
    overwrite: bool = False
    layout: str = "published"

    def __post_init__(self):
        if not re.fullmatch(r"\w[\w.-]*", self.split):
            raise DpigError(
                f"split must be a name of letters, digits, _ . -; got {self.split!r}",
                field="split",
            )
        if self.layout not in schema.LAYOUTS:
            choices = " or ".join(schema.LAYOUTS)
            raise DpigError(f"layout must be {choices}, got {self.layout!r}", field="layout")
        if self.num_shards > schema.MAX_SHARDS:
            raise DpigError(
                f"num_shards must be at most {schema.MAX_SHARDS}, got {self.num_shards}",
                field="num_shards",
            )

    def check(self, examples: int) -> None:
        """Raises DpigError if there are fewer examples than shards."""
        if not 1 <= self.num_shards <= examples:
            what = "photos" if self.layout == "lean" else "examples"
            raise DpigError(
                f"cannot cut {examples} {what} into {self.num_shards} shards", field="num_shards"
            )

    @property
    def name(self) -> str:
        """How the names of all its files begin."""
        return f"{self.prefix}_{self.split}"

    @property
    def files_there(self) -> list[pathlib.Path]:
        """Files of this split in the folder, whatever their layout, however it was cut."""
        folder = pathlib.Path(self.out_dir)
        found = [path for shards in self.shard_patterns for path in sorted(folder.glob(shards))]
        return found + [path for path in [self.pairs_path] if path.exists()]

    @property
    def shard_patterns(self) -> list[str]:
        """What the names of its shards are like, whatever their layout and number."""
        numbers = "-of-".join(["[0-9]" * 5] * 2)
        endings = (".tfrecord", schema.PHOTOS_ENDING)
        return [f"{self.name}_{numbers}{ending}" for ending in endings]

    @property
    def scratch_name(self) -> str:
        """How the names of files begin that last as long as a session, and those of no other split.

        A split "train" may be written beside "train.v2", but no split is called "train~".
        """
        return f"{self.name}~"

    @property
    def manifest_path(self) -> pathlib.Path:
        return pathlib.Path(self.out_dir) / schema.manifest_name(self.name)

    @property
    def pairs_path(self) -> pathlib.Path:
        """The pairs of the lean layout."""
        return pathlib.Path(self.out_dir) / schema.pairs_name(self.prefix, self.split)

    def shard_path(self, shard: int) -> pathlib.Path:
        name = schema.shard_name(self.prefix, self.split, shard, self.num_shards, self.layout)
        return pathlib.Path(self.out_dir) / name


@contextlib.contextmanager
def claimed(output: Output) -> Iterator[None]:
    """Keeps other processes from writing the split, and removes what killed ones left.

    Raises:
        locks.LockedError: if another process is writing the split.
    """
    with locks.writing(output.out_dir, output.name):
        files = (output.pairs_path.name, output.manifest_path.name, f"{output.scratch_name}*")
        for name in (*output.shard_patterns, *files):
            remove_temporaries(pathlib.Path(output.out_dir), name)
        yield


@dataclasses.dataclass(frozen=True)
class Written:
    """What is in the folder now; `reused` counts the shards that an earlier run had finished."""

    examples: int
    shards: tuple[pathlib.Path, ...]
    reused: int


Encode = Callable[[int, int], Iterable[writer.Checked]]


def write_shards(
    output: Output,
    count: int,
    encode: Encode,
    settings: Mapping[str, object],
    report: Mapping[str, object] | None = None,
    workers: Workers | None = None,
    pairs: PairFile | None = None,
) -> Written:
    """Writes records as shards with a manifest; finished shards of an earlier run are kept.

    To be called in `claimed`. A shard is a function of its number alone, whichever process writes
    it, and appears when it is complete.

    Args:
        output: where to.
        count: of the records.
        encode: (first, behind) -> the records of these numbers, serialized; pickled for workers.
        settings: everything that decides the content, JSON values; the same folder is never filled
            from two different settings.
        report: further facts for the manifest, such as counts of skipped images.
        workers: who write; None: this process alone.
        pairs: of the lean layout, whose records are photos.

    Raises:
        DpigError: if there are fewer records than shards.
        OutputError: if the folder holds records made from other settings.
        WorkerError: if a process is killed.
    """
    output.check(count)
    workers = workers or Workers()
    examples = count if pairs is None else len(pairs)
    settings = {
        **settings,
        "layout": output.layout,
        "examples": examples,
        "shards": output.num_shards,
    }
    manifest = _opened_manifest(output, settings)
    finished = manifest.files
    paths = tuple(output.shard_path(shard) for shard in range(output.num_shards))
    reused = sum(path.name in finished for path in paths)
    manifest.facts |= {"version": _MANIFEST_VERSION, **(report or {})}
    names = {path.name for path in paths} | (
        {output.pairs_path.name} if pairs is not None else set()
    )

    def note_finished():
        manifest.facts["finished"] = finished.keys() == names
        manifest.write()

    note_finished()  # before the first shard, which is of unknown origin without
    if pairs is not None and output.pairs_path.name not in finished:
        finished[output.pairs_path.name] = _write_pairs(output.pairs_path, pairs)
        note_finished()
    tasks = []
    for shard, path in enumerate(paths):
        if path.name not in finished:
            start, stop = (count * i // output.num_shards for i in (shard, shard + 1))
            tasks.append((path, encode, start, stop))
    left = sum(stop - start for _, _, start, stop in tasks)
    progress = Progress(output.name, count, initial=count - left)

    def show(done):
        if done:
            progress.update(count - left + done)

    for (path, *_), facts in workers.each(_write_shard, tasks, show):
        finished[path.name] = facts
        note_finished()
    return Written(examples, paths, reused)


def _write_shard(path, encode, start, stop):
    def counted():
        for record in encode(start, stop):
            yield record
            count_one()

    return wire.write_records(path, counted())


def _write_pairs(path, pairs):
    digest = hashlib.sha256()
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for block in pairs.blocks():
            digest.update(block.tobytes())
            file.write(block.tobytes())
    return {"examples": len(pairs), "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _opened_manifest(output, settings) -> Manifest:
    """A manifest of whole shards with the same settings; refuses or clears anything else."""
    present = {path.name: path for path in output.files_there}
    if present and not output.manifest_path.exists() and not output.overwrite:
        raise OutputError(
            f"{output.out_dir} already holds {next(iter(present))} of unknown origin: choose "
            "another --out_dir, or --overwrite",
            file=output.out_dir,
        )
    what = f"records of {output.name}"
    manifest = Manifest(output.manifest_path, settings, what, output.overwrite)
    for name, facts in list(manifest.files.items()):
        if name not in present or sha256(present[name]) != facts.get("sha256"):
            del manifest.files[name]
    if output.overwrite:
        for name, path in present.items():
            if name not in manifest.files:
                path.unlink()
    return manifest
