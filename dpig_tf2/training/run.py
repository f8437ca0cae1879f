"""Stages from configuration to finished run; the only file that knows all the others here."""

import contextlib
import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.config import PREDECESSORS, STAGES, ConfigError
from dpig_tf2.errors import DpigError, counted
from dpig_tf2.execution import Execution
from dpig_tf2.io import locks
from dpig_tf2.io.images import save_png
from dpig_tf2.models import factory, weights
from dpig_tf2.models.loading import load_networks, load_stage_networks
from dpig_tf2.pipeline.training_data import TrainingData
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.training import pictures
from dpig_tf2.training.data import encoder_checksum, prepared, stage_arrays, stage_batches
from dpig_tf2.training.distribution import Devices
from dpig_tf2.training.progress import StageLog, say
from dpig_tf2.training.stop_request import Interrupted, StopRequest
from dpig_tf2.training.time_limit import TimeLimit
from dpig_tf2.training.trainer import StageTrainer
from dpig_tf2.training.trainers import build_trainer

_FIELDS_SHOWN = 3  # of a configuration that does not fit
_ENCODER = "encoder_checksum"  # in checkpoints of stage II, beside the variables


class TrainingError(DpigError):
    """Training that cannot go on; the message names stage, step and the last good checkpoint."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a stage runs; nothing here but `minutes` changes what is learned.

    Attributes:
        log_every: steps between scalars.
        picture_every: steps between picture grids and histograms.
        checkpoint_every: steps between checkpoints.
        checkpoint_minutes: longest time between checkpoints.
        keep: newest checkpoints kept.
        keep_best: also keep that with the lowest `pictures.fixed_batch_error`.
        execution: how the networks compute; its `jit_compile` compiles the step with XLA.
            Checkpoints are float32 in any case, so that a run may go on in another precision.
        devices: what the steps run on; of several workers only the chief writes.
        minutes: {stage: longest time of it}, see `TimeLimit`. On one device only.
        asked: JSON values that tell what was asked for, for history.jsonl of the run folder.
    """

    log_every: int = 20
    picture_every: int = 500
    checkpoint_every: int = 1000
    checkpoint_minutes: float = 10.0
    keep: int = 3
    keep_best: bool = True
    execution: Execution = Execution()
    devices: Devices = dataclasses.field(default_factory=Devices)
    minutes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    asked: Mapping[str, object] = dataclasses.field(default_factory=dict)


def train(
    run: RunFolder,
    stages,
    data: TrainingData,
    options: RunOptions,
    init_from: str | os.PathLike | None = None,
    locked: bool = False,
) -> None:
    """Runs stages in order; a finished stage is skipped, an interrupted one resumed.

    Nothing is written before the first batch of the first stage has been read, and the data have
    been found to serve all stages.

    Args:
        run: the run folder, which may be planned only.
        stages: names of the stages.
        data: what to train on.
        options: how the stages run.
        init_from: run folder, saved sampler or `preset:NAME` whose weights a stage begins with,
            where path and shape agree; a stage that has a checkpoint goes on from there.
            Refused where it has networks of a stage and nothing of them agrees.
        locked: the caller holds the lock of the run folder.

    Raises:
        ConfigError, RecordError, WeightsError: if the data or a checkpoint does not serve a stage.
        TrainingError: if training cannot go on: a value is not finite, a record damaged, the disk
            full.
        Interrupted: after SIGINT or SIGTERM, with a checkpoint written.
        LostWorker: if another worker has gone.
        locks.LockedError: if another process trains in the folder.
    """
    devices = options.devices
    if options.minutes and devices.replicas > 1:
        raise ConfigError(
            f"minutes are for one device, not for {devices.describe()}", field="minutes"
        )
    devices.check(run.config, stages, options.execution)
    unfinished = [s for s in stages if (run.latest_step(s) or 0) < run.config.stage(s).steps]
    _require_predecessors(run, unfinished)
    for stage in unfinished:
        run.config.require_memory(stage, devices.replicas)
    first_weights = _first_weights(run, unfinished, init_from)
    if unfinished:
        data = prepared(data, run.config, unfinished)
    needs_lock = devices.is_chief and not locked
    lock = locks.writing(run.path) if needs_lock else contextlib.nullcontext()
    with lock, devices.noticing_lost_workers(), StopRequest() as stop:
        devices.check_same("their flags", run.config.to_json())
        devices.check_same("the number of examples", len(data))
        devices.check_same(f"what they find in {run.path}, which they must share", unfinished)
        for stage in stages:
            stop.answer()
            _tell_other_codes(run, stage)
            if stage in unfinished:
                _train_stage(run, stage, data, options, stop, first_weights)
            else:
                asked = run.config.stage(stage).steps
                say(stage, f"finished: {run.latest_step(stage)} steps done, {asked} asked for")


