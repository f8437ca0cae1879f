"""Several processes at work on a conversion; what they give does not depend on their number."""

import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from dpig_tf2.errors import DpigError

MOST_WORKERS = 512
_WAITING = 32  # tasks for each process whose results may wait to be taken
_SECONDS_BETWEEN_REPORTS = 0.5
Result = TypeVar("Result")


class WorkerError(DpigError):
    """A process of a conversion has ended before its work."""


class Stopped(Exception):
    """Raised in a process whose work is no longer wanted."""


class Workers:
    """Processes that do tasks; a context manager.

    They are started afresh (spawned), and load what their tasks need: functions and tasks are
    pickled, and scripts that ask for several need `if __name__ == "__main__":`. They end with the
    process that has started them, however it ends.

    Args:
        count: of the processes; with 1 the work is done in this one.

    Raises:
        DpigError: if the count is below 1 or above `MOST_WORKERS`.
    """

    def __init__(self, count: int = 1):
        if not 1 <= count <= MOST_WORKERS:
            raise DpigError(
                f"workers must be from 1 to {MOST_WORKERS}, got {count}", field="workers"
            )
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._done, self._stop = context.Value("q", 0), context.Event()
        _prepare(self._done, self._stop)
        self._pool = None
        if count > 1:
            self._pool = concurrent.futures.ProcessPoolExecutor(
                count, context, initializer=_start, initargs=(self._done, self._stop)
            )

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Any], Result], tasks: Iterable) -> Iterator[Result]:
        """Results in the order of the tasks, of which a limited number is taken ahead.

        Raises:
            WorkerError: if a process is killed.
        """
        if self._pool is None:
            yield from map(function, tasks)
            return
        tasks, running = iter(tasks), collections.deque()
        try:
            while True:
                room = _WAITING * self.count - len(running)
                running += [self._submit(function, t) for t in itertools.islice(tasks, room)]
                if not running:
                    return
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise _killed() from error

    def each(
        self, function: Callable[..., Result], tasks: Iterable[tuple], report: Callable[[int], None]
    ) -> Iterator[tuple[tuple, Result]]:
        """(task, result) of function(*task) in the order in which they finish.

        Args:
            function: reports with `count_one` what it has done.
            tasks: arguments of the calls.
            report: told every now and then how many `count_one` of these tasks there were.

        Raises:
            WorkerError: if a process is killed.
        """
        before = self._done.value
        if self._pool is None:
            _reports.append(lambda: report(self._done.value - before))
            try:
                for task in tasks:
                    yield task, function(*task)
            finally:
                _reports.pop()
            return
        try:
            running = {self._submit(function, *task): task for task in tasks}
            while running:
                finished, _ = concurrent.futures.wait(
                    running,
                    _SECONDS_BETWEEN_REPORTS,
                    return_when=concurrent.futures.FIRST_COMPLETED,
                )
                report(self._done.value - before)
                for future in finished:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            raise _killed() from error

    def _submit(self, function, *task):
        # The first task starts the processes, which complain of a parent that leaves meanwhile.
        assert self._pool
        with _interrupted_afterwards():
            return self._pool.submit(function, *task)


@contextlib.contextmanager
def _interrupted_afterwards():
    """SIGINT and SIGTERM that come within act at its end."""
    if threading.current_thread() is not threading.main_thread():  # handlers are the main one's
        yield
        return
    came = []
    signals = signal.SIGINT, signal.SIGTERM
    previous = {n: signal.signal(n, lambda number, _: came.append(number)) for n in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def count_one() -> None:
    """Counts a finished piece of the task that this process is at. Raises Stopped."""
    if _stop.is_set():
        raise Stopped
    with _done.get_lock():
        _done.value += 1
    for report in _reports:
        report()


def _killed():
    return WorkerError(
        "a process of the conversion was killed, perhaps for want of memory: start again to go on "
        "with the files that are missing, with fewer workers",
        field="workers",
    )


_done: Any = None
_stop: Any = None
_reports: list[Callable[[], None]] = []  # of this process's own work


def _prepare(done, stop):
    global _done, _stop
    _done, _stop = done, stop


def _start(done, stop):
    """What a process does before its first task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that has started it tells when
    _prepare(done, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
