"""Measurements that `dpig-benchmark` prints: rates with their spread, side by side in one run."""

import dataclasses
import itertools
import statistics
import time

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.pipeline import input_pipeline
from dpig_tf2.training.run import RunOptions
from dpig_tf2.training.trainers import build_trainer

_WARM_UP_BATCHES = 5


@dataclasses.dataclass(frozen=True)
class Rate:
    """Examples per second over several runs.

    Attributes:
        what: what was measured.
        runs: examples per second of each run.
    """

    what: str
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    def as_dict(self) -> dict:
        return {
            "what": self.what,
            "median": self.median,
            "lowest": min(self.runs),
            "highest": max(self.runs),
        }


def input_rate(
    records: input_pipeline.RecordSet,
    config: Config,
    cache: str,
    runs: int,
    seconds: float,
) -> Rate:
    """How many pairs per second the input pipeline gives, with nobody consuming them.

    Args:
        records: what is read.
        config: image size and the batch size of stage reconstruction.
        cache: "none" or "memory", see `input_pipeline.training_batches`.
        runs: how often to measure.
        seconds: length of a run.
    """
    size = config.reconstruction.batch_size
    batches = iter(
        input_pipeline.training_batches(records, config.model, size, config.seed, cache=cache)
    )
    for _ in range(_WARM_UP_BATCHES):
        next(batches)
    rates = []
    for _ in range(runs):
        start = time.perf_counter()
        for count in itertools.count(1):
            next(batches)
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                rates.append(count * size / elapsed)
                break
    return Rate(f"input, cache {cache}", tuple(rates))


def training_rate(
    records: input_pipeline.RecordSet, config: Config, runs: int, seconds: float
) -> Rate:
    """How many pairs per second training of stage reconstruction consumes, on one fixed batch."""
    trainer = build_trainer("reconstruction", config, RunOptions().resolved_crop_method())
    size = config.reconstruction.batch_size * trainer.updates_per_step
    batches = input_pipeline.training_batches(records, config.model, size, config.seed)
    batch = next(iter(batches))
    step = tf.function(trainer.train_step)
    step(batch)
    rates = []
    for _ in range(runs):
        start = time.perf_counter()
        for count in itertools.count(1):
            float(step(batch)["loss/reconstruction"])  # waits for the step to end
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                rates.append(count * size / elapsed)
                break
    return Rate("training, stage reconstruction", tuple(rates))
