"""Weights in one safetensors file: what is published is half as large as a checkpoint's arrays."""

import os
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from dpig_tf2.io.array_files import WeightsError
from dpig_tf2.io.atomic import write_bytes


def save(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes {name: array} as float16.

    Raises:
        WeightsError: naming the first array whose values float16 cannot hold.
    """
    halves = {}
    for name, array in arrays.items():
        with np.errstate(over="ignore"):
            halves[name] = np.ascontiguousarray(array, np.float16)
        if not np.isfinite(halves[name]).all():
            raise WeightsError(f"{path}: {name} has values beyond float16", file=path, field=name)
    write_bytes(path, safetensors.numpy.save(halves))


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """{name: float32 array} of a file written by `save`.

    Raises:
        WeightsError: if the file is missing, truncated or not of this format.
    """
    try:
        arrays = safetensors.numpy.load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such weights file", file=path) from None
    except Exception as error:  # the reader lets out what its parts raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(f"{path}: not a readable weights file ({reason})", file=path) from error
    return {name: array.astype(np.float32) for name, array in arrays.items()}
