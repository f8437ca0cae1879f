"""Photos brought to the size of the records, together with their keypoints."""

import dataclasses
import filecmp
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import ExifTags, Image, ImageOps

from dpig_tf2.errors import DpigError, printable
from dpig_tf2.io.folders import files_below
from dpig_tf2.io.images import (
    AVIF,
    JPEG_OR_PNG,
    MAX_PIXELS,
    PHOTO_FORMATS,
    decoding,
    encode_jpeg,
    encode_png,
    open_image,
)

RESIZE_MODES = ("none", "stretch", "letterbox", "crop")
# Many collections hold photos whose names tell another format than their content has.
IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(f".{name.lower()}" for name in AVIF),
)
_OTHER_IMAGES = (
    *(".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".raw", ".dng", ".cr2", ".cr3", ".nef"),
    *(".arw", ".orf", ".raf", ".rw2", ".psd", ".svg", ".ppm", ".pgm", ".tga", ".apng", ".ico"),
)
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")  # of the usual formats
# Market-1501's own names of boxes without a person and of distractors.
_MARKET_JUNK = re.compile(r"(-1|0000)_c\d+s\d+_")
_NO_TEXT = "its name is not UTF-8, which keypoint files and records need: rename it"
_COPY = re.compile(r"(.*) - Copy(?: \(\d+\))?(\.\w+)$")
_DEEP_MODES = ("I", "F")  # first letters of Pillow's modes of more than 8 bits
_SIXTEEN_BITS = "I;16"  # how its modes of 16-bit gray begin
GRAY = (128, 128, 128)  # of margins, and behind transparent pixels
Color = tuple[int, int, int]  # red, green, blue
_OPAQUE = 128  # alpha from which a pixel of a cut-out picture belongs to what was kept


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

    def is_outside(self, keypoints: np.ndarray) -> np.ndarray:
        """Which keypoints [18, 3] of the record lie outside of it, bool [18].

        Stricter than `ops.keypoints.is_outside`, which admits what is above -1: where keypoints of
        the last pixel come to lie when they are mirrored.
        """
        rows, columns = keypoints[:, 0], keypoints[:, 1]
        inside = (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        return ~inside

    def mask(self, mask: np.ndarray | None, least: float = 0.5) -> np.ndarray | None:
        """A mask of the photo, float [H, W] in [0, 1], as one of the record's image.

        Returns:
            float32 [height, width, 1] in {0, 1}: 1 from `least` on; 0 in margins. None for None.
        """
        if mask is None:
            return None
        soft = Image.fromarray(np.asarray(mask, np.float32))
        inner = _inner_size(mask.shape, self.scale)
        paper = Image.new("F", (self.width, self.height))
        top, left = self.offset
        paper.paste(soft.resize((inner[1], inner[0]), Image.Resampling.BOX), (left, top))
        return (np.asarray(paper) >= least).astype(np.float32)[:, :, None]

    @property
    def is_identity(self) -> bool:
        return self.scale == (1.0, 1.0) and self.offset == (0, 0)


def place(photo_size: tuple[int, int], size: tuple[int, int], mode: str) -> Placement:
    """Where a photo of (rows, columns) goes in an image of (rows, columns).

    Args:
        photo_size, size: rows and columns, pixels.
        mode: "none" admits photos of the right size only, "stretch" scales both axes on their own,
            "letterbox" keeps the proportions and adds gray margins, "crop" keeps them and cuts off
            what is too wide or too high on both sides.

    Raises:
        DpigError: if the mode is unknown, it is "none" and the sizes differ, or it is "crop" and
            the photo so long that it would take too much memory before it is cut.
    """
    if mode not in RESIZE_MODES:
        raise DpigError(
            f"resize must be one of {', '.join(RESIZE_MODES)}; got {mode!r}", field="resize"
        )
    if photo_size == size:
        return Placement(*size)
    if mode == "none":
        raise DpigError(
            f"is {photo_size[0]} x {photo_size[1]} pixels, expected {size[0]} x {size[1]} (rows x "
            "columns); resize by stretch or letterbox"
        )
    scale = (size[0] / photo_size[0], size[1] / photo_size[1])
    if mode == "stretch":
        return Placement(*size, scale)
    factor = max(scale) if mode == "crop" else min(scale)
    scale = (factor, factor)
    inner = _inner_size(photo_size, scale)
    if inner[0] * inner[1] > MAX_PIXELS:
        raise DpigError(
            f"would be {inner[0]} x {inner[1]} pixels before it is cut, more than the {MAX_PIXELS} "
            "in all that are made"
        )
    offset = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    return Placement(*size, scale, offset)


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it is seen: decoded once, upright, in RGB.

    Attributes:
        image: the pixels.
        is_plain: the file is a JPEG or PNG whose pixels every reader sees as they are here.
        path: of the file.
        content: of the file.
        cutout: alpha, float32 [H, W] in [0, 1], of a picture whose background was cut out: most of
            its edge is transparent, and something is opaque. None of every other photo.
    """

    image: Image.Image
    is_plain: bool
    path: pathlib.Path
    content: bytes
    cutout: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, pixels."""
        return self.image.height, self.image.width

    def placed(self, placement: Placement) -> np.ndarray:
        """The photo in its place, uint8 [placement.height, placement.width, 3]."""
        return np.asarray(self._placed(placement))

    def is_kept(self, placement: Placement, mirrored: bool = False) -> bool:
        """Whether `encoded` is the file as it is."""
        return self.is_plain and placement.is_identity and not mirrored

    def encoded(self, placement: Placement, mirrored: bool = False) -> bytes:
        """The image file that goes into a record.

        Args:
            placement: where the photo goes; a photo that fits and need not be changed is taken byte
                for byte.
            mirrored: left to right.
        """
        if self.is_kept(placement, mirrored):
            return self.content
        image = self._placed(placement)
        if mirrored:
            image = ImageOps.mirror(image)
        return encode_png(image) if self.path.suffix.lower() == ".png" else encode_jpeg(image)

    def _placed(self, placement) -> Image.Image:
        if placement.is_identity:
            return self.image
        inner = _inner_size(self.size, placement.scale)
        resized = self.image.resize((inner[1], inner[0]), Image.Resampling.LANCZOS)
        paper = Image.new("RGB", (placement.width, placement.height), GRAY)
        paper.paste(resized, placement.offset[::-1])
        return paper


def read(path, background: Color = GRAY) -> Photo:
    """The photo of a file, of an animation the first frame; colors of 16 bits lose the lower 8.

    Args:
        path: the file.
        background: what shines through transparent pixels.

    Raises:
        DpigError: if the content is of none of `PHOTO_FORMATS`, is damaged, or has gray levels of
            32 bits or of 16 with a transparent one, or the name is not UTF-8; the message does not
            name the file.
    """
    path = pathlib.Path(path)
    if not _is_text(path.name):
        raise DpigError(_NO_TEXT)
    with decoding(path):
        content = path.read_bytes()
    image = open_image(path, PHOTO_FORMATS, content)
    with decoding(path):
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        transparent = image.has_transparency_data
        plain_mode = image.mode == "RGB" and not transparent
        is_plain = image.format in JPEG_OR_PNG and plain_mode and upright
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(_SIXTEEN_BITS) and not transparent:
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode.startswith(_DEEP_MODES):
            raise DpigError(f"has pixels of mode {image.mode}, expected 8 bits for each color")
        cutout = None
        if transparent:
            image = image.convert("RGBA")
            cutout = _cutout(np.asarray(image.getchannel("A")))
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
        return Photo(image.convert("RGB"), is_plain, path, content, cutout)


def _cutout(alpha):
    """Alpha uint8 [H, W] as `Photo.cutout`."""
    edge = np.concatenate([alpha[0], alpha[-1], alpha[1:-1, 0], alpha[1:-1, -1]])
    if (edge >= _OPAQUE).mean() >= 0.5 or (alpha < _OPAQUE).all():
        return None
    return alpha.astype(np.float32) / 255


def read_all(
    folder, names: Sequence[str], skipped: list[str], background: Color = GRAY
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, uint8 [H, W, 3]) of each photo that can be read; a line in `skipped` for each other.

    Args:
        folder: where the photos are.
        names: as paths below it.
        skipped: gets the lines.
        background: what shines through transparent pixels.
    """
    for name in names:
        path = pathlib.Path(folder, name)
        try:
            yield name, np.asarray(read(path, background).image)
        except DpigError as error:
            skipped.append(f"{path}: {error}")


def list_images(folder, problems: list[str] | None = None) -> list[str]:
    """The first result of `find_images`."""
    return find_images(folder, problems)[0]


def find_images(folder, problems: list[str] | None = None) -> tuple[list[str], int]:
    """The photos in a folder and in folders below it, as sorted paths below it ("a/b.jpg").

    What systems leave behind (hidden files, `._name` of macOS) is passed over. So are, with a line
    in `problems`, images in formats that cannot be read or whose names are not UTF-8, Market-1501's
    junk and distractors (named `-1_c...` and `0000_c...`, in which there is nobody to be learned),
    "name - Copy" beside an equal "name", links to nothing or to a folder, and folders that cannot
    be listed.

    Args:
        folder: where to look.
        problems: gets a line for each image or folder that is left out, and one for all junk.

    Returns:
        The paths, and how many images and folders are left out.

    Raises:
        DpigError: if the folder does not exist or holds no photo.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        reason = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DpigError(f"image folder {folder} {reason}", file=folder)
    names, left_out, junk = [], [], 0
    for path in files_below(folder, left_out):
        below = path.relative_to(folder)
        reason = _no_photo(path, below.as_posix())
        if _MARKET_JUNK.match(path.name) and path.suffix.lower() in IMAGE_ENDINGS:
            junk += 1
        elif reason:
            left_out.append(f"{printable(path)}: {reason}")
        elif path.suffix.lower() in IMAGE_ENDINGS:
            names.append(below.as_posix())
    number = len(left_out) + junk
    if junk:
        left_out.append(f"{folder}: {junk} images of Market-1501 junk and distractors, skipped")
    if problems is not None:
        problems += left_out
    if not names:
        first = f"; {left_out[0]}" if left_out else ""
        raise DpigError(
            f"{folder} holds no images ({', '.join(IMAGE_ENDINGS)}){first}", file=folder
        )
    return names, number


def _no_photo(path, name):
    """Why a file that looks like a photo is none; None otherwise."""
    ending = path.suffix.lower()
    if not os.path.isfile(path):
        return "no file that can be opened, skipped" if ending in IMAGE_ENDINGS else None
    if ending in _OTHER_IMAGES and ending not in IMAGE_ENDINGS:
        return f"images of format {path.suffix} cannot be read, skipped"
    if not ending and _starts_like_an_image(path):
        return "an image without an ending such as .jpg, skipped"
    if ending not in IMAGE_ENDINGS:
        return None
    if not _is_text(name):
        return f"{_NO_TEXT}, skipped"
    copy = _COPY.match(path.name)
    original = copy and path.with_name("".join(copy.groups()))
    if original and original.is_file() and _are_equal(path, original):
        return f"a copy of {original.name}, skipped"
    return None


def _are_equal(path, other):
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # which is told when the photo is read
        return False


def _is_text(name):
    """Whether a name that the system gave can be written to files."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _starts_like_an_image(path):
    try:
        with open(path, "rb") as file:
            return file.read(4).startswith(_IMAGE_STARTS)
    except OSError:
        return False


def _inner_size(photo_size, scale):
    return tuple(max(1, round(s * factor)) for s, factor in zip(photo_size, scale, strict=True))
