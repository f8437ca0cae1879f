"""Arrays on disk: one `.npz` file, written atomically and read strictly."""

import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import replacing


class WeightsError(DpigError):
    """A weights file that is unreadable or does not fit; the message names file and variable."""


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes {name: array} under a temporary name, flushes it to disk, then renames it."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **cast(Any, arrays))  # stubs: names may be numpy's own arguments
        file.flush()
        os.fsync(file.fileno())


def load(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """{name: array} of a file written by `save`.

    Args:
        path: the file.
        names: what to read; None reads everything.

    Raises:
        WeightsError: if the file is missing, truncated or not of this format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names or file.files}
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weights file") from None
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise WeightsError(f"{path}: not a readable weights file ({error})") from error
