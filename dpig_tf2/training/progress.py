"""What a running stage shows: progress, TensorBoard scalars, scalars.jsonl."""

import json
import pathlib
import sys
import time

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_text
from dpig_tf2.progress import Progress, write_line

SECONDS_BETWEEN_LINES = 10.0


def say(stage: str, text: str) -> None:
    """Prints a line about a stage."""
    write_line(f"[{stage}] {text}")


class StageLog:
    """Writes the scalars of one stage and shows its progress.

    Args:
        folder: where TensorBoard events and scalars.jsonl go.
        stage: name of the stage.
        start: step at which training begins or resumes; later lines of an earlier, killed run are
            removed from scalars.jsonl.
        total: steps of the finished stage.
        images_per_step: examples consumed by a step.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        stage: str,
        start: int,
        total: int,
        images_per_step: int,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.images_per_step = images_per_step
        self.scalars_file = folder / "scalars.jsonl"
        self._drop_lines_from(start)
        self._images_per_second = 0.0
        self.writer = tf.summary.create_file_writer(str(folder))
        self._last_log = (time.monotonic(), start)
        self._progress = Progress(
            f"[{stage}] step",
            total,
            unit="step",
            initial=start,
            seconds=SECONDS_BETWEEN_LINES,
            stream=sys.stdout,
        )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Records {slash name: value} after `step` steps, with the speed since the last call."""
        now = time.monotonic()
        then, before = self._last_log
        self._last_log = (now, step)
        steps_per_second = (step - before) / max(now - then, 1e-9)
        self._images_per_second = steps_per_second * self.images_per_step
        values = values | {
            "speed/steps_per_second": steps_per_second,
            "speed/images_per_second": self._images_per_second,
        }
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        with self.scalars_file.open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")

    def progress(self, step: int, values: dict[str, float], force: bool = False) -> None:
        """Shows step, speed, losses and time left; on other outputs than terminals now and then.

        Args:
            step: steps that are done.
            values: {slash name: value} of this step.
            force: show it now, whenever it was shown last.
        """
        rate = self._images_per_second
        speed = f"{rate:.{0 if rate >= 10 else 1}f} images/s  " if rate else ""
        self._progress.update(step, speed + _losses(values), force)

    def first_step(self, step: int, values: dict[str, float]) -> None:
        """Shows the losses of the first step. Its time, most of it for compiling, is left out."""
        self._progress.start(step, _losses(values))

    def shorten(self, total: int) -> None:
        """The stage is finished after so many steps."""
        self._progress.total = total

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Shows a uint8 [H, W, 3] picture in TensorBoard."""
        with self.writer.as_default(step=step):
            tf.summary.image(name, image[None])

    def histogram(self, step: int, name: str, values) -> None:
        with self.writer.as_default(step=step):
            tf.summary.histogram(name, values)

    def __enter__(self) -> "StageLog":
        return self

    def __exit__(self, *_) -> None:
        self._progress.close()
        self.writer.close()

    def _drop_lines_from(self, start: int) -> None:
        if not self.scalars_file.exists():
            return
        lines = self.scalars_file.read_text(errors="replace").splitlines()
        if lines and not lines[-1].endswith("}"):  # cut off by the end of a killed process
            lines.pop()
        kept = [line for i, line in enumerate(lines, 1) if self._step_of(line, i) <= start]
        write_text(self.scalars_file, "".join(line + "\n" for line in kept))

    def _step_of(self, line, number):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise DpigError(
                f"{self.scalars_file} line {number}: no scalars of a step: mend or remove it",
                file=self.scalars_file,
            ) from error


def _losses(values):
    # A loss and an error may share a name: only what begins with "loss/" loses its kind.
    return "  ".join(
        f"{name.removeprefix('loss/').replace('/', ' ')} {value:.4f}"
        for name, value in values.items()
        if not name.startswith(("learning_rate/", "loss_scale/"))
    )
