"""One writer at a time: locks that the system takes back when their process ends, however it ends.

They are advisory locks of files (flock), which network file systems pass on to other hosts.
"""

import contextlib
import datetime
import errno
import fcntl
import os
import pathlib
import socket
import time
import warnings
from collections.abc import Iterator

from dpig_tf2.errors import DpigError, printable

_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LONGEST_OWNER = 200  # characters
_BETWEEN_TRIES = 0.05  # seconds


class LockedError(DpigError):
    """Another process writes to the same place; the message says which."""


def lock_name(what: str = "dpig") -> str:
    """Name of the lock file for the files of a folder that begin so."""
    return f".{what}.lock"


@contextlib.contextmanager
def writing(folder: str | os.PathLike, what: str = "dpig", wait: float = 0) -> Iterator[None]:
    """Keeps other processes from writing the same files of a folder.

    The folder is made if needed, and removed again if nothing was written to it.

    Args:
        folder: where the files are.
        what: how their names begin; different names do not exclude each other.
        wait: seconds in which another process may end, where it writes for moments only.

    Raises:
        LockedError: naming process, host and time, if another one has begun and not ended.
    """
    folder = pathlib.Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    path = folder / lock_name(what)
    try:
        with _locked(path, folder, wait):
            yield
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # it holds something
                each.rmdir()


@contextlib.contextmanager
def _locked(path, folder, wait):
    with _acquired(path, folder, wait) as file:
        file.truncate(0)
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _acquired(path, folder, wait):
    """The lock file, open and locked."""
    end = time.monotonic() + wait
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # No link is followed: it may lead to a file that is not ours to write.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            continue  # another process has just removed the folder that it had made
        file = open(descriptor, "r+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                owner = printable(file.read(_LONGEST_OWNER).strip()) or "another process"
            if time.monotonic() < end:
                time.sleep(_BETWEEN_TRIES)
                continue
            raise LockedError(
                f"{folder} is being written by {owner}: wait for it, or choose another folder",
                file=folder,
            ) from None
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                file.close()
                raise
            warnings.warn(
                f"{folder}: the file system has no locks; start no second writer", stacklevel=2
            )
            return file
        if _is_at(file, path):
            return file
        file.close()  # its owner has removed it since


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
