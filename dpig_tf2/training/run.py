"""One stage from configuration to finished run; the only file that knows all the others here."""

import dataclasses
import math
import signal
import time

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.config import STAGES
from dpig_tf2.models import weights
from dpig_tf2.ops.sheets import save_png
from dpig_tf2.pipeline import input_pipeline
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.sampler import PersonSampler, load_stage_networks
from dpig_tf2.training import pictures
from dpig_tf2.training.data import TrainingData, stage_batches
from dpig_tf2.training.progress import StageLog
from dpig_tf2.training.trainer import StageTrainer
from dpig_tf2.training.trainers import build_trainer


class TrainingError(RuntimeError):
    """Training that cannot go on; the message names stage, step and the last good checkpoint."""


class Interrupted(Exception):
    """Training was asked to stop and has saved a checkpoint."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a stage runs; nothing here changes what is learned.

    Attributes:
        log_every: steps between scalars.
        picture_every: steps between picture grids and histograms.
        checkpoint_every: steps between checkpoints.
        checkpoint_minutes: longest time between checkpoints.
        keep: checkpoints kept.
        jit_compile: compile the step with XLA.
        crop_method: "gather", "matmul" or "auto": matmul under XLA and on GPU, else gather.
        precision: one of `config.PRECISIONS`. Checkpoints are float32 in any case, so that a run
            may go on in another one.
        rematerialize: save memory in stage reconstruction, see `models.factory.build_network`.
    """

    log_every: int = 20
    picture_every: int = 500
    checkpoint_every: int = 1000
    checkpoint_minutes: float = 10.0
    keep: int = 3
    jit_compile: bool = False
    crop_method: str = "auto"
    precision: str = "float32"
    rematerialize: bool = False

    def resolved_crop_method(self) -> str:
        if self.crop_method != "auto":
            return self.crop_method
        on_accelerator = bool(tf.config.list_logical_devices("GPU"))
        return "matmul" if self.jit_compile or on_accelerator else "gather"


def train(run: RunFolder, stages, data: TrainingData, options: RunOptions) -> None:
    """Runs stages in order; a finished stage is skipped, an interrupted one resumed.

    Raises:
        ConfigError, RecordError: if the data or a predecessor does not serve a stage.
        TrainingError: if a loss is not finite.
        Interrupted: after SIGINT or SIGTERM, with a checkpoint written.
    """
    for stage in stages:
        train_stage(run, stage, data, options)


def train_stage(run: RunFolder, stage: str, data: TrainingData, options: RunOptions) -> None:
    """Trains one stage up to its configured number of steps; see `train`."""
    total = run.config.stage(stage).steps
    done = run.latest_step(stage) or 0
    if done >= total:
        print(f"[{stage}] finished: {done} of {total} steps done", flush=True)
        return
    # Initial weights depend on the stage and the seed, not on what ran before in this process.
    keras.utils.set_random_seed(run.config.seed + STAGES.index(stage))
    trainer = build_trainer(
        stage,
        run.config,
        options.resolved_crop_method(),
        options.precision,
        options.rematerialize,
    )
    restore(trainer, run)
    updates = trainer.updates_per_step
    images_per_step = updates * run.config.stage(stage).batch_size
    log = StageLog(run.logs(stage), stage, done, total, images_per_step)
    try:
        log.say(f"{data.describe()}, {options.precision}, from step {done} to {total}")
        batches = stage_batches(run, stage, data, updates, log.say)(done)
        _StageRun(run, trainer, data, options, log).loop(batches, done, total)
    finally:
        log.close()


def restore(trainer: StageTrainer, run: RunFolder) -> None:
    """Loads the stage's newest checkpoint, if there is one, into networks and optimizers.

    Raises:
        WeightsError: if the file is damaged or does not fit.
    """
    if run.latest_step(trainer.stage) is not None:
        path, arrays = run.load_checkpoint(trainer.stage)
        trainer.restore(arrays, str(path))


