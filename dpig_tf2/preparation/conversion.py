"""What all converters share: photos looked at once by several processes, and records written.

First every photo is read, checked and brought to its size, and its masks and boxes are drawn, by
several processes; what comes of it is kept in a file. Then records are put together from it, shard
by shard. Pairs are in a file as well, so that memory does not grow with their number.
"""

import contextlib
import dataclasses
import functools
import itertools
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dpig_tf2.errors import DpigError, counted
from dpig_tf2.io import atomic
from dpig_tf2.io.hashes import sha256_of_arrays, sha256_of_texts
from dpig_tf2.io.images import MAX_PIXELS
from dpig_tf2.ops import drawing
from dpig_tf2.preparation import photos, record_folder
from dpig_tf2.preparation.photo_views import Item, PhotoFile, is_decoded_alike, prepare_all
from dpig_tf2.preparation.store import PairFile, Place, Store, load, naming, pickled
from dpig_tf2.preparation.workers import Workers
from dpig_tf2.progress import Progress
from dpig_tf2.records import pair_index, schema, writer

_CHUNK_PIXELS = 1 << 18  # of the photos that a process takes at a time
_NOTED_PROBLEMS = 1000  # lines in the manifest, which is written whole after every shard
_CACHED_PERSONS = 50_000  # whose names and poses stay in memory, a kilobyte each


@dataclasses.dataclass(frozen=True)
class Options:
    """How records are written, whatever they are made from.

    Args:
        flip: add every pair once more, mirrored left to right. None: as the source has it.
        parts: part regions in the records, 7 or 37.
        num_shards: record files.
        overwrite: replace records made with other settings.
        dry_run: report without writing.
        layout: one of `schema.LAYOUTS`.
        workers: processes; more than one need a script that is guarded, see `workers.Workers`.
        pairs_per_image: same-identity pairs that an image is the source of at most; None: all.
        seed: of the order of "train", and of the choice of pairs.
    """

    flip: bool | None = None
    parts: int = 37
    num_shards: int = 1
    overwrite: bool = False
    dry_run: bool = False
    layout: str = "published"
    workers: int = 1
    pairs_per_image: int | None = None
    seed: int = 0


DEFAULTS = Options()


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was written (None after a dry run), what would be, and every problem that was met.

    `left_out`: how many images are not used.
    """

    written: record_folder.Written | None
    plan: str
    problems: tuple[str, ...]
    left_out: int = 0


@dataclasses.dataclass(frozen=True)
class UsablePhoto:
    """A photo that can become a record: `keypoints` float32 [18, 3] in the record's pixels."""

    name: str
    keypoints: np.ndarray
    sha256: str  # of the file
    views: tuple[Place, ...]  # in the session's store; none in a dry run


@dataclasses.dataclass(frozen=True)
class Target:
    """What kind of records go where.

    Args:
        out_dir: folder for the records.
        variant: name of a `schema.Variant`.
        split: split part of the file names.
        height, width: image size in the records, pixels.
        image_format: "jpg" or "png", noted in the records.
        real: whether the images are photographs.
    """

    out_dir: pathlib.Path
    variant: str
    split: str
    height: int
    width: int
    image_format: str = "jpg"
    real: bool = True


@dataclasses.dataclass(frozen=True)
class Individual:
    """A view of a photo, and who is on it.

    Args:
        photo: the photo.
        view: 0, or 1 for the mirrored one.
        identity: index of the person within the split.
        camera: -1 if unknown.
        fields: makes further `writer.Person` fields.
    """

    photo: UsablePhoto
    view: int
    identity: int
    camera: int = -1
    fields: Callable[[], Mapping[str, object]] = dict


@contextlib.contextmanager
def session(target: Target, options: Options = DEFAULTS) -> Iterator["Session"]:
    """A conversion under way: its folder is claimed, its processes run.

    Problems become notes of the error if the work ends in one.

    Raises:
        DpigError: if the split is no name, or an option or the image size is out of range.
        locks.LockedError: if another process is writing the split.
    """
    if target.height * target.width > MAX_PIXELS:
        raise DpigError(
            f"images of {target.height} x {target.width} pixels (rows x columns) are more than the "
            f"{MAX_PIXELS} in all that are read",
            field="height",
        )
    output = record_folder.Output(
        pathlib.Path(target.out_dir),
        schema.variant(target.variant).file_prefix,
        target.split,
        options.num_shards,
        options.overwrite,
        options.layout,
    )
    workers = Workers(options.workers)
    with contextlib.ExitStack() as stack:
        if options.dry_run:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            scratch = folder / output.scratch_name
        else:
            stack.enter_context(record_folder.claimed(output))
            scratch = output.out_dir / output.scratch_name
        started = Session(target, options, output, workers, scratch)
        stack.callback(started.close)
        stack.enter_context(workers)  # ends first: the others read the session's files
        try:
            yield started
        except DpigError as error:
            for problem in started.problems:
                error.add_note(problem)
            raise


