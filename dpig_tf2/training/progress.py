"""What a running stage shows: progress lines, TensorBoard scalars, scalars.jsonl."""

import json
import pathlib
import time

import numpy as np
import tensorflow as tf

from dpig_tf2.io.atomic import write_text


def say(stage: str, text: str) -> None:
    """Prints a line about a stage."""
    print(f"[{stage}] {text}", flush=True)


class StageLog:
    """Writes the scalars of one stage and prints a progress line now and then.

    Args:
        folder: where TensorBoard events and scalars.jsonl go.
        stage: name of the stage.
        start: step at which training begins or resumes; later lines of an earlier, killed run are
            removed from scalars.jsonl.
        total: steps of the finished stage.
        images_per_step: examples consumed by a step.
        seconds_between_lines: how often to print.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        stage: str,
        start: int,
        total: int,
        images_per_step: int,
        seconds_between_lines: float = 10.0,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self.total = total
        self.images_per_step = images_per_step
        self.seconds_between_lines = seconds_between_lines
        self.scalars_file = folder / "scalars.jsonl"
        self._drop_lines_from(start)
        self.writer = tf.summary.create_file_writer(str(folder))
        self._last_print = self._last_log = (time.monotonic(), start)
        self._printed = 0

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Records {slash name: value} after `step` steps, with the speed since the last call."""
        steps_per_second = self._rate("_last_log", step)
        values = values | {
            "speed/steps_per_second": steps_per_second,
            "speed/images_per_second": steps_per_second * self.images_per_step,
        }
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        with self.scalars_file.open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")

    def progress(self, step: int, values: dict[str, float], force: bool = False) -> None:
        """Prints step, speed, losses and time left, at most every few seconds."""
        elapsed = time.monotonic() - self._last_print[0]
        if elapsed < self.seconds_between_lines and not force:
            return
        rate = self._rate("_last_print", step)
        losses = "  ".join(
            f"{name.split('/', 1)[1]} {value:.4f}"
            for name, value in values.items()
            if not name.startswith(("learning_rate/", "loss_scale/"))
        )
        say(
            self.stage,
            f"step {step}/{self.total}  {rate:.1f} steps/s  "
            f"{rate * self.images_per_step:.0f} images/s  {losses}  "
            f"{_duration((self.total - step) / rate if rate else None)} left",
        )

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
        self.writer.close()

    def _rate(self, since: str, step: int) -> float:
        now = time.monotonic()
        then, first = getattr(self, since)
        setattr(self, since, (now, step))
        return (step - first) / max(now - then, 1e-9)

    def _drop_lines_from(self, start: int) -> None:
        if not self.scalars_file.exists():
            return
        lines = self.scalars_file.read_text().splitlines()
        # The last line of a killed process may be cut off.
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= start]
        write_text(self.scalars_file, "".join(line + "\n" for line in kept))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