def _require_predecessors(run, stages):
    """Raises unless every stage finds its predecessor, or that one is about to be trained."""
    for i, stage in enumerate(stages):
        predecessor = PREDECESSORS.get(stage)
        if predecessor and predecessor not in stages[:i]:
            run.load_checkpoint(predecessor)


def _tell_other_codes(run, stage):
    """Says so where stage II has learned the codes of an encoder that was trained since."""
    if stage not in PREDECESSORS or run.latest_step(stage) is None:
        return
    learned = run.load_checkpoint(stage)[1].get(_ENCODER)  # older and imported ones have none
    if learned is None or run.latest_step(PREDECESSORS[stage]) is None:
        return
    if learned != encoder_checksum(run, stage):
        folder = run.path / "checkpoints" / stage
        say(
            stage,
            f"warning: has learned from codes of stage {PREDECESSORS[stage]} as it was before: "
            f"remove {folder} to learn anew from those of now",
        )


def _first_weights(run, stages, source):
    """{path: value} of the networks of another run or saved sampler, for stages not yet begun."""
    new = [stage for stage in stages if run.latest_step(stage) is None]
    if source is None or not new:
        return {}
    has_adversaries = RunFolder.open(source).saved_weights is None
    config, networks = load_networks(source, adversaries=has_adversaries)
    arrays = weights.collect(v for network in networks.values() for v in network.variables)
    for stage in new:
        # Of a run that was not trained so far, a stage finds nothing and begins anew.
        known = [n for n in factory.stage_networks(stage, run.config.model) if n in networks]
        if known and config.model != run.config.model:
            _require_fit(stage, run.config.model, config.model, known, arrays, source)
    return arrays


def _require_fit(stage, model, other, names, arrays, source):
    """Raises unless a variable of these networks has path and shape of one of the arrays."""
    for network in factory.build_networks(names, model).values():
        if len(weights.assign_matching(network.variables, arrays)) < len(network.variables):
            return
    differing = [f for f in vars(model) if getattr(model, f) != getattr(other, f)]
    differing.sort(key=lambda f: f != "architecture")  # which of itself lets nothing fit
    fields = [f"model.{f}={getattr(model, f)} (there {getattr(other, f)})" for f in differing]
    raise ConfigError(
        f"--init_from={source}: none of its networks fit stage {stage} with "
        f"{', '.join(fields[:_FIELDS_SHOWN])}; leave --preset out to take its configuration",
        field="init_from",
    )


def _start(trainer, run, first_weights):
    """The newest checkpoint of the stage; without one the weights of another run, if given."""
    if run.latest_step(trainer.stage) is not None or not first_weights:
        restore(trainer, run)
        return
    for name, left in trainer.start_from(first_weights).items():
        total = len(trainer.networks[name].variables)
        text = f"{name}: {total - len(left)} of {total} variables from the other run"
        say(trainer.stage, text + (f"; new: {', '.join(left)}" if 0 < len(left) < total else ""))


