"""Ctrl-C and the like: answered between two steps, or by ending the process where none ends."""

import os
import signal
import socket
import threading

_STOPPED = "stopped; start again to resume"
_EXIT_INTERRUPTED = 130  # as of the command line


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop; what was learned is saved."""


class StopRequest:
    """SIGINT and SIGTERM as Interrupted: at once, or while `deferred` when `answer` is called.

    Python answers a signal when TensorFlow returns to it, which a slow step or a compilation may
    put off for minutes. A thread waits `PATIENCE` seconds for that and then ends the process, as
    files are complete or absent at any time. It does so where nothing is lost, before the first
    step is done, and at a second signal.

    Attributes:
        deferred: a signal is only noted; set by whoever calls `answer` after the step.
        requested: a signal was noted.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)
    PATIENCE = 3.0

    def __init__(self):
        self.requested = False
        self.deferred = False
        self._left = threading.Event()

    def answer(self) -> None:
        """Raises Interrupted if a stop was requested, and from now on at the signal."""
        self.deferred = False
        if self.requested:
            raise Interrupted(_STOPPED)

    def __enter__(self):
        self._previous = {s: signal.signal(s, self._request) for s in self.SIGNALS}
        self._numbers, self._sent = socket.socketpair()
        self._sent.setblocking(False)
        self._sent_before = signal.set_wakeup_fd(self._sent.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._left.set()
        signal.set_wakeup_fd(self._sent_before)
        self._sent.close()  # ends the thread
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _watch(self):
        may_wait = True
        with self._numbers:
            while number := self._numbers.recv(1):
                if number[0] not in self.SIGNALS:
                    continue
                if self.deferred and may_wait:
                    may_wait = False
                elif not self._left.wait(self.PATIENCE):
                    os.write(2, b"dpig: interrupted within a step\n")
                    os._exit(_EXIT_INTERRUPTED)

    def _request(self, number, frame):
        if self.requested or not self.deferred:  # a second Ctrl-C does not wait for the step
            raise Interrupted(_STOPPED)
        self.requested = True
