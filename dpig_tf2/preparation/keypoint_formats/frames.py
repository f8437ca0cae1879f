"""From the units and the image size that a file means to pixels of the photo.

Which frame keypoints belong to, where the camera's orientation is stored beside the pixels (EXIF):
the size that the file declares tells; without one, or where both agree, the photo as it is seen.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from dpig_tf2.preparation.keypoint_formats.model import Entry, KeypointsError

UNITS = ("pixels", "normalized")
_FEW = 3  # visible keypoints; fewer in the first pixels may be meant
_TOLERANCE = 0.01  # of the aspect ratio, besides one pixel
# A limb may lie beside the photo, so normalized coordinates may leave their range.
_FURTHEST = 1.5  # no pose in pixels is as small
_SIGNED = 0.1  # of all coordinates below 0; of those from -1 to 1 about half are


@dataclasses.dataclass
class Frames:
    """Brings entries of one file or folder to pixels.

    Args:
        units: "pixels", "normalized", or None: what the format says, else pixels.
        photo_sizes: {photo: (rows, columns)} as it is seen, or a function of the name; a third
            number is the EXIF orientation. None where unknown.
        entries: all that were read; together they show what range normalized coordinates have.
    """

    units: str | None
    photo_sizes: Mapping[str, tuple] | Callable[[str], tuple | None] | None
    entries: dataclasses.InitVar[Iterable[Entry]]
    scaled: list[str] = dataclasses.field(default_factory=list)  # a note for each

    def __post_init__(self, entries):
        found = [_coordinates(p.keypoints) for entry in entries for p in entry.people or ()]
        self._all = np.concatenate([np.zeros((0, 2)), *found])
        self._is_signed = (self._all < 0).sum() > _SIGNED * self._all.size

    @property
    def range_note(self) -> str | None:
        """What range coordinates that `units` calls normalized have, where some are negative."""
        below = int((self._all < 0).sum())
        if self.units != "normalized" or not below:
            return None
        return (
            f"{below} of {self._all.size} normalized coordinates are negative: all are taken to go "
            f"from {-int(self._is_signed)} to 1"
        )

    def to_pixels(self, name: str, entry: Entry, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints [18, 3] in pixels of the photo.

        Raises:
            KeypointsError: saying what was seen, if they cannot be what they are taken for.
        """
        units = self.units or entry.units
        photo = None
        if units == "normalized" or entry.size:
            photo = self._photo_size(name)
        if units == "normalized":
            size = entry.size or (photo and photo[:2])
            if not size:
                raise KeypointsError("normalized keypoints need the size of the photo")
            keypoints = self._denormalize(keypoints, size, entry)
            return self._fit(keypoints, size, photo, name)
        if units is None:
            self._refuse_normalized(keypoints)
        return self._fit(keypoints, entry.size, photo, name) if entry.size else keypoints

    def _photo_size(self, name):
        if self.photo_sizes is None:
            return None
        if not callable(self.photo_sizes):
            return self.photo_sizes.get(name)
        try:
            return self.photo_sizes(name)
        except (ValueError, OSError):  # reported where the photo itself is read
            return None

    def _refuse_normalized(self, keypoints):
        values = _coordinates(keypoints)
        if _is_normalized(values) and (len(values) >= _FEW or _is_normalized(self._all)):
            raise KeypointsError(
                f"all coordinates lie between {values.min():g} and {values.max():g}, as normalized "
                "ones do; --keypoint_units=normalized or pixels says what they are"
            )

    def _denormalize(self, keypoints, size, entry):
        points = keypoints[:, :2]
        if entry.units != "normalized":
            values = _coordinates(keypoints)
            if values.size and not _is_normalized(values):
                raise KeypointsError(
                    f"coordinates reach from {values.min():g} to {values.max():g}, expected "
                    "normalized ones, 0 to 1 or -1 to 1"
                )
            if self._is_signed:
                points = (points + 1) / 2
        return np.c_[points * size, keypoints[:, 2]]

    def _fit(self, keypoints, size, photo, name):
        if photo is None or tuple(size) == tuple(photo[:2]):
            return keypoints
        rows, columns, orientation = (*photo, 1)[:3]
        if not _similar(size, (rows, columns)):
            if orientation not in _UPRIGHT or not _similar(size, (columns, rows)):
                raise KeypointsError(
                    f"they belong to an image of {size[0]:g} x {size[1]:g} pixels, the photo has "
                    f"{rows} x {columns} (rows x columns), of another aspect ratio"
                )
            keypoints = _turn(keypoints, size, orientation)
            size = size[::-1]
        if tuple(size) == (rows, columns):
            return keypoints
        self.scaled.append(
            f"{name} from {size[0]:g} x {size[1]:g} pixels to the photo's {rows} x {columns}"
        )
        return np.c_[keypoints[:, :2] * (rows / size[0], columns / size[1]), keypoints[:, 2]]


def _coordinates(keypoints):
    """Rows and columns of the visible keypoints that are finite, [n, 2]."""
    with np.errstate(invalid="ignore"):
        visible = (keypoints[:, 2] > 0) & np.isfinite(keypoints).all(axis=1)
    return keypoints[visible, :2]


def _is_normalized(values):
    return values.size > 0 and np.abs(values).max() <= _FURTHEST


def _similar(size, other):
    expected = size[1] * other[0] / size[0]
    return abs(expected - other[1]) <= max(1.0, _TOLERANCE * other[1])


# Row and column in the photo as it is seen, of a point in the stored image of (rows, columns), by
# the EXIF orientations that exchange the axes.
_UPRIGHT = {
    5: lambda row, column, rows, columns: (column, row),
    6: lambda row, column, rows, columns: (column, rows - 1 - row),
    7: lambda row, column, rows, columns: (columns - 1 - column, rows - 1 - row),
    8: lambda row, column, rows, columns: (columns - 1 - column, row),
}


def _turn(keypoints, size, orientation):
    row, column = _UPRIGHT[orientation](keypoints[:, 0], keypoints[:, 1], *size)
    return np.c_[row, column, keypoints[:, 2]]