def _train_stage(run, stage, data, options, stop, first_weights):
    """Trains one stage up to its configured number of steps."""
    total = run.config.stage(stage).steps
    done = run.latest_step(stage) or 0
    devices = options.devices
    devices.check_same(f"the steps that they find done in {run.path}", done)
    limit = TimeLimit(options.minutes[stage]) if stage in options.minutes else None
    # Initial weights depend on the stage and the seed, not on what ran before in this process.
    keras.utils.set_random_seed(run.config.seed + STAGES.index(stage))
    with devices.scope():
        trainer = build_trainer(stage, run.config, options.execution)
        _start(trainer, run, first_weights)
    updates = trainer.updates_per_step
    arrays = stage_arrays(run, stage, data, functools.partial(say, stage), devices.is_chief)
    if not done and arrays is not None:
        with devices.scope():
            trainer.adapt(arrays)
    batches_from = stage_batches(run.config, stage, data, arrays, updates)
    batches = iter(devices.batches(lambda context: batches_from(done, context)))
    batches = itertools.chain([next(batches)], batches)  # the first is read before anything written
    stage_run = _StageRun(run, trainer, data, options, stop, limit)
    where = f"{options.execution.precision} on {devices.describe()}"
    say(stage, f"{data.describe()}, {where}, from step {done} to {total}")
    images_per_step = updates * run.config.stage(stage).batch_size
    try:
        log = contextlib.nullcontext()
        if devices.is_chief:
            run.write_config()
            run.add_to_history(
                {
                    "stage": stage,
                    "from_step": done,
                    "data": data.describe(),
                    "computed": where,
                    "seed": run.config.seed,
                    "settings": dataclasses.asdict(run.config.stage(stage)),
                    **options.asked,
                }
            )
            log = StageLog(run.logs(stage), stage, done, total, images_per_step)
        with log:
            stage_run.loop(batches, done, total, log)
        devices.wait_for_all()  # the others read what the chief has saved
    except OSError as error:
        raise TrainingError(f"stage {stage}: {error}; {_last_checkpoint(run, stage)}") from error


def restore(trainer: StageTrainer, run: RunFolder) -> None:
    """Loads the stage's newest checkpoint, if there is one, into networks and optimizers.

    Raises:
        WeightsError: if the file is damaged or does not fit.
    """
    if run.latest_step(trainer.stage) is not None:
        path, arrays = run.load_checkpoint(trainer.stage)
        trainer.restore(arrays, str(path))


def _last_checkpoint(run, stage):
    saved = run.checkpoints(stage)
    return f"the last good checkpoint is {saved[-1][1]}" if saved else "none was saved yet"


