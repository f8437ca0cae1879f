"""SIGINT and SIGTERM from the first moment on; imports nothing that takes time."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

EXIT_INTERRUPTED = 130  # what shells report for a program stopped by Ctrl-C
_IMPORTING = "<frozen importlib._bootstrap>"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt here, and during an import end the process."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, _stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(number, frame):
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            # Extension modules turn exceptions of their initialization into others, or lose them.
            # Files are complete or absent whenever a process ends.
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            os.write(2, b"dpig: interrupted\n")
            os._exit(EXIT_INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
