"""Photos of a folder as the detector takes them."""

import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import ImageOps

from dpig_tf2.errors import DpigError
from dpig_tf2.io.images import open_image

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")


def read_photo(path: str | os.PathLike) -> np.ndarray:
    """A photo upright, uint8 [H, W, 3].

    Raises:
        DpigError: naming the file if it cannot be read.
    """
    try:
        return np.asarray(ImageOps.exif_transpose(open_image(path, _FORMATS)).convert("RGB"))
    except ValueError as error:
        raise DpigError(f"{path}: {error}", file=path) from error


def read_photos(
    folder: str | os.PathLike, names: Sequence[str], skipped: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, photo) of each file that can be read; what is wrong with others goes to `skipped`."""
    for name in names:
        try:
            yield name, read_photo(pathlib.Path(folder, name))
        except DpigError as error:
            skipped.append(str(error))
