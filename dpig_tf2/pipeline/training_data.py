"""What stages are trained on: pairs of photos in records, poses, or persons drawn as needed."""

import abc
import dataclasses
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
import tensorflow as tf

from dpig_tf2.config import STAGES, Config, ConfigError, ModelConfig
from dpig_tf2.errors import counted
from dpig_tf2.pipeline.batches import training_batches, unique_persons
from dpig_tf2.pipeline.cache import count_distinct_images
from dpig_tf2.pipeline.screening import require_examples, usable_records
from dpig_tf2.pipeline.shares import own_rows
from dpig_tf2.records.record_set import RecordSet

PERSONS_AT_A_TIME = 32  # in the batches of `TrainingData.persons`


class TrainingData(abc.ABC):
    """One kind of data. It has the methods that the stages of `SERVES` ask for.

    `photo_batches` is for stage reconstruction, `persons` for appearance_mapping, `poses` for the
    two pose stages. Persons are as `pipeline.parser` documents them.
    """

    SERVES: ClassVar[tuple[str, ...]] = STAGES
    REFUSAL: ClassVar[str] = ""  # what follows "stage NAME" in the message to other stages
    SMALLEST_BATCH: ClassVar[int] = 1  # of stage reconstruction, rows

    def require(self, config: Config, stages) -> Self:
        """The data that will do for the stages, which is less where bad records are left out.

        Raises:
            ConfigError: if a stage needs more than there is.
            RecordError: as `training_batches`.
        """
        for stage in stages:
            if stage not in self.SERVES:
                raise ConfigError(f"stage {stage} {self.REFUSAL}")
        size = config.reconstruction.batch_size
        if "reconstruction" in stages and size < self.SMALLEST_BATCH:
            raise ConfigError(
                f"reconstruction.batch_size must be at least {self.SMALLEST_BATCH} for "
                f"{self.describe()}, got {size}",
                field="reconstruction.batch_size",
            )
        return self

    @abc.abstractmethod
    def __len__(self) -> int:
        """Pairs, photos or poses."""

    @abc.abstractmethod
    def describe(self) -> str:
        """In a few words, for the log."""

    @abc.abstractmethod
    def shown(self, model: ModelConfig, count: int) -> dict[str, np.ndarray]:
        """`count` persons for the pictures of a run; fewer, if records or photos have no more.

        Returns:
            A person with `target_keypoints` and `target_image`; of poses alone `keypoints`. Each
            has a visible keypoint.

        Raises:
            ConfigError: if nobody has.
        """

    def count_persons(self, model: ModelConfig, at_most: int) -> int:
        """How many rows the stages after the first have, counted up to `at_most`."""
        return len(self)

    def photo_batches(
        self, config: Config, updates: int, start: int, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        """Endless batches {"source", "target"} and, where it is known, "scene" of persons.

        Args:
            config: gives batch size, seed and the form of persons.
            updates: times the batch size is what a batch holds.
            start: number of the first batch.
            context: of tf.distribute.
        """
        size = config.reconstruction.batch_size * updates
        return own_rows(self.batches(config.model, size, start), size, updates, context)

    def batches(self, model: ModelConfig, batch_size: int, start: int = 0) -> tf.data.Dataset:
        """Those of `photo_batches` for all replicas together."""
        raise NotImplementedError

    def persons(self, model: ModelConfig) -> Iterator[dict]:
        """Every distinct photo once, in batches of persons."""
        raise NotImplementedError

    def poses(self, model: ModelConfig) -> np.ndarray:
        """The pose of every distinct photo, float32 [N, 18, 3], pixels."""
        raise NotImplementedError

    def fingerprint(self) -> bytes:
        """Of what `persons` gives: other photos, other bytes."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class RecordPairs(TrainingData):
    """Pairs of photos in record files.

    Attributes:
        records: what to read.
        cache: decoded images kept in "memory", or "none".
        skip_bad_records: leave out and count bad records instead of failing.
    """

    records: RecordSet
    cache: str = "none"
    skip_bad_records: bool = False

    def require(self, config, stages):
        records = usable_records(self.records, config.model, self.skip_bad_records)
        if "reconstruction" in stages:
            updates = config.updates_per_step("reconstruction")
            require_examples(records, config.reconstruction.batch_size * updates)
        return dataclasses.replace(self, records=records, skip_bad_records=False)

    def __len__(self):
        return len(self.records)

    def describe(self):
        return f"{counted(len(self), 'pair')} of {self.records.paths[0].parent}"

    def shown(self, model, count):
        epoch = training_batches(self.records, model, 1, seed=0).unbatch().take(len(self))
        seen = epoch.filter(lambda pair: tf.reduce_any(pair["source"]["keypoints"][:, 2] > 0.5))
        for batch in seen.batch(count):
            return as_shown(batch)
        folder = self.records.paths[0].parent
        raise ConfigError(f"{folder}: not one person has a visible keypoint", file=folder)

    def count_persons(self, model, at_most):
        return count_distinct_images(self.records, at_most)

    def photo_batches(self, config, updates, start, context):
        return training_batches(
            self.records,
            config.model,
            config.reconstruction.batch_size * updates,
            config.seed,
            start=start,
            cache=self.cache,
            skip_bad_records=self.skip_bad_records,
            updates=updates,
            input_context=context,
        )

    def persons(self, model):
        persons = unique_persons(self.records, model, PERSONS_AT_A_TIME, self.skip_bad_records)
        return persons.as_numpy_iterator()

    def poses(self, model):
        return np.concatenate([person["keypoints"] for person in self.persons(model)])

    def fingerprint(self):
        checksum = 0
        for file in self.records.examples_in:
            status = os.stat(file)
            identity = f"{pathlib.Path(file).name} {status.st_size} {status.st_mtime_ns}"
            checksum = zlib.crc32(identity.encode(), checksum)
        return checksum.to_bytes(4)


@dataclasses.dataclass(frozen=True)
class Poses(TrainingData):
    """Poses alone.

    Attributes:
        keypoints: float32 [N, 18, 3], pixels of the model's image size.
    """

    SERVES = ("pose", "pose_mapping")
    REFUSAL = "needs photos: poses alone train only the pose stages"

    keypoints: np.ndarray

    def __len__(self):
        return len(self.keypoints)

    def describe(self):
        return counted(len(self), "pose")

    def shown(self, model, count):
        seen = with_visible_keypoint(self.keypoints)
        return {"keypoints": seen[np.linspace(0, len(seen) - 1, count).astype(int)]}

    def count_persons(self, model, at_most):
        return len(with_visible_keypoint(self.keypoints))

    def poses(self, model):
        return self.keypoints


def with_visible_keypoint(keypoints: np.ndarray) -> np.ndarray:
    """Those of [N, 18, 3] of whom something is seen."""
    return keypoints[(keypoints[..., 2] > 0.5).any(axis=1)]


def as_shown(batch) -> dict[str, np.ndarray]:
    """A batch {"source", "target"} as `TrainingData.shown` returns it."""
    batch = tf.nest.map_structure(np.asarray, batch)
    target = batch["target"]
    return batch["source"] | {
        "target_keypoints": target["keypoints"],
        "target_image": target["image"],
    }
