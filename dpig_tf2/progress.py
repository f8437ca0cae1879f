"""Progress with rate and time left; the only place that knows tqdm."""

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

from dpig_tf2.errors import printable

_LINE = "{desc}: {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"
_LONGEST_WAIT = 0.1  # seconds until a terminal shows what was reported
_SHORTEST_WORK = 1e-3  # seconds; in less, nothing but the report itself was done


class _Bar(tqdm):
    monitor_interval = 0  # no thread beside the program's own


class Progress:
    """A bar on a terminal; elsewhere a plain line now and then, and always the last one.

    Args:
        label: what is being done.
        total: number of items.
        unit: what is counted; "B" prints bytes as kB, MB and so on.
        initial: items that were done before; None: all but one of the first update, as items of
            an earlier, interrupted run do not count for the rate.
        seconds: between two plain lines.
        stream: where to print; standard error by default.
    """

    def __init__(
        self,
        label: str,
        total: int,
        unit: str = "it",
        initial: int | None = None,
        seconds: float = 5.0,
        stream: TextIO | None = None,
    ):
        self._label, self.total, self._initial = printable(label), total, initial
        self._unit: dict[str, Any] = {"unit": unit, "unit_scale": unit == "B"}
        self._seconds, self._stream = seconds, stream or sys.stderr
        self._printed = (time.monotonic(), initial or 0)
        self._bar: tqdm | None = None
        self._finished = False

    def start(self, done: int, details: str = "") -> None:
        """Shows the first items at once. Rate and time left are counted from here on.

        For work that prepares itself in its first item, as a training step is compiled.
        """
        self._initial = done
        if self._stream.isatty():
            self._draw(done, details)
        else:
            self._printed = (time.monotonic(), done)
            self._print(done, details, None)

    def update(self, done: int, details: str = "", force: bool = False) -> None:
        """Reports that `done` of the items are finished.

        Args:
            done: number of items.
            details: what else to say, such as losses.
            force: print now, whenever the last line was.
        """
        if self._initial is None:
            self._initial = max(done - 1, 0)
            self._printed = (self._printed[0], self._initial)
        if self._finished:
            return
        self._finished = done >= self.total
        if self._stream.isatty():
            self._draw(done, details)
            return
        now = time.monotonic()
        then, before = self._printed
        if self._finished or force or now - then >= self._seconds:
            self._printed = (now, done)
            seconds = now - then
            rate = (done - before) / seconds if seconds > _SHORTEST_WORK else None
            self._print(done, details, rate)

    def close(self) -> None:
        """Leaves the bar as it is, before all items are done."""
        self._finished = True
        if self._bar is not None:
            self._bar.close()

    def _draw(self, done, details):
        if self._bar is None:
            self._bar = _Bar(
                total=self.total,
                desc=self._label,
                initial=self._initial or 0,
                file=self._stream,
                mininterval=_LONGEST_WAIT,
                dynamic_ncols=True,
                **self._unit,
            )
        if details:
            self._bar.set_postfix_str(details, refresh=self._bar.n == done)
        self._bar.total = self.total
        self._bar.update(done - self._bar.n)
        if self._finished:
            self.close()

    def _print(self, done, details, rate):
        line = tqdm.format_meter(
            done,
            self.total,
            0.0,  # time that passed, which the line does not name
            prefix=self._label,
            rate=rate,
            bar_format=_LINE,
            postfix=details,
            **self._unit,
        )
        self._stream.write(line + "\n")
        self._stream.flush()


def reporter() -> Callable[[str, int, int], None]:
    """A function of (label, done, total) that shows the progress of each label."""
    shown: dict[str, Progress] = {}

    def report(label: str, done: int, total: int) -> None:
        shown.setdefault(label, Progress(label, total)).update(done)

    return report


def write_line(text: str) -> None:
    """Prints a line to standard output at once, above a bar if one is being shown."""
    tqdm.write(printable(text), file=sys.stdout)
    sys.stdout.flush()
