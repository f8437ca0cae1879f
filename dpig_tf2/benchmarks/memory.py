"""Peak memory of training: a fresh process for each setting, because a peak is never given back."""

import dataclasses
import json
import subprocess
import sys

from dpig_tf2.config import Config
from dpig_tf2.errors import DpigError
from dpig_tf2.execution import Execution
from dpig_tf2.io.memory import keep_freed_memory

_STEPS = 2  # the second has what the first leaves behind


@dataclasses.dataclass(frozen=True)
class Peak:
    """Largest resident memory of a process that trains stage reconstruction.

    Attributes:
        preset, hidden, batch: sizes.
        precision: as `Execution`.
        rematerialize: as `Execution`.
        gib: the peak, with program and libraries.
        program_gib: what program and libraries take before networks are built.
        seconds: the last step's.
    """

    preset: str
    hidden: int
    batch: int
    precision: str
    rematerialize: bool
    gib: float
    program_gib: float
    seconds: float


def peak(config: Config, precision: str, rematerialize: bool) -> Peak:
    """Trains a few steps in a fresh process.

    Linux only: the peak is read from /proc.

    Raises:
        DpigError: if the process does not end well, with what it said last.
    """
    command = [sys.executable, "-m", __name__]
    request = json.dumps([config.to_json(), precision, rematerialize])
    done = subprocess.run(command, input=request, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise DpigError(f"measuring memory: exit status {done.returncode}; it said {said!r}")
    return Peak(
        config.preset,
        config.model.hidden,
        config.reconstruction.batch_size,
        precision,
        rematerialize,
        **json.loads(done.stdout.splitlines()[-1]),
    )


def train(config: Config, precision: str, rematerialize: bool) -> dict:
    """Trains a few steps in this process; the figures of `Peak` by name."""
    import time

    import tensorflow as tf

    from dpig_tf2 import testing
    from dpig_tf2.training.trainers import build_trainer

    program = resident_gib()
    execution = Execution(precision=precision, rematerialize=rematerialize)
    trainer = build_trainer("reconstruction", config, execution)
    batch = testing.random_pair(config.model, config.reconstruction.batch_size)
    step = tf.function(trainer.train_step)
    for _ in range(_STEPS):
        start = time.perf_counter()
        float(step(batch)["loss/reconstruction"])
        seconds = time.perf_counter() - start
    return {"gib": resident_gib(), "program_gib": program, "seconds": seconds}


def resident_gib() -> float:
    """Largest resident memory of this process so far, GiB."""
    # Not `resource.getrusage`: its peak would begin with that of the process that started this one.
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**20


if __name__ == "__main__":
    keep_freed_memory()  # as every verb does
    text, *execution = json.load(sys.stdin)
    print(json.dumps(train(Config.from_json(text), *execution)))
