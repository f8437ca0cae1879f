"""SHA-256 of files, texts and arrays, in hexadecimal."""

import hashlib
import os
from collections.abc import Iterable

import numpy as np


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_texts(texts: Iterable[str]) -> str:
    """SHA-256 over texts, each ended by a zero byte."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def sha256_of_arrays(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 over the numbers of arrays as float64."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, np.float64).tobytes())
    return digest.hexdigest()
