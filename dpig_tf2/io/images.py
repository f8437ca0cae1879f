"""Image files opened by what they hold, whatever their names say."""

import os
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError

JPEG_OR_PNG = ("JPEG", "PNG")


def open_image(path: str | os.PathLike, formats: Sequence[str] = JPEG_OR_PNG) -> Image.Image:
    """An image file decoded completely, in its own mode and stored orientation.

    Args:
        path: the file.
        formats: Pillow's names of the formats that its content may have.

    Raises:
        ValueError: if the content has another format, is damaged or cannot be read; the message
            does not name the file.
    """
    try:
        with Image.open(path, formats=formats) as image:
            image.load()
            return image
    except UnidentifiedImageError as error:
        raise ValueError(f"is not a {' or '.join(formats)} image") from error
    # Besides OSError, Pillow lets out what its PNG chunk readers happen to raise.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be read: {error}") from error


_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # orientations that exchange rows and columns


def upright_size(path: str | os.PathLike) -> tuple[int, int, int]:
    """(rows, columns, EXIF orientation) of an image as it is seen, read from its header.

    Raises:
        ValueError: if it cannot be read; the message does not name the file.
    """
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            size = image.size if orientation in _TURNED else image.size[::-1]
            return *size, orientation
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be read: {error}") from error
