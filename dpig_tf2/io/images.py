"""Image files: the only place that decodes and encodes them (a record's bytes: `ops.images`).

Files are opened by what they hold, whatever their names say.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError, features

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_bytes

JPEG_OR_PNG = ("JPEG", "PNG")
AVIF = ("AVIF",) if features.check("avif") else ()
PHOTO_FORMATS = (*JPEG_OR_PNG, "BMP", "WEBP", "TIFF", "GIF", *AVIF)
# More than the photos of nearly all cameras have. Decoded and converted, such a picture takes less
# than half a gigabyte, whatever the header of a small file promises.
MAX_PIXELS = 1 << 26
_JPEG_QUALITY = 95  # with full color resolution, close enough to the picture to be scored


def open_image(
    path: str | os.PathLike, formats: tuple[str, ...] = JPEG_OR_PNG, content: bytes | None = None
) -> Image.Image:
    """An image file decoded completely, in its own mode and stored orientation.

    The header is looked at first: a picture of more than `MAX_PIXELS` is not decoded.

    Args:
        path: the file.
        formats: Pillow's names of the formats that its content may have.
        content: of the file, where it has been read already.

    Raises:
        DpigError: if the content has another format, is damaged, too large or cannot be read; the
            message does not name the file.
    """
    file = path if content is None else io.BytesIO(content)
    with decoding(path, formats), _as_warned(), Image.open(file, formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DpigError(
                f"is {image.height} x {image.width} pixels (rows x columns), more than the "
                f"{MAX_PIXELS} in all that are read",
                file=path,
            )
        image.load()
        return image


@contextlib.contextmanager
def decoding(path: str | os.PathLike, formats: tuple[str, ...] = JPEG_OR_PNG) -> Iterator[None]:
    """Raises whatever Pillow raises for the bytes of a file as `open_image` does."""
    try:
        yield
    except DpigError:
        raise
    except UnidentifiedImageError as error:
        others = f", nor {', '.join(formats[2:])}" if formats[2:] else ""
        message = f"is not a {' or '.join(formats[:2])} image{others}"
        if not os.path.getsize(path):
            message = "is empty"
        raise DpigError(message, file=path) from error
    # Pillow lets out what its readers of headers, chunks and tags happen to raise.
    except Exception as error:
        raise DpigError(f"cannot be read: {error or type(error).__name__}", file=path) from error


@contextlib.contextmanager
def _as_warned():
    """Pillow's warning of large pictures is left to the limit of this module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def read_rgb(path: str | os.PathLike) -> np.ndarray:
    """A JPEG or PNG file as uint8 [H, W, 3]. Raises DpigError as `open_image`."""
    image = open_image(path)
    with decoding(path):
        return np.asarray(image.convert("RGB"))


def encode_jpeg(image: np.ndarray | Image.Image) -> bytes:
    """A picture, uint8 [H, W, 3] or Pillow's, as a JPEG file of high quality."""
    content = io.BytesIO()
    _as_pillow(image).save(content, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return content.getvalue()


def encode_png(image: np.ndarray | Image.Image) -> bytes:
    """A picture, uint8 [H, W, 3] or Pillow's, as a PNG file."""
    content = io.BytesIO()
    _as_pillow(image).save(content, "PNG")
    return content.getvalue()


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a PNG file that is complete or not there at all; makes the folder if needed.

    Args:
        path: where to write.
        image: uint8 [H, W, 3], [H, W, 1] or [H, W].

    Raises:
        DpigError: if the image has another dtype or shape.
    """
    write_bytes(path, encode_png(as_rgb(image)))


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3], [H, W, 1] or [H, W] as uint8 [H, W, 3].

    Raises:
        DpigError: if it has another dtype or shape.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise DpigError(f"a picture must be uint8, got {image.dtype}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise DpigError(f"a picture must be [H, W, 3], [H, W, 1] or [H, W], got {image.shape}")
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _as_pillow(image):
    return image if isinstance(image, Image.Image) else Image.fromarray(image)


_TURNED = (5, 6, 7, 8)  # orientations that exchange rows and columns


def upright_size(path: str | os.PathLike) -> tuple[int, int, int]:
    """(rows, columns, EXIF orientation) of a photo as it is seen, read from its header.

    Raises:
        DpigError: if it is of none of `PHOTO_FORMATS` or cannot be read; the message does not name
            the file.
    """
    with (
        decoding(path, PHOTO_FORMATS),
        _as_warned(),
        Image.open(path, formats=PHOTO_FORMATS) as image,
    ):
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        # Pillow gives the size of a TIFF as it is seen, that of every other format as stored.
        is_turned = orientation in _TURNED and image.format != "TIFF"
        columns, rows = image.size[::-1] if is_turned else image.size
        return rows, columns, orientation
