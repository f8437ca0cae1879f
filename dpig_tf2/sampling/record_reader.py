"""Persons for the sampling tasks, read from records."""

import hashlib
from collections.abc import Iterator

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.sampling.persons import Namer, Persons, concatenate


class RecordReader:
    """Persons and pairs of a record split, in file order, in batches.

    Args:
        data_dir, split: where the records are.
        model: gives the image size, mask radius and box rule.
        batch_size: records per batch.
        limit: pairs or persons at most.
        skip_bad_records: leave out bad records.
        both_sides: targets count as persons too, each behind its source.

    Attributes:
        files: the manifest, which has the checksums of the records. Others' records have none, and
            are too large to be read for their own.
        poses: none are looked for.
        skipped: a line for each person that was left out.
        notes: other remarks.
        done, total: how far reading is.
    """

    def __init__(
        self,
        data_dir: str,
        split: str,
        model: ModelConfig,
        batch_size: int,
        limit: int | None = None,
        skip_bad_records: bool = False,
        both_sides: bool = False,
    ):
        self._records = RecordSet.open(data_dir, split)
        self._model, self._batch_size = model, batch_size
        self._limit, self._skip_bad_records = limit, skip_bad_records
        self._both_sides = both_sides
        self._names: dict[bytes, str] = {}
        self._namer = Namer()
        self.files = [self._records.manifest]
        self.poses = None
        self.notes: list[str] = []
        self.skipped: list[str] = []
        self.done, self.total = 0, limit or len(self._records)

    def pairs(self) -> Iterator[tuple[Persons, Persons]]:
        """(sources, targets) of the first `limit` records."""
        for source, target in self._batches(self._limit):
            sources, targets = self._persons(source), self._persons(target)
            rows = [i for i, name in enumerate(sources.names) if self._usable(name, sources, i)]
            rows = [i for i in rows if self._usable(targets.names[i], targets, i)]
            self.done += len(sources)
            yield sources.take(rows), targets.take(rows)

    def persons(self) -> Iterator[Persons]:
        """The first `limit` distinct images."""
        seen: set[str] = set()
        taken = 0
        for source, target in self._batches(None):
            persons = self._persons(source)
            if self._both_sides:
                both = concatenate([persons, self._persons(target)])
                persons = both.take(np.arange(len(both)).reshape(2, -1).T.ravel())
            rows = []
            for i, name in enumerate(persons.names):
                if name not in seen and self._usable(name, persons, i):
                    rows.append(i)
                seen.add(name)
            if self._limit:
                rows = rows[: self._limit - taken]
            taken += len(rows)
            self.done = taken if self._limit else self.done + len(source["name"])
            if rows:
                yield persons.take(rows)
            if taken == self._limit:
                return

    def _batches(self, limit):
        dataset = evaluation_batches(
            self._records, self._model, self._batch_size, limit, self._skip_bad_records
        )
        for batch in dataset.as_numpy_iterator():
            yield batch["source"], batch["target"]

    def _persons(self, person):
        return Persons(
            tuple(self._name(person, i) for i in range(len(person["name"]))),
            person["keypoints"],
            person["image"],
            tuple(str(number) for number in person["identity"]),
            {key: person[key] for key in ANNOTATION_KEYS},
        )

    def _name(self, person, i):
        """The image's name; the same image always has the same one, another image another one."""
        given = person["name"][i]
        digest = hashlib.blake2b(given + person["image"][i].tobytes(), digest_size=16)
        digest.update(person["keypoints"][i].tobytes())
        if digest.digest() not in self._names:
            fallback = f"image_{len(self._names):06d}"  # older records name no images
            name = self._namer.name(given.decode(errors="replace"), fallback)
            self._names[digest.digest()] = name
        return self._names[digest.digest()]

    def _usable(self, name, persons, i):
        visible = persons.keypoints[i, :, 2].any()
        if not visible:
            self.skipped.append(f"{name}: not one keypoint is visible")
        return visible