class _StageRun:
    """The loop of one stage, with what it logs and saves."""

    def __init__(self, run, trainer, data, options, stop, limit):
        self.run = run
        self.trainer = trainer
        self.options = options
        self.stop = stop
        self.limit = limit
        self.devices = options.devices
        self.step_function = self.devices.compiled_step(
            trainer.train_step, options.execution.jit_compile
        )
        self.beside = {}  # arrays that checkpoints hold beside the variables
        if self.devices.is_chief:
            if trainer.stage in PREDECESSORS:
                self.beside[_ENCODER] = np.asarray(encoder_checksum(run, trainer.stage))
            self.persons = data.shown(run.config.model, pictures.PERSONS)
            self.shown = _shown_networks(trainer, options.execution)
            self.sampler = _live_sampler(run, trainer.stage, self.shown)
            self.best_error = run.best_error(trainer.stage)
        self.saved_time = time.monotonic()

    def loop(self, batches, done, total, log):
        step = done
        while step < total:
            step += 1
            logs = self.step_function(self._next(batches, step))
            # Before the first step is done there is nothing to save, and compiling takes long.
            self.stop.deferred = True
            # Read once: a signal that arrives later in this round is answered in the next.
            stopping = self.devices.any_worker(self.stop.requested)
            if self.limit is not None:
                self._checked(logs, step)  # waits until the step is done
                fitting = self.limit.steps(step)
                if fitting is not None:
                    total = self._shortened(step, fitting, total, log)
            last = step == total or stopping
            values = None
            if last or step == done + 1 or step % self.options.log_every == 0:
                values = self._checked(logs, step)
            if self.devices.is_chief:
                if step == done + 1:  # a first sign of life, however long a step takes
                    log.first_step(step, values)
                self._write(step, logs, values, total, last, log)
            if stopping and step < total:
                self.devices.wait_for_all()
                raise Interrupted(f"stopped at step {step}; start again to resume")

    def _shortened(self, step, fitting, total, log):
        """The steps that the stage shall have, of which so many fit into its time."""
        self.limit = None
        stage, settings = self.trainer.stage, self.run.config.stage(self.trainer.stage)
        minutes = counted(f"{self.options.minutes[stage]:g}", "minute")
        if fitting >= total:
            say(stage, f"all {total} steps fit into {minutes}")
            return total
        self._save(step)  # whoever resumes here takes the schedule from here on
        settings = settings.shortened(fitting)
        self.run.config = dataclasses.replace(self.run.config, **{stage: settings})
        self.run.write_config()
        self.trainer.shorten(settings)
        log.shorten(fitting)
        say(stage, f"{fitting} of {total} steps fit into {minutes}")
        return fitting

    def _write(self, step, logs, values, total, last, log):
        """Scalars if there are values to log, a checkpoint and pictures if they are due."""
        if values is not None and (last or step % self.options.log_every == 0):
            log.scalars(step, values)
            log.progress(step, values, force=last)
        if last or self._checkpoint_due(step):
            self._checked(logs, step)
            self._save(step)
        if step == total or step % self.options.picture_every == 0:
            self._draw(step, log)

    def _next(self, batches, step):
        """The next batch; if it cannot be read, the steps before are saved."""
        try:
            return next(batches)
        except tf.errors.OpError as error:
            unsaved = step - 1 > (self.run.latest_step(self.trainer.stage) or 0)
            if unsaved and self.devices.is_chief:
                self._save(step - 1)
            raise TrainingError(
                f"stage {self.trainer.stage}, step {step}: {error.message}; "
                f"{_last_checkpoint(self.run, self.trainer.stage)}"
            ) from error

    def _checked(self, logs, step):
        values = {name: float(value) for name, value in logs.items()}
        self._require_finite(values, step)
        return values

    def _require_finite(self, values, step):
        for name, value in values.items():
            if not np.isfinite(value).all():
                stage = self.trainer.stage
                raise TrainingError(
                    f"stage {stage}, step {step}: {name} is not finite; "
                    f"{_last_checkpoint(self.run, stage)}"
                )

    def _checkpoint_due(self, step):
        minutes = (time.monotonic() - self.saved_time) / 60
        return (
            step % self.options.checkpoint_every == 0 or minutes >= self.options.checkpoint_minutes
        )

    def _save(self, step):
        arrays = weights.collect(self.trainer.state_variables())
        self._require_finite(arrays, step)
        stage = self.trainer.stage
        self.run.save_checkpoint(stage, step, arrays | self.beside, self.options.keep)
        if self.options.keep_best:
            self._show_averages()
            error = pictures.fixed_batch_error(stage, self.sampler, self.persons)
            if error is not None and error < self.best_error:
                self.run.save_best(stage, arrays, error)
                self.best_error = error
        self.saved_time = time.monotonic()

    def _show_averages(self):
        """Brings the sampler to the averages, which are what is loaded, where they are kept."""
        if self.trainer.keeps_averages:
            averages = weights.averaged(weights.collect(self.trainer.state_variables()))
            for network in self.shown.values():
                weights.assign(network.variables, averages, "the averages")

    def _draw(self, step, log):
        stage = self.trainer.stage
        self._show_averages()
        picture = pictures.stage_picture(stage, self.sampler, self.persons)
        if picture is not None:
            log.picture(step, f"{stage}/fixed_batch", picture)
            save_png(self.run.samples / f"{stage}-{step:08d}.png", picture)
        for name, values in self._embeddings().items():
            log.histogram(step, f"embedding/{name}", values)

    def _embeddings(self):
        networks, embeddings = self.sampler.model.networks, {}
        if "appearance_encoder" in networks and "image" in self.persons:
            embeddings |= pictures.encode(self.sampler, self.persons).as_arrays()
            del embeddings["keypoints"]
        if "pose_encoder" in networks:
            embeddings["pose"] = self.sampler.encode_pose(self.persons["keypoints"])
        for factor in self.trainer.factors:
            noise = self.sampler.draw_noise(256, factor, 0)
            embeddings[f"mapped_{factor}"] = self.sampler.map_noise(noise, factor)
        return embeddings


def _shown_networks(trainer, execution):
    """The networks in training, or others of their sizes for their averages."""
    if not trainer.keeps_averages:
        return trainer.networks
    return factory.build_networks(trainer.networks, trainer.config.model, execution)


def _live_sampler(run, stage, networks):
    """Samples from the networks of a stage and the newest ones of earlier stages."""
    for earlier in STAGES[: STAGES.index(stage)]:
        if run.latest_step(earlier) is not None:
            networks = load_stage_networks(run, earlier) | networks
    return PersonSampler(run.config, networks)
