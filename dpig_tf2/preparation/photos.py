"""Photos brought to the size of the records, together with their keypoints."""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

from dpig_tf2.io.images import JPEG_OR_PNG, open_image

RESIZE_MODES = ("none", "stretch", "letterbox")
# The formats that a photo may have by the ending of its name. JPEG and PNG may pass for each other,
# as they do in many collections; records hold both as they are.
_FORMATS = {
    ".jpg": JPEG_OR_PNG,
    ".jpeg": JPEG_OR_PNG,
    ".png": JPEG_OR_PNG,
    ".bmp": ("BMP",),
    ".webp": ("WEBP",),
}
IMAGE_ENDINGS = tuple(_FORMATS)
_DEEP_MODES = ("I", "F")  # first letters of Pillow's modes of more than 8 bits
_JPEG_QUALITY = 95
_LETTERBOX_COLOUR = (128, 128, 128)


@dataclasses.dataclass(frozen=True)
class Placement:
    """How a photo lies in the record's image: pixel = photo pixel * scale + offset, per axis."""

    height: int  # of the record, pixels
    width: int
    scale: tuple[float, float] = (1.0, 1.0)  # rows, columns
    offset: tuple[int, int] = (0, 0)  # rows, columns

    def keypoints(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints float32 [18, 3] of the photo in the record's pixels; missing stay (0, 0, 0)."""
        moved = keypoints.copy()
        moved[:, :2] = keypoints[:, :2] * self.scale + self.offset
        return np.where(keypoints[:, 2:] > 0, moved, 0).astype(np.float32)

    @property
    def is_identity(self) -> bool:
        return self.scale == (1.0, 1.0) and self.offset == (0, 0)


def place(photo_size: tuple[int, int], size: tuple[int, int], mode: str) -> Placement:
    """Where a photo of (rows, columns) goes in an image of (rows, columns).

    Args:
        photo_size, size: rows and columns, pixels.
        mode: "none" admits photos of the right size only, "stretch" scales both axes on their own,
            "letterbox" keeps the proportions and adds grey margins.

    Raises:
        ValueError: if the mode is unknown, or it is "none" and the sizes differ.
    """
    if mode not in RESIZE_MODES:
        raise ValueError(f"resize must be one of {', '.join(RESIZE_MODES)}; got {mode!r}")
    if photo_size == size:
        return Placement(*size)
    if mode == "none":
        raise ValueError(
            f"is {photo_size[0]} x {photo_size[1]} pixels, expected {size[0]} x {size[1]} (rows x "
            "columns); resize by stretch or letterbox"
        )
    scale = (size[0] / photo_size[0], size[1] / photo_size[1])
    if mode == "stretch":
        return Placement(*size, scale)
    scale = (min(scale), min(scale))
    inner = _inner_size(photo_size, scale)
    offset = tuple((outer - part) // 2 for outer, part in zip(size, inner, strict=True))
    return Placement(*size, scale, offset)


def size_of(path) -> tuple[int, int]:
    """Rows and columns of a photo as it is seen, its stored orientation applied.

    Raises:
        ValueError: if the content is not of a format that fits the name, is damaged, or has more
            than 8 bits for each colour.
    """
    image = _open(path)
    return image.height, image.width


def encode(path, placement: Placement, flip: bool = False) -> bytes:
    """The photo as JPEG or PNG bytes in its place: the file itself if nothing had to change."""
    path = pathlib.Path(path)
    if placement.is_identity and not flip and _is_plain(path):
        return path.read_bytes()
    photo = _open(path)
    if not placement.is_identity:
        size = _inner_size((photo.height, photo.width), placement.scale)
        resized = photo.resize(size[::-1], Image.Resampling.LANCZOS)
        photo = Image.new("RGB", (placement.width, placement.height), _LETTERBOX_COLOUR)
        photo.paste(resized, placement.offset[::-1])
    if flip:
        photo = ImageOps.mirror(photo)
    encoded = io.BytesIO()
    if path.suffix.lower() == ".png":
        photo.save(encoded, "PNG")
    else:
        photo.save(encoded, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return encoded.getvalue()


def list_images(folder) -> list[str]:
    """Names of the photos in a folder, sorted.

    Raises:
        ValueError: if the folder does not exist or holds none.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"image folder {folder} does not exist")
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
    if not names:
        raise ValueError(f"{folder} holds no images ({', '.join(IMAGE_ENDINGS)})")
    return names


def _open(path):
    """The photo upright, in RGB."""
    image = _read(path)
    if image.mode.startswith(_DEEP_MODES):
        raise ValueError(f"has pixels of mode {image.mode}, expected 8 bits for each colour")
    return ImageOps.exif_transpose(image).convert("RGB")


def _is_plain(path):
    """Whether readers see the file as Pillow does: JPEG or PNG, RGB, upright."""
    image = _read(path)
    upright = image.getexif().get(0x0112, 1) == 1
    return image.format in JPEG_OR_PNG and image.mode == "RGB" and upright


def _read(path):
    return open_image(path, _FORMATS.get(pathlib.Path(path).suffix.lower(), JPEG_OR_PNG))


def _inner_size(photo_size, scale):
    return tuple(max(1, round(s * factor)) for s, factor in zip(photo_size, scale, strict=True))
