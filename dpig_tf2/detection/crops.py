"""A person cut out of a large photo, and a generated picture put back in its place."""

import dataclasses

import numpy as np
from PIL import Image

from dpig_tf2.errors import DpigError

MARGIN = 0.1  # of the person's box, on each side
# Beyond a photo: medians along an edge, and the share of its length over which it fades into them.
_MEDIANS, _FADING = 33, 0.05


@dataclasses.dataclass(frozen=True)
class Crop:
    """A rectangle of a photo, and the size of the picture that it becomes.

    The rectangle may reach beyond the photo, whose edge then goes on: below as it is, as legs do
    that the photo cuts off; elsewhere it fades into the colors that prevail along it, or a head at
    the upper edge would become a post.

    Attributes:
        top, left, rows, columns: the rectangle, pixels of the photo.
        height, width: of the picture, pixels.
    """

    top: int
    left: int
    rows: int
    columns: int
    height: int
    width: int

    def __post_init__(self):
        if min(self.rows, self.columns, self.height, self.width) < 1:
            raise DpigError(f"a crop needs at least one pixel, got {self}")

    def to_crop(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints float [..., 3] of the photo in pixels of the picture.

        Those outside of the picture become missing, (0, 0, 0), as missing ones are.
        """
        points = (keypoints[..., :2] + 0.5 - self._corner) / self._pixel - 0.5
        inside = (points > -0.5) & (points < np.array([self.height, self.width]) - 0.5)
        seen = (keypoints[..., 2:] > 0) & inside.all(axis=-1, keepdims=True)
        points = np.clip(points, 0, (self.height - 1, self.width - 1))
        return _where_seen(seen, points, keypoints)

    def to_photo(self, keypoints: np.ndarray) -> np.ndarray:
        """Keypoints float [..., 3] of the picture in pixels of the photo; missing ones stay so."""
        points = (keypoints[..., :2] + 0.5) * self._pixel + self._corner - 0.5
        return _where_seen(keypoints[..., 2:] > 0, points, keypoints)

    def cut(self, photo: np.ndarray) -> np.ndarray:
        """The picture: uint8 [H, W, 3] of the photo -> uint8 [height, width, 3]."""
        return _resized(self._rectangle(photo, _gone_on), self.height, self.width)

    def body_mask(self, mask: np.ndarray, least: float = 0.5) -> np.ndarray:
        """The mask of the picture from that of the photo.

        It may stand in for the body mask that is drawn from keypoints.

        Args:
            mask: float [H, W] in [0, 1] of the photo.
            least: from where a pixel belongs to the person.

        Returns:
            float32 [height, width, 1] in {0, 1}; 0 outside of the photo.
        """
        # A border of nothing: a rectangle outside of the photo begins with what lies at its edge.
        moved = dataclasses.replace(self, top=self.top + 1, left=self.left + 1)
        soft = moved._rectangle(np.pad(np.asarray(mask, np.float32), 1), np.pad)
        soft = Image.fromarray(soft).resize((self.width, self.height), Image.Resampling.BOX)
        return (np.asarray(soft) >= least).astype(np.float32)[:, :, None]

    def paste(self, photo: np.ndarray, picture: np.ndarray, feather: float = 0.08) -> np.ndarray:
        """The photo with a picture in the rectangle, at the photo's scale.

        Args:
            photo: uint8 [H, W, 3].
            picture: uint8 [height, width, 3].
            feather: width of the soft edge in shorter sides of the rectangle. Edges at or beyond
                the photo's stay hard.

        Returns:
            uint8 [H, W, 3]; pixels outside of the rectangle are those of the photo.

        Raises:
            DpigError: if the picture has another size.
        """
        if picture.shape != (self.height, self.width, 3):
            raise DpigError(
                f"picture must be [{self.height}, {self.width}, 3], got {list(picture.shape)}",
                field="picture",
            )
        large = _resized(picture, self.rows, self.columns)
        size = np.array(photo.shape[:2])
        low, extent = np.array([self.top, self.left]), np.array([self.rows, self.columns])
        first, last = np.clip(low, 0, size), np.clip(low + extent, 0, size)
        band = max(feather * extent.min(), 1e-6)
        opacity = [
            _ramp(extent[axis], band, low[axis] > 0, low[axis] + extent[axis] < size[axis])
            for axis in (0, 1)
        ]
        opacity = (opacity[0][:, None] * opacity[1])[:, :, None]
        inner = tuple(slice(*pair) for pair in zip(first - low, last - low, strict=True))
        outer = tuple(slice(*pair) for pair in zip(first, last, strict=True))
        mixed = opacity[inner] * large[inner] + (1 - opacity[inner]) * photo[outer]
        pasted = photo.copy()
        pasted[outer] = np.rint(mixed).astype(np.uint8)
        return pasted

    @property
    def _corner(self):
        return np.array([self.top, self.left], np.float64)

    @property
    def _pixel(self):
        """Rows and columns of the photo in one pixel of the picture."""
        return np.array([self.rows / self.height, self.columns / self.width])

    def _rectangle(self, photo, pad):
        """The rectangle [rows, columns, ...] at the photo's scale; `pad` adds what is beyond."""
        low = np.array([self.top, self.left])
        high = low + (self.rows, self.columns)
        size = np.array(photo.shape[:2])
        # At least one row and column, which the edge goes on from.
        first, last = np.clip(low, 0, size - 1), np.clip(high, 1, size)
        piece = photo[first[0] : last[0], first[1] : last[1]]
        sides = [(max(0, f - a), max(0, b - z)) for a, f, z, b in zip(low, first, last, high)]  # noqa: B905
        return pad(piece, sides)[: self.rows, : self.columns]


def person_crop(
    box: np.ndarray, photo_size: tuple[int, int], height: int, width: int, margin: float = MARGIN
) -> Crop:
    """The rectangle about a person that has the proportions of a picture.

    It is moved into the photo where it fits there, and centered where it does not.

    Args:
        box: float [4], pixels of the photo (top, left, bottom, right).
        photo_size: (rows, columns) of the photo.
        height, width: of the picture, pixels.
        margin: added on each side, in sides of the box.
    """
    low, high = np.array(box[:2], np.float64), np.array(box[2:], np.float64)
    needed = np.maximum((high - low) * (1 + 2 * margin), 1)
    scale = max(needed[0] / height, needed[1] / width)
    extent = np.maximum(np.rint(np.array([height, width]) * scale).astype(int), 1)
    corner = np.rint((low + high - extent) / 2).astype(int)
    room = np.array(photo_size) - extent
    corner = np.where(room >= 0, np.clip(corner, 0, np.maximum(room, 0)), corner)
    (top, left), (rows, columns) = corner.tolist(), extent.tolist()
    return Crop(top, left, rows, columns, height, width)


def _gone_on(piece, sides):
    """A piece of a photo [H, W, 3] with so many rows and columns more on its sides."""
    (above, below), (left, right) = sides
    piece = np.concatenate([_margin(piece[0], above)[::-1], piece])
    piece = np.pad(piece, ((0, below), (0, 0), (0, 0)), mode="edge")
    columns = np.swapaxes(piece, 0, 1)
    columns = [_margin(columns[0], left)[::-1], columns, _margin(columns[-1], right)]
    return np.swapaxes(np.concatenate(columns), 0, 1)


def _margin(line, count):
    """A line of pixels [N, 3] that fades into its running medians: [count, N, 3]."""
    length = len(line)
    places = np.linspace(0, length - 1, _MEDIANS).round().astype(int)
    reach = length // 3
    medians = [np.median(line[max(0, p - reach) : p + reach + 1], axis=0) for p in places]
    faded = [np.interp(np.arange(length), places, channel) for channel in np.transpose(medians)]
    share = np.minimum(np.arange(1, count + 1) / max(_FADING * length, 1), 1)[:, None, None]
    return np.rint(line + share * (np.stack(faded, axis=-1) - line)).astype(line.dtype)


def _where_seen(seen, points, keypoints):
    moved = np.concatenate([points, keypoints[..., 2:]], axis=-1)
    return np.where(seen, moved, 0).astype(np.float32)


def _resized(picture, height, width):
    if picture.shape[:2] == (height, width):
        return picture
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def _ramp(length, band, soft_start, soft_end):
    """Opacity along one axis: rises over `band` pixels from a soft end, 1 elsewhere."""
    middle = np.arange(length) + 0.5
    ramp = np.ones(length)
    for soft, distance in ((soft_start, middle), (soft_end, length - middle)):
        if soft:
            part = np.clip(distance / band, 0, 1)
            ramp = np.minimum(ramp, part * part * (3 - 2 * part))
    return ramp