class _StageRun:
    """The loop of one stage, with what it logs and saves."""

    def __init__(self, run, trainer, data, options, log):
        self.run = run
        self.trainer = trainer
        self.options = options
        self.log = log
        self.step_function = tf.function(trainer.train_step, jit_compile=options.jit_compile)
        self.persons = _fixed_persons(run, data)
        networks = dict(trainer.networks)
        for earlier in STAGES[: STAGES.index(trainer.stage)]:
            if run.latest_step(earlier) is not None:
                networks = load_stage_networks(run, earlier) | networks
        self.sampler = PersonSampler(run.config, networks)
        self.saved_step, self.saved_time = None, time.monotonic()

    def loop(self, batches, done, total):
        with _StopRequest() as stop:
            for step, batch in zip(range(done + 1, total + 1), batches, strict=False):
                logs = self.step_function(batch)
                # Read once: a signal that arrives later in this round is answered in the next.
                stopping = stop.requested
                last = step == total or stopping
                if last or step % self.options.log_every == 0:
                    values = self._checked(logs, step)
                    self.log.scalars(step, values)
                    self.log.progress(step, values, force=last)
                if last or self._checkpoint_due(step):
                    self._checked(logs, step)
                    self._save(step)
                if last or step % self.options.picture_every == 0:
                    self._draw(step)
                if stopping and step < total:
                    raise Interrupted(f"stopped at step {step}; start again to resume")

    def _checked(self, logs, step):
        values = {name: float(value) for name, value in logs.items()}
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            saved = self.run.checkpoints(self.trainer.stage)
            good = f"the last good checkpoint is {saved[-1][1]}" if saved else "none was saved yet"
            raise TrainingError(
                f"stage {self.trainer.stage}, step {step}: {wrong[0]} is not finite; {good}"
            )
        return values

    def _checkpoint_due(self, step):
        minutes = (time.monotonic() - self.saved_time) / 60
        return (
            step % self.options.checkpoint_every == 0 or minutes >= self.options.checkpoint_minutes
        )

    def _save(self, step):
        arrays = weights.collect(self.trainer.state_variables())
        self.run.save_checkpoint(self.trainer.stage, step, arrays, self.options.keep)
        self.saved_time = time.monotonic()

    def _draw(self, step):
        stage = self.trainer.stage
        picture = pictures.stage_picture(stage, self.sampler, self.persons)
        if picture is not None:
            self.log.picture(step, f"{stage}/fixed_batch", picture)
            save_png(self.run.samples / f"{stage}-{step:08d}.png", picture)
        for name, values in self._embeddings().items():
            self.log.histogram(step, f"embedding/{name}", values)

    def _embeddings(self):
        networks, embeddings = self.sampler.model.networks, {}
        if "appearance_encoder" in networks and "image" in self.persons:
            embedding = pictures.encode(self.sampler, self.persons)
            embeddings |= self.sampler.model.split_appearance(embedding)
        if "pose_encoder" in networks:
            embeddings["pose"] = self.sampler.encode_pose(self.persons["keypoints"])
        for factor in getattr(self.trainer, "factors", ()):
            noise = self.sampler.draw_noise(256, factor, 0)
            embeddings[f"mapped_{factor}"] = self.sampler.map_noise(noise, factor)
        return embeddings


def _fixed_persons(run, data):
    """The same persons for every picture of a run; see `pictures.stage_picture`."""
    if data.records is None:
        seen = data.keypoints[(data.keypoints[..., 2] > 0.5).any(axis=1)]
        chosen = np.linspace(0, len(seen) - 1, pictures.PERSONS).astype(int)
        return {"keypoints": seen[chosen]}
    count = min(pictures.PERSONS, len(data.records))
    batches = input_pipeline.training_batches(data.records, run.config.model, count, seed=0)
    batch = next(batches.as_numpy_iterator())
    target = batch["target"]
    return batch["source"] | {
        "target_keypoints": target["keypoints"],
        "target_image": target["image"],
    }


class _StopRequest:
    """Turns SIGINT and SIGTERM into a request that the loop answers after the current step."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self._previous = {s: signal.signal(s, self._request) for s in self.SIGNALS}
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number, frame):
        if self.requested:  # a second Ctrl-C does not wait for the step
            raise KeyboardInterrupt
        self.requested = True
