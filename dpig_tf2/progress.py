"""A progress line with rate and time left."""

import sys
import time


class Progress:
    """Prints `label: done/total, rate, time left`: in place on a terminal, now and then elsewhere.

    Args:
        label: what is being done.
        total: number of items.
        stream: where to print, standard error by default.
    """

    def __init__(self, label: str, total: int, stream=None):
        self.label, self.total = label, total
        self._stream = stream or sys.stderr
        self._interval = 0.2 if self._stream.isatty() else 5.0
        self._start = self._printed = time.monotonic()
        self._first: int | None = None

    def update(self, done: int) -> None:
        """Reports that `done` of the items are finished."""
        if self._first is None:
            self._first = done - 1  # items of an earlier, interrupted run do not count
        now = time.monotonic()
        if now - self._printed >= self._interval or done >= self.total:
            self._printed = now
            self._print(done, now - self._start)

    def _print(self, done, elapsed):
        rate = (done - self._first) / max(elapsed, 1e-6)
        left = (self.total - done) / rate
        line = f"{self.label}: {done}/{self.total}, {rate:.0f}/s, {left:.0f} s left"
        if self._stream.isatty():
            end = "\n" if done >= self.total else ""
            self._stream.write(f"\r{line:<78}{end}")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
