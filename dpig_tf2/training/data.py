"""The batches of each stage: of photos, of poses, or of codes of a frozen encoder."""

import time
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.config import PREDECESSORS, Config, ConfigError
from dpig_tf2.io import array_files
from dpig_tf2.models import weights
from dpig_tf2.models.loading import load_stage_networks
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.pipeline.arrays import array_batches
from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.pipeline.training_data import TrainingData, with_visible_keypoint
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training.progress import SECONDS_BETWEEN_LINES


def prepared(data: TrainingData, config: Config, stages: Sequence[str]) -> TrainingData:
    """The same data, known to serve every stage; to be called before anything is written.

    Bad records that may be skipped are left out here, once for all stages.

    Raises:
        ConfigError: if there are too few images or poses for a batch, or photos are needed.
        RecordError: as `training_batches`.
    """
    data = data.require(config, stages)
    sizes = {s: config.stage(s).batch_size for s in stages if s != "reconstruction"}
    if sizes:
        found = data.count_persons(config.model, at_most=max(sizes.values()))
        _require_rows(found, sizes)
    return data


def stage_arrays(
    run: RunFolder,
    stage: str,
    data: TrainingData,
    report: Callable[[str], None],
    writes_cache: bool = True,
) -> dict | None:
    """All that a stage trains on, nested as its batches are; None of photos, which are too many.

    Args:
        run: the run folder; stage II reads its predecessor's checkpoint from here.
        stage: name of the stage.
        data: what to train on, as `prepared` for the stage.
        report: told what is being prepared.
        writes_cache: keep what is computed in the run folder, which one worker alone may do.

    Raises:
        ConfigError: if the predecessor is missing, or too few persons have a visible keypoint.
        RecordError: as `training_batches`.
    """
    config = run.config
    if stage == "reconstruction":
        return None
    if stage == "appearance_mapping":
        return {"embedding": _appearance_embeddings(run, data, report, writes_cache)}
    keypoints = with_visible_keypoint(data.poses(config.model))
    _require_rows(len(keypoints), {stage: config.stage(stage).batch_size})
    if stage == "pose":
        return {"keypoints": keypoints}
    model = PersonModel(config.model, load_stage_networks(run, "pose"))
    return {"embedding": {"pose": tf.function(model.encode_pose, autograph=False)(keypoints)}}


def stage_batches(
    config: Config, stage: str, data: TrainingData, arrays: dict | None, updates: int
) -> Callable[[int, tf.distribute.InputContext], tf.data.Dataset]:
    """The endless batches of one stage, as a function of first step and input context.

    A batch holds `updates` times the stage's batch size. Everything is a pure function of data,
    seed and step, which is what makes a resumed run equal an uninterrupted one.

    Args:
        config: the run's configuration.
        stage: name of the stage.
        data: what to train on, as `prepared` for the stage.
        arrays: `stage_arrays` of it.
        updates: the trainer's `updates_per_step`.

    Raises:
        RecordError: as `training_batches`.
    """
    if arrays is None:
        return lambda start, context=None: data.photo_batches(config, updates, start, context)
    size = config.stage(stage).batch_size * updates
    return lambda start, context=None: array_batches(
        arrays, size, config.seed, start, updates, context
    )


def encoder_checksum(run: RunFolder, stage: str) -> int:
    """Changes with the weights of the encoder whose codes a stage II imitates, as it is loaded.

    Raises:
        ConfigError: if its predecessor has no checkpoint.
        WeightsError: if that is damaged.
    """
    encoder = "pose_encoder" if stage == "pose_mapping" else "appearance_encoder"
    arrays = weights.averaged(run.load_checkpoint(PREDECESSORS[stage])[1])
    checksum = 0
    for name in sorted(name for name in arrays if name.startswith(f"{encoder}/")):
        checksum = zlib.crc32(arrays[name].tobytes(), zlib.crc32(name.encode(), checksum))
    return checksum


def _appearance_embeddings(run, data, report, writes_cache):
    """{factor: float32 [N, E]} of every distinct image, computed once for a checkpoint and data."""
    path = run.checkpoint_file("reconstruction")
    checksum = zlib.crc32(data.fingerprint(), encoder_checksum(run, "appearance_mapping"))
    cache = run.path / "cache" / f"embeddings-{checksum:08x}.npz"
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
    _require_embeddings(run, len(next(iter(embeddings.values()))))
    return embeddings


def _encode_images(run, data, report):
    """{factor: float32 [N, E]} of every distinct image with a visible keypoint."""
    model = PersonModel(run.config.model, load_stage_networks(run, "reconstruction"))
    encode = tf.function(model.encode_person, reduce_retracing=True, autograph=False)
    names = ("image", "keypoints", *ANNOTATION_KEYS)
    encoded, done, told = [], 0, time.monotonic()
    for person in data.persons(run.config.model):
        seen = (np.asarray(person["keypoints"])[..., 2] > 0.5).any(axis=1)
        if not seen.any():
            continue
        encoded.append(
            encode({name: tf.constant(np.asarray(person[name])[seen]) for name in names}).numpy()
        )
        done += len(encoded[-1])
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            report(done)
            told = time.monotonic()
    _require_embeddings(run, done)
    report(done)
    return model.split_appearance(np.concatenate(encoded))


def _require_embeddings(run, found):
    _require_rows(found, {"appearance_mapping": run.config.appearance_mapping.batch_size})


def _require_rows(found, batch_sizes):
    """Raises ConfigError if `found` are less than a batch of any {stage: batch size}."""
    lacking = {stage: size for stage, size in batch_sizes.items() if found < size}
    if not lacking:
        return
    several = len(lacking) > 1
    stages = f"stage{'s' * several} {', '.join(lacking)}"
    batches = "batches of " if several else "a batch of "
    batches += ", ".join(map(str, lacking.values()))
    fewer = ""
    if found > 1:
        settings = " ".join(f"--set={stage}.batch_size={found}" for stage in lacking)
        fewer = f"; {settings} {'take' if several else 'takes'} fewer"
    raise ConfigError(
        f"{stages}: {found} distinct photos or poses are too few for {batches}{fewer}"
    )
