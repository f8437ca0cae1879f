"""Photos brought to the size of the records, together with their keypoints."""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

RESIZE_MODES = ("none", "stretch", "letterbox")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_KEPT_FORMATS = ("JPEG", "PNG")  # what a record may hold as it is
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
        ValueError: if the file cannot be decoded completely.
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
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # Pillow's decoders fail in many ways
        raise ValueError(f"cannot be decoded as an image ({error})") from error


def _is_plain(path):
    """Whether readers see the file as Pillow does: JPEG or PNG, RGB, upright."""
    with Image.open(path) as image:
        upright = image.getexif().get(0x0112, 1) == 1
        return image.format in _KEPT_FORMATS and image.mode == "RGB" and upright


def _inner_size(photo_size, scale):
    return tuple(max(1, round(s * factor)) for s, factor in zip(photo_size, scale, strict=True))