class Session:
    """See `session`.

    Attributes:
        problems: a line for each that was met.
    """

    def __init__(self, target, options, output, workers, scratch):
        self.problems: list[str] = []
        self.target, self.options = target, options
        self._output, self._workers, self._scratch = output, workers, scratch
        self._files: list[pathlib.Path] = []
        self._format = writer.Format(
            target.variant,
            target.height,
            target.width,
            options.parts,
            target.image_format,
            target.real,
        )
        self._store = None if options.dry_run else Store(self._temporary("views"))

    def close(self) -> None:
        """Removes what the session has kept in files."""
        _opened.cache_clear()
        for path in self._files:
            path.unlink(missing_ok=True)
        if self._store:
            with contextlib.suppress(OSError):  # of a full disk, which has been told
                self._store.close()

    def new_pairs(self, what: str) -> PairFile:
        """An empty file of pairs, which the session removes in the end."""
        return PairFile(self._temporary(what))

    def usable_photos(
        self,
        folder,
        keypoints: Mapping[str, np.ndarray],
        resize: str = "none",
        background: photos.Color = photos.GRAY,
        mirrored: bool = False,
    ) -> dict[str, UsablePhoto]:
        """Photos that can be decoded and that fit, by name; every other one becomes a problem.

        Args:
            folder: where the photos lie.
            keypoints: float32 [18, 3] of each photo by name, pixels of the photo.
            resize: one of `photos.RESIZE_MODES`.
            background: what shines through transparent pixels.
            mirrored: whether there is to be a second view of each, mirrored.
        """
        size = (self.target.height, self.target.width)
        views = (False, True) if mirrored else (False,)
        files = {
            name: PhotoFile(
                pathlib.Path(folder, name), keypoints[name], size, resize, views, background
            )
            for name in sorted(keypoints)
        }
        return self.look_at(files, f"photos in {folder}")

    def look_at(self, items: Mapping[str, Item], what: str) -> dict[str, UsablePhoto]:
        """What the processes make of some photos; those that cannot be used become problems.

        A file that goes into records as it is must be one that TensorFlow decodes as Pillow does.

        Args:
            items: by name.
            what: the photos, for progress lines.
        """
        progress = Progress(what, len(items), initial=0)
        names, found = iter(items), {}
        is_pairs = self._store is not None and self.options.layout == "published"
        make = functools.partial(prepare_all, record_format=self._format if is_pairs else None)
        each = max(1, _CHUNK_PIXELS // (self.target.height * self.target.width))
        done = 0
        with ThreadPoolExecutor(self._workers.count) as threads:
            for made in self._workers.map(make, _chunks(items.values(), each)):
                decoded = threads.map(is_decoded_alike, [one.prepared for one in made])
                for name, one, alike in zip(
                    itertools.islice(names, len(made)), made, decoded, strict=True
                ):
                    self.problems += one.prepared.problems
                    if not alike:
                        path = getattr(items[name], "path", name)
                        self.problems.append(
                            f"{path}: is damaged: TensorFlow does not decode it as Pillow"
                        )
                    elif one.views:
                        found[name] = UsablePhoto(
                            name,
                            one.prepared.views[0].keypoints,
                            one.prepared.sha256,
                            tuple(map(self._store.add, one.views)) if self._store else (),
                        )
                done += len(made)
                progress.update(done)
        return found

    def write(
        self,
        persons: Sequence[Individual],
        pairs: PairFile,
        used: Iterable[UsablePhoto],
        num_images: int,
        settings: Mapping[str, object],
        inputs: Mapping[str, str] | None = None,
    ) -> Conversion:
        """Writes the pairs with a manifest, or tells what would be written.

        Args:
            persons: who the pairs are made of.
            pairs: numbers of persons, in the order of the records.
            used: the photos that there are to make records of.
            num_images: photos that there were, usable or not.
            settings: what was asked for, for the manifest.
            inputs: hashes of what was read besides photos and keypoints, by what it is.

        Raises:
            DpigError: if there are fewer records than shards.
            RecordError: if the content of a record would break a rule.
            OutputError: if the folder holds records made from something else.
            WorkerError: if a process was killed.
        """
        used = list(used)
        left_out = num_images - len(used)
        in_pairs = np.zeros(len(persons), bool)
        for block in pairs.blocks():
            in_pairs[block] = True
        is_lean = self.options.layout == "lean"
        self._output.check(int(in_pairs.sum()) if is_lean else len(pairs))
        people = {persons[number].identity for number in np.flatnonzero(in_pairs).tolist()}
        plan = (
            f"{counted(len(pairs), 'example')} of "
            f"{counted(len(people), 'identity', 'identities')} from {len(used)} of "
            f"{counted(num_images, 'image')}, {self.target.height} x {self.target.width} pixels, "
            f"in {counted(self.options.num_shards, 'file')} {self._output.name}"
        )
        if self._store is None:
            return Conversion(None, plan, tuple(self.problems), left_out)
        if is_lean:
            persons, pairs = self._only(in_pairs, persons, pairs)
        records = StoredRecords(
            self._store.path, self._listed(persons), pairs.path, len(pairs), self._format
        )
        written = record_folder.write_shards(
            self._output,
            len(persons) if is_lean else len(pairs),
            records.photos if is_lean else records.pairs,
            self._settings(used, settings, inputs or {}),
            {"images": len(used), "identities": len(people), "problems": self._noted()},
            self._workers,
            pairs if is_lean else None,
        )
        return Conversion(written, plan, tuple(self.problems), left_out)

    def _noted(self):
        """The problems for the manifest."""
        more = len(self.problems) - _NOTED_PROBLEMS
        told = [f"{more} more, which a dry run prints"] if more > 0 else []
        return self.problems[:_NOTED_PROBLEMS] + told

    def _temporary(self, what):
        name = f"{self._scratch.name}{what}{len(self._files)}"  # a file for each call
        path = atomic.temporary_path(self._scratch.with_name(name))
        self._files.append(path)
        return path

    def _only(self, in_pairs, persons, pairs):
        """The persons that stand in pairs, and the pairs with their numbers."""
        number = np.cumsum(in_pairs) - 1
        kept = self.new_pairs("kept")
        for block in pairs.blocks():
            kept.append(number[block])
        return [persons[old] for old in np.flatnonzero(in_pairs).tolist()], kept

    def _listed(self, persons):
        """A file that tells where in the store each person is, int64 [N, 3, 2]."""
        store, path = self._store, self._temporary("persons")
        assert store is not None
        with naming(path), open(path, "wb") as file:
            for person in persons:
                keypoints = person.photo.keypoints
                if person.view:
                    keypoints = drawing.mirrored(keypoints, self.target.width)
                facts = (person.photo.name, keypoints, person.identity, person.camera)
                places = [
                    store.add(pickled(facts)),
                    person.photo.views[person.view],
                    store.add(pickled(person.fields())),
                ]
                file.write(np.array([dataclasses.astuple(p) for p in places]).tobytes())
        store.close()
        return path

    def _settings(self, used, settings, inputs):
        return {
            **settings,
            "variant": self.target.variant,
            "height": self.target.height,
            "width": self.target.width,
            "parts": self.options.parts,
            "flip": bool(self.options.flip),
            "pairs_per_image": self.options.pairs_per_image,
            "seed": self.options.seed,
            "inputs": {
                "images": sha256_of_texts(f"{photo.name} {photo.sha256}" for photo in used),
                "keypoints": sha256_of_arrays(photo.keypoints for photo in used),
                **inputs,
            },
        }


@dataclasses.dataclass(frozen=True)
class StoredRecords:
    """Records made of what a session has kept, in any process that can read its files.

    Args:
        store: of a `Store`.
        persons: int64 [N, 3, 2], places in it of each person's facts, view and further fields. A
            view is what a record of pairs holds of it, for the lean layout the encoded image.
        pair_file: of a `PairFile`.
        num_pairs: in it.
        record_format: of the records.
    """

    store: pathlib.Path
    persons: pathlib.Path
    pair_file: pathlib.Path
    num_pairs: int
    record_format: writer.Format

    def pairs(self, start: int, stop: int) -> Iterator[writer.Checked]:
        """Serialized examples of pairs."""
        encoder, _, person = _opened(self)
        table = np.memmap(self.pair_file, pair_index.DTYPE, "r", shape=(self.num_pairs, 2))
        chosen = (row.tolist() for row in table.view(np.ndarray)[start:stop])
        return encoder.encode(writer.Pair(person(one), person(other)) for one, other in chosen)

    def photos(self, start: int, stop: int) -> Iterator[writer.Checked]:
        """Serialized examples of single persons."""
        _, encoder, person = _opened(self)
        return encoder.encode(map(person, range(start, stop)))


@functools.lru_cache(maxsize=1)  # for all shards that a process writes
def _opened(records: StoredRecords):
    """Encoders of pairs and photos, and a function that gives persons by number."""
    places = np.memmap(records.persons, np.int64, "r").view(np.ndarray).reshape(-1, 3, 2)

    # What is large is read when it is asked for.
    @functools.lru_cache(maxsize=4)
    def read(number, what):
        return load(records.store, Place(*places[number, what].tolist()))

    def field(number, name):
        return read(number, _FIELDS).get(name)

    @functools.lru_cache(maxsize=_CACHED_PERSONS)
    def person(number):
        name, keypoints, identity, camera = read(number, _FACTS)
        view = functools.partial(read, number, _VIEW)
        return writer.Person(
            name,
            view,
            keypoints,
            identity,
            camera,
            described=view,
            is_decodable=True,
            **{n: functools.partial(field, number, n) for n in _FIELD_NAMES},
        )

    record_format = records.record_format
    return writer.PairEncoder(record_format), writer.PhotoEncoder(record_format), person


_FACTS, _VIEW, _FIELDS = range(3)
_FIELD_NAMES = ("attributes", "word_vectors", "candidates", "segmentation")


def _chunks(items, size):
    items = iter(items)
    while chunk := list(itertools.islice(items, size)):
        yield chunk
