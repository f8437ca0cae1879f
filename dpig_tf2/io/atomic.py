"""Files and folders that are complete or not there at all."""

import contextlib
import errno
import fnmatch
import glob
import json
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator

_TEMPORARY = ".{name}.{process}.tmp"
_LEFT = re.compile(r"\.(?P<name>.+)\.[0-9]+(?P<aside>\.old)?\.tmp", re.DOTALL)
# Seconds since its last byte. Process numbers do not tell: another host may be writing.
_ABANDONED = 3600


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary path beside `path`, which takes its place on success and is removed on failure.

    The folder is made if needed.

    Raises:
        OSError: naming the file, also where the system does not (a disk that is full).
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path: str | os.PathLike) -> None:
    """Makes the folder of a file, and raises OSError if the file could not be written there.

    For work that takes long and is written when it is done.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """As `replacing`, of a folder that is whole. For one process at a time, see `locks`.

    What a killed process left beside it is removed first. A folder that it had moved aside and not
    replaced yet comes back.
    """
    path = pathlib.Path(path)
    left = []
    for folder in path.parent.glob(".*.tmp"):
        match = _LEFT.fullmatch(folder.name)
        if match and match["name"] == path.name:
            left.append(folder)
            if match["aside"]:
                _put_back(folder, path)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    new = temporary_path(path)
    old = new.with_suffix(".old.tmp")
    new.mkdir(parents=True)
    try:
        yield new
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)
    finally:
        _put_back(old, path)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


def _put_back(aside, path):
    """Gives a folder that was moved aside its name again, unless another has it now."""
    if aside.exists() and not path.exists():
        os.rename(aside, path)


def temporary_path(path: str | os.PathLike) -> pathlib.Path:
    """A path beside `path` for a file of this process that `remove_temporaries` knows."""
    path = pathlib.Path(path)
    return path.with_name(_TEMPORARY.format(name=path.name, process=os.getpid()))


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Replaces a file."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replaces a text file, UTF-8, and removes what killed processes left of it long ago."""
    path = pathlib.Path(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with contextlib.suppress(OSError):  # another process may be removing it
        remove_temporaries(path.parent, glob.escape(path.name), _ABANDONED)


def write_json(path: str | os.PathLike, value) -> None:
    """Replaces a JSON file, as `write_text`.

    Raises:
        ValueError: if a number is not finite, which JSON does not know; the file stays as it was.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def remove_temporaries(
    folder: pathlib.Path, name: str | None = None, older_than: float = 0
) -> None:
    """Removes the files that killed processes left of `replacing` in a folder.

    Args:
        folder: the folder.
        name: of the files, as a pattern; None: all, also those of folders below.
        older_than: seconds since the last byte of those that are removed; 0: whatever their age.
    """
    find = folder.rglob if name is None else folder.glob
    for leftover in find(".*.tmp"):
        match = _LEFT.fullmatch(leftover.name)
        if not match or not fnmatch.fnmatchcase(match["name"], name or "*"):
            continue
        if not leftover.is_file():  # a folder is that of an export, which may be at work
            continue
        if not older_than or time.time() - leftover.stat().st_mtime > older_than:
            leftover.unlink(missing_ok=True)
