"""Arrays on disk: one `.npz` file, written atomically and read strictly."""

import os
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np

from dpig_tf2.ops.files import replacing


class WeightsError(ValueError):
    """A weights file that is unreadable or does not fit; the message names file and variable."""


def collect(variables: Iterable) -> dict[str, np.ndarray]:
    """{path: value} of Keras variables, e.g. of `network.variables`.

    Raises:
        WeightsError: if two variables share a path.
    """
    arrays = {}
    for variable in variables:
        if variable.path in arrays:
            raise WeightsError(f"two variables are called {variable.path}")
        arrays[variable.path] = np.asarray(variable)
    return arrays


def assign(variables: Iterable, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Sets every variable from its path; nothing is assigned unless all fit.

    Args:
        variables: Keras variables.
        arrays: {path: value}; paths that no variable has are ignored here (a stage's file holds
            more than one network).
        source: what the arrays were read from, for messages.

    Raises:
        WeightsError: naming the first variable that is missing or has another shape.
    """
    variables = list(variables)
    for variable in variables:
        if variable.path not in arrays:
            raise WeightsError(f"{source}: variable {variable.path} is missing")
        found, expected = arrays[variable.path].shape, tuple(variable.shape)
        if found != expected:
            raise WeightsError(
                f"{source}: variable {variable.path} has shape {found}, the network has {expected}"
                " (was it trained with another width?)"
            )
    for variable in variables:
        variable.assign(arrays[variable.path])


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes {name: array} under a temporary name, flushes it to disk, then renames it."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
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
