"""SIGINT, SIGTERM and streams from the first moment on; imports nothing that takes time."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator

EXIT_INTERRUPTED = 130  # what shells report for a program stopped by Ctrl-C
_IMPORTING = "<frozen importlib._bootstrap>"


def open_streams() -> None:
    """Opens stdin, stdout and stderr that are closed, to nowhere, and lets stdout print all names.

    Else the next file that is opened takes their place, and what libraries print goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, or exit at once in an import or finalizer."""
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, _stop) for number in signals}
    unraisable, sys.unraisablehook = sys.unraisablehook, _stop_if_lost
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stop(number, frame):
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            # Extension modules turn exceptions of their initialization into others, or lose them.
            _end()
        frame = frame.f_back
    raise KeyboardInterrupt


def _stop_if_lost(unraisable):
    """Python goes on after an exception in a finalizer."""
    if unraisable.exc_type is KeyboardInterrupt:
        _end()
    sys.__unraisablehook__(unraisable)


def _end():
    # Files are complete or absent whenever a process ends.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os.write(2, b"dpig: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
