"""What a process makes of a photo: its views, of which each becomes an image of a record."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.ops import drawing
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.preparation import photos
from dpig_tf2.preparation.store import pickled
from dpig_tf2.records import writer


@dataclasses.dataclass(frozen=True)
class View:
    """A photo as a record has it: `encoded` JPEG or PNG, `keypoints` float32 [18, 3] in pixels."""

    encoded: bytes
    keypoints: np.ndarray


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a process has made of a photo.

    Attributes:
        problems: a line for each; without views the photo cannot be used.
        views: plain, then mirrored if asked for.
        sha256: of the photo's file.
        pixels: what TensorFlow must decode the plain view to, uint8 [H, W, 3]; None where we have
            encoded it.
    """

    problems: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    sha256: str = ""
    pixels: np.ndarray | None = None


class Item(Protocol):
    """What a process can make a photo from."""

    def prepare(self) -> Prepared:
        """Reads or draws the photo."""
        ...


@dataclasses.dataclass(frozen=True)
class PhotoFile:
    """A file to become a record.

    Args:
        path: the file.
        keypoints: float32 [18, 3], pixels of the photo.
        size: rows and columns of the record.
        resize: one of `photos.RESIZE_MODES`.
        mirrored: for each view, whether it is mirrored.
        background: what shines through transparent pixels.
    """

    path: pathlib.Path
    keypoints: np.ndarray
    size: tuple[int, int]
    resize: str = "none"
    mirrored: tuple[bool, ...] = (False,)
    background: photos.Color = photos.GRAY

    def prepare(self) -> Prepared:
        try:
            photo = photos.read(self.path, self.background)
            placement = photos.place(photo.size, self.size, self.resize)
        except DpigError as error:
            return Prepared((f"{self.path}: {error}",))
        placed, problems = _inside(placement.keypoints(self.keypoints), placement, self.path)
        if not placed[:, 2].any():
            return Prepared((*problems, f"{self.path}: no visible keypoint, skipped"))
        views = tuple(
            View(
                photo.encoded(placement, mirrored),
                drawing.mirrored(placed, self.size[1]) if mirrored else placed,
            )
            for mirrored in self.mirrored
        )
        kept = any(photo.is_kept(placement, mirrored) for mirrored in self.mirrored)
        pixels = np.asarray(photo.image) if kept else None
        return Prepared(tuple(problems), views, hashlib.sha256(photo.content).hexdigest(), pixels)


def _inside(keypoints, placement, path):
    """Keypoints with those outside the image marked missing, and a line for each of these."""
    outside = (keypoints[:, 2] > 0) & placement.is_outside(keypoints)
    problems = []
    for k in np.flatnonzero(outside):
        row, column, _ = keypoints[k]
        problems.append(
            f"{path}: {KEYPOINT_NAMES[k]} is out of frame (row {row:g}, column "
            f"{column:g} of {placement.height} x {placement.width}), taken as missing"
        )
    return np.where(outside[:, None], np.float32(0), keypoints), problems


@dataclasses.dataclass(frozen=True)
class Pickled:
    """All views of a photo, pickled, and a `Prepared` with at most the first, to be compared."""

    prepared: Prepared
    views: tuple[bytes, ...]


def prepare_all(items: Sequence[Item], record_format: writer.Format | None) -> list[Pickled]:
    """What a process does with some photos.

    Args:
        items: the photos.
        record_format: of records of pairs: all that these hold of a view is pickled, not the view's
            encoded image alone.
    """
    prepared = [item.prepare() for item in items]
    views = [view for each in prepared for view in each.views]
    kept = [view.encoded for view in views]
    if record_format:
        kept = record_format.describe(kept, [view.keypoints for view in views])
    views_pickled = map(pickled, kept)
    return [
        Pickled(
            # Only what is to be compared goes back as it is.
            dataclasses.replace(
                each, views=tuple(_light(view, each.pixels is not None) for view in each.views[:1])
            ),
            tuple(itertools.islice(views_pickled, len(each.views))),
        )
        for each in prepared
    ]


def _light(view, whole):
    return view if whole else dataclasses.replace(view, encoded=b"")


def is_decoded_alike(prepared: Prepared) -> bool:
    """Whether TensorFlow decodes a photo's file, if it goes into records, as Pillow does."""
    if prepared.pixels is None:
        return True
    from dpig_tf2.ops import images  # takes seconds, in which the processes look at photos

    return images.decodes_to(prepared.views[0].encoded, prepared.pixels)
