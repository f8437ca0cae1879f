"""Arrays on disk: one `.npz` file, written atomically and read strictly."""

import io
import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import replacing

# Bytes of arrays for each byte of their file. `save` does not compress; of what others compress,
# numbers as they come take a tenth at best, and a thousandth is reached by nothing but bombs.
_MAX_RATIO = 100


class WeightsError(DpigError):
    """A weights file that is unreadable or does not fit; the message names file and variable."""


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes {name: array} under a temporary name, flushes it to disk, then renames it."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write(file, arrays)
        file.flush()
        os.fsync(file.fileno())


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """{name: array} as the content of a file that `load` reads."""
    content = io.BytesIO()
    _write(content, arrays)
    return content.getvalue()


def _write(file, arrays):
    np.savez(file, **cast(Any, arrays))  # stubs: names may be numpy's own arguments


def load(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """{name: array} of a file written by `save`; no pickle is read.

    What the file's headers promise is compared with what it holds before memory is taken for it.

    Args:
        path: the file.
        names: what to read; None reads everything.

    Raises:
        WeightsError: if the file is missing, truncated or not of this format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, os.path.getsize(path))
            return {name: _read(archive, members[name]) for name in names or members}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file", file=path) from None
    except Exception as error:  # the readers of zip and headers let out what their parts raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(f"{path}: not a readable .npz file ({reason})", file=path) from error


def _members(archive, size):
    """{array name: member} of an archive of `size` bytes; ValueError where it holds too much."""
    members = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise ValueError(f"{name!r} in it is no array")
        if name in members:
            raise ValueError(f"it holds {name!r} twice")
        members[name] = info
    promised = sum(info.file_size for info in members.values())
    if promised > _MAX_RATIO * size:
        raise ValueError(f"{size} bytes promise {promised}")
    return members


def _read(archive, info):
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{info.filename} has the unknown version {version}")
        shape, _, dtype = read_header(member)
        if dtype.hasobject or not dtype.itemsize:
            raise ValueError(f"{info.filename} holds {dtype}, expected numbers or text")
        promised = member.tell() + math.prod(shape) * dtype.itemsize
        if promised != info.file_size or min(shape, default=0) < 0:
            raise ValueError(f"{info.filename} promises {promised} bytes and has {info.file_size}")
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)
