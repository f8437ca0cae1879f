"""What each stage trains on: record batches, keypoints, or embeddings of a frozen encoder."""

import dataclasses
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.config import Config, ConfigError
from dpig_tf2.io import array_files
from dpig_tf2.models.loading import load_stage_networks
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.pipeline.arrays import array_batches
from dpig_tf2.pipeline.batches import training_batches, unique_persons
from dpig_tf2.pipeline.cache import count_distinct_images
from dpig_tf2.pipeline.fresh_persons import FreshPersons
from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.pipeline.personal_photos import PersonalPhotos
from dpig_tf2.pipeline.screening import require_examples, usable_records
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.run_folder import RunFolder

_ENCODING_BATCH = 32


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Records of persons, keypoints alone for the two pose stages, or persons drawn as needed.

    Exactly one of `records`, `keypoints` and `fresh` is given.

    Attributes:
        records: pairs of photos.
        keypoints: float32 [N, 18, 3], pixels of the model's image size.
        fresh: what draws its photos as they are needed.
        cache: decoded images kept in "memory", or "none".
        skip_bad_records: leave out and count bad records instead of failing.
    """

    records: RecordSet | None = None
    keypoints: np.ndarray | None = None
    fresh: FreshPersons | PersonalPhotos | None = None
    cache: str = "none"
    skip_bad_records: bool = False

    @property
    def pairs(self) -> RecordSet:
        """The records. Raises ConfigError if there are only keypoints."""
        if self.records is None:
            raise ConfigError("poses alone train only the pose stages: photos are needed")
        return self.records

    @property
    def _fresh_persons(self) -> FreshPersons:
        if not isinstance(self.fresh, FreshPersons):
            raise ConfigError("a few photos train stage reconstruction only")
        return self.fresh

    def person_keypoints(self, config: Config) -> np.ndarray:
        """Keypoints of every distinct image with a visible keypoint, float32 [N, 18, 3]."""
        if self.keypoints is not None:
            keypoints = self.keypoints
        elif self.fresh is not None:
            keypoints = self._fresh_persons.poses(config.model)
        else:
            persons = unique_persons(
                self.pairs, config.model, _ENCODING_BATCH, self.skip_bad_records
            )
            keypoints = np.concatenate([p["keypoints"] for p in persons.as_numpy_iterator()])
        return keypoints[(keypoints[..., 2] > 0.5).any(axis=1)]

    def count_persons(self, config: Config, at_most: int) -> int:
        """Distinct images, counted up to `at_most`; or all poses with a visible keypoint."""
        if self.fresh is not None:
            return self.fresh.photos
        if self.records is None:
            return len(self.person_keypoints(config))
        return count_distinct_images(self.records, at_most)

    def encodable(self, config: Config) -> Iterator:
        """Every distinct image once, in batches of persons as `pipeline.parser` documents them."""
        if self.fresh is not None:
            return self._fresh_persons.persons(config.model, _ENCODING_BATCH)
        persons = unique_persons(self.pairs, config.model, _ENCODING_BATCH, self.skip_bad_records)
        return persons.as_numpy_iterator()

    def __len__(self) -> int:
        if self.fresh is not None:
            return self.fresh.photos
        return len(self.pairs if self.keypoints is None else self.keypoints)

    def describe(self) -> str:
        if self.fresh is not None:
            return self.fresh.describe()
        if self.records is None:
            return f"{len(self)} poses"
        return f"{len(self)} pairs of {self.records.paths[0].parent}"


def prepared(data: TrainingData, config: Config, stages: Sequence[str]) -> TrainingData:
    """The same data, known to serve every stage; to be called before anything is written.

    Bad records that may be skipped are left out here, once for all stages.

    Raises:
        ConfigError: if there are too few images or poses for a batch, or photos are needed.
        RecordError: as `training_batches`.
    """
    if data.records is not None:
        records = usable_records(data.records, config.model, data.skip_bad_records)
        data = dataclasses.replace(data, records=records, skip_bad_records=False)
    elif data.fresh is None and (
        photo_stages := [s for s in stages if s not in ("pose", "pose_mapping")]
    ):
        raise ConfigError(
            f"stage {photo_stages[0]} needs photos: poses alone train only the pose stages"
        )
    if "reconstruction" in stages and data.fresh is None:
        size = config.reconstruction.batch_size * config.updates_per_step("reconstruction")
        require_examples(data.pairs, size)
    sizes = {s: config.stage(s).batch_size for s in stages if s != "reconstruction"}
    if sizes:
        found = data.count_persons(config, at_most=max(sizes.values()))
        for stage, batch_size in sizes.items():
            _require_rows(found, batch_size, stage)
    return data


def stage_batches(
    run: RunFolder,
    stage: str,
    data: TrainingData,
    updates: int,
    report: Callable[[str], None],
    writes_cache: bool = True,
) -> Callable[[int, tf.distribute.InputContext], tf.data.Dataset]:
    """The endless batches of one stage, as a function of first step and input context.

    A batch holds `updates` times the stage's batch size. Everything is a pure function of data,
    seed and step, which is what makes a resumed run equal an uninterrupted one.

    Args:
        run: the run folder; stage II reads its predecessor's checkpoint from here.
        stage: name of the stage.
        data: what to train on, as `prepared` for the stage.
        updates: the trainer's `updates_per_step`.
        report: told what is being prepared.
        writes_cache: keep what is computed in the run folder, which one worker alone may do.

    Raises:
        ConfigError: if the predecessor is missing, or too few persons have a visible keypoint.
        RecordError: as `training_batches`.
    """
    config = run.config
    size = config.stage(stage).batch_size * updates
    if stage == "reconstruction" and data.fresh is not None:
        fresh = data.fresh
        return lambda start, context=None: fresh.batches(config.model, size, start)
    if stage == "reconstruction":
        return lambda start, context=None: training_batches(
            data.pairs,
            config.model,
            size,
            config.seed,
            start=start,
            cache=data.cache,
            skip_bad_records=data.skip_bad_records,
            updates=updates,
            input_context=context,
        )
    if stage == "appearance_mapping":
        arrays = {"embedding": _appearance_embeddings(run, data, report, writes_cache)}
    else:
        keypoints = data.person_keypoints(config)
        _require_rows(len(keypoints), config.stage(stage).batch_size, stage)
        if stage == "pose":
            arrays = {"keypoints": keypoints}
        else:
            model = PersonModel(config.model, load_stage_networks(run, "pose"))
            arrays = {"embedding": {"pose": tf.function(model.encode_pose)(keypoints)}}
    return lambda start, context=None: array_batches(
        arrays, size, config.seed, start, updates, context
    )


def _appearance_embeddings(run, data, report, writes_cache):
    """{factor: float32 [N, E]} of every distinct image, computed once for a checkpoint and data."""
    path, arrays = run.load_checkpoint("reconstruction")
    cache = run.path / "cache" / f"embeddings-{_fingerprint(arrays, data)}.npz"
    if cache.exists():
        embeddings = array_files.load(cache)
    else:
        embeddings = _encode_images(
            run, data, lambda done: report(f"encoding images with {path.name}: {done}")
        )
        if writes_cache:
            array_files.save(cache, embeddings)
            for old in cache.parent.glob("embeddings-*.npz"):
                if old != cache:
                    old.unlink()
    batch_size = run.config.appearance_mapping.batch_size
    _require_rows(len(next(iter(embeddings.values()))), batch_size, "appearance_mapping")
    return embeddings


def _encode_images(run, data, report):
    """{factor: float32 [N, E]} of every distinct image with a visible keypoint."""
    model = PersonModel(run.config.model, load_stage_networks(run, "reconstruction"))
    encode = tf.function(model.encode_person, reduce_retracing=True)
    names = ("image", "keypoints", *ANNOTATION_KEYS)
    encoded, done = [], 0
    for person in data.encodable(run.config):
        seen = (np.asarray(person["keypoints"])[..., 2] > 0.5).any(axis=1)
        if not seen.any():
            continue
        encoded.append(
            encode({name: tf.constant(np.asarray(person[name])[seen]) for name in names}).numpy()
        )
        done += len(encoded[-1])
        report(done)
    return model.split_appearance(np.concatenate(encoded))


def _fingerprint(arrays, data) -> str:
    """Changes with the encoder's weights and with the record files."""
    checksum = 0
    for name in sorted(arrays):
        if name.startswith("appearance_encoder/"):
            checksum = zlib.crc32(arrays[name].tobytes(), checksum)
    if data.fresh is not None:
        return f"{zlib.crc32(repr(data.fresh).encode(), checksum):08x}"
    for file in data.pairs.examples_in:
        status = os.stat(file)
        identity = f"{pathlib.Path(file).name} {status.st_size} {status.st_mtime_ns}"
        checksum = zlib.crc32(identity.encode(), checksum)
    return f"{checksum:08x}"


def _require_rows(found, batch_size, stage):
    if found < batch_size:
        raise ConfigError(
            f"stage {stage}: {found} distinct persons are too few for a batch of {batch_size}"
        )
