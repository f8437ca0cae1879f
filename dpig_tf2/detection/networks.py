"""The two networks that find a person and its landmarks, run on square regions of a photo.

Source: BlazePose (Bazarevsky et al. 2020) as published in MediaPipe.
"""

import dataclasses
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

from dpig_tf2.errors import DpigError

NUM_LANDMARKS = 39  # 33 of the body, then hip center and upper end of the person, and four spares
HIP_CENTER, UPPER_END = 33, 34  # the landmarks that give a region for the next look
# Where each landmark's mirror image is found: 0 nose, 1-3 and 4-6 eyes, 7-8 ears, 9-10 mouth, then
# left and right take turns down to the feet.
MIRRORED = np.array(
    [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9]
    + [left + step for left in range(11, 33, 2) for step in (1, 0)]
    + list(range(33, NUM_LANDMARKS))
)
_FINDER_SIZE, _LANDMARK_SIZE, _HEAT_SIZE = 224, 256, 64
_ANCHORS = 2254
_REGION_PER_RADIUS = 2.5  # side of a region over the distance of its two points
_OVERLAP = 0.3  # intersection over union from which two detections are one person
_NEAR = 0.15  # sides of a region within which the center of another means the same person
_MOST_BOXES = 200  # of one view, before those of one person become one
_WINDOW = 7  # heat map cells over which a landmark's center of mass is taken
_LEAST_HEAT = 0.5


@dataclasses.dataclass(frozen=True)
class Region:
    """A square of a photo: center (x, y) and side in pixels, and how far it is turned, radians."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, center, end) -> "Region":
        """The square whose "up" points from a person's hip center to its upper end."""
        x, y = np.asarray(end, np.float64) - center
        side = _REGION_PER_RADIUS * float(np.hypot(x, y))
        return cls(float(center[0]), float(center[1]), side, float(np.arctan2(x, -y)))

    def scaled(self, factor: float) -> "Region":
        return dataclasses.replace(self, side=self.side * factor)

    def is_near(self, other: "Region") -> bool:
        """Whether both are about one person: much the same center and size."""
        apart = float(np.hypot(self.x - other.x, self.y - other.y))
        return apart < _NEAR * max(self.side, other.side)

    def to_photo(self, size: int, mirrored: bool = False) -> np.ndarray:
        """Affine map [2, 3] from (x, y, 1) in a picture of the region to the photo's pixels."""
        scale, half = self.side / size, size / 2
        cosine, sine = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        turn = np.array([[cosine, -sine], [sine, cosine]])
        if mirrored:
            turn[:, 0] *= -1
        return np.c_[turn, (self.x, self.y) - turn @ (half, half)]

    def fits(self, photo: np.ndarray) -> bool:
        """Whether the square is of a sensible size and centered in the photo."""
        height, width = photo.shape[:2]
        if not np.isfinite((self.x, self.y, self.side, self.angle)).all():
            return False
        inside = 0 <= self.x <= width and 0 <= self.y <= height
        return inside and 8 <= self.side <= 5 * max(height, width)


@dataclasses.dataclass(frozen=True)
class Look:
    """What the landmark network saw in one region.

    Attributes:
        points: float64 [39, 2], (x, y) in the photo, continuous: 0.5 is the middle of a pixel.
        weights: float64 [39] in [0, 1]: visibility times the peak of the heat map.
        visibility: float64 [39] in [0, 1].
        presence: of a person, in [0, 1].
        mask: float32 [256, 256] in [0, 1] of the region, not mirrored.
        region: the region.
    """

    points: np.ndarray
    weights: np.ndarray
    visibility: np.ndarray
    presence: float
    mask: np.ndarray
    region: Region


class PersonFinder:
    """Finds persons in a square picture."""

    def __init__(self, content: bytes, name: str, threads: int | None):
        self._network = _Network(
            content, name, threads, _FINDER_SIZE, {"boxes": (_ANCHORS, 12), "scores": (_ANCHORS, 1)}
        )
        self._anchors = _anchors()

    def find(self, photo: np.ndarray, view: Region, least: float) -> list[tuple[float, Region]]:
        """(score, region of interest) of the persons in a view of the photo, best first.

        Args:
            photo: uint8 [H, W, 3].
            view: what to look at.
            least: lowest score in [0, 1].
        """
        found = self._network(crop(photo, view, _FINDER_SIZE) / 127.5 - 1.0)
        scores = _sigmoid(found["scores"][:, 0])
        order = np.argsort(-scores)[: min(int((scores >= least).sum()), _MOST_BOXES)]
        values = found["boxes"][order].reshape(-1, 6, 2) / _FINDER_SIZE
        values[:, [0, 2, 3, 4, 5]] += self._anchors[order][:, None]
        boxes = np.concatenate(
            [values[:, 0] - values[:, 1] / 2, values[:, 0] + values[:, 1] / 2], axis=1
        )
        to_photo = view.to_photo(_FINDER_SIZE)
        persons = []
        for kept in _without_overlap(boxes):
            center, end = values[kept, 2:4] * _FINDER_SIZE @ to_photo[:, :2].T + to_photo[:, 2]
            persons.append((float(scores[order[kept]]), Region.around(center, end)))
        return persons


class LandmarkNetwork:
    """Finds the landmarks and the mask of the person in a region."""

    def __init__(self, content: bytes, name: str, threads: int | None):
        outputs = {
            "points": (5 * NUM_LANDMARKS,),
            "presence": (1,),
            "mask": (_LANDMARK_SIZE, _LANDMARK_SIZE, 1),
            "heat": (_HEAT_SIZE, _HEAT_SIZE, NUM_LANDMARKS),
        }
        self._network = _Network(content, name, threads, _LANDMARK_SIZE, outputs)

    def look(self, photo: np.ndarray, region: Region, mirrored: bool = False) -> Look:
        """The landmarks of the person in a region of a photo uint8 [H, W, 3].

        Args:
            photo: uint8 [H, W, 3].
            region: where the person is.
            mirrored: show the network the mirror image. The result is mirrored back.
        """
        found = self._network(crop(photo, region, _LANDMARK_SIZE, mirrored) / 255.0)
        values = found["points"].reshape(NUM_LANDMARKS, 5).astype(np.float64)
        points, peaks = _refined(values[:, :2], _sigmoid(found["heat"]))
        to_photo = region.to_photo(_LANDMARK_SIZE, mirrored)
        points = points @ to_photo[:, :2].T + to_photo[:, 2]
        visibility = _sigmoid(values[:, 3])
        mask = _sigmoid(found["mask"][:, :, 0])
        if mirrored:
            points, peaks, visibility = points[MIRRORED], peaks[MIRRORED], visibility[MIRRORED]
            mask = mask[:, ::-1]
        presence = float(found["presence"][0])
        return Look(points, visibility * peaks, visibility, presence, mask, region)


def mask_in_photo(mask: np.ndarray, region: Region, height: int, width: int) -> np.ndarray:
    """The mask [256, 256] of a region as float32 [H, W] in [0, 1]; 0 outside of the region."""
    to_region = np.linalg.inv(np.vstack([region.to_photo(len(mask)), [0, 0, 1]]))[:2]
    picture = Image.fromarray(np.asarray(mask, np.float32), "F").transform(
        (width, height), Image.Transform.AFFINE, tuple(to_region.ravel()), Image.Resampling.BILINEAR
    )
    return np.asarray(picture)


def crop(photo: np.ndarray, region: Region, size: int, mirrored: bool = False) -> np.ndarray:
    """A region as float32 [size, size, 3] in [0, 255]; the photo's edge goes on beyond it."""
    to_photo = region.to_photo(size, mirrored)
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]])
    corners = corners @ to_photo[:, :2].T + to_photo[:, 2]
    shrink = max(1, int(region.side / size))  # whole pixels are averaged first: no aliasing
    low = np.floor(corners.min(axis=0)).astype(int) - 2 * shrink
    high = np.ceil(corners.max(axis=0)).astype(int) + 2 * shrink
    extent = np.array(photo.shape[1::-1])
    first, last = np.clip(low, 0, extent - 1), np.clip(high, 1, extent)
    # Cut at whole averaged pixels, counted from `first`.
    piece = Image.fromarray(photo[first[1] : last[1], first[0] : last[0]])
    if shrink > 1:
        piece = piece.reduce(shrink)
    before = np.maximum(first - low, 0) // shrink
    after = np.maximum(high - last, 0) // shrink + 1
    padded = np.pad(
        np.asarray(piece), ((before[1], after[1]), (before[0], after[0]), (0, 0)), mode="edge"
    )
    to_piece = to_photo.copy()
    to_piece[:, 2] -= first
    to_piece /= shrink
    to_piece[:, 2] += before
    picture = Image.fromarray(padded).transform(
        (size, size), Image.Transform.AFFINE, tuple(to_piece.ravel()), Image.Resampling.BILINEAR
    )
    return np.asarray(picture, np.float32)


class _Network:
    """A LiteRT model with one square picture as input, and outputs known by their shapes.

    Threads may share it; they wait for each other.
    """

    def __init__(self, content, name, threads, size, outputs):
        self._interpreter = _interpreter(content, name, threads)
        self._lock = threading.Lock()  # an interpreter serves one call at a time
        inputs = self._interpreter.get_input_details()
        found = {tuple(d["shape"])[1:]: d["index"] for d in self._interpreter.get_output_details()}
        shapes = [tuple(detail["shape"]) for detail in inputs]
        if shapes != [(1, size, size, 3)] or not set(outputs.values()) <= set(found):
            raise DpigError(
                f"{name}: a network of {shapes} -> {sorted(found)}, expected "
                f"[1, {size}, {size}, 3] -> {sorted(outputs.values())}",
                file=name,
            )
        self._input = inputs[0]["index"]
        self._outputs = {key: found[shape] for key, shape in outputs.items()}

    def __call__(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            self._interpreter.set_tensor(self._input, picture[None])
            self._interpreter.invoke()
            return {key: self._interpreter.get_tensor(i)[0] for key, i in self._outputs.items()}


def _interpreter(content, name, threads):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise DpigError(
            f"finding poses needs ai-edge-litert ({error}): pip install 'dpig-tf2[pose]'"
        ) from error
    try:
        interpreter = Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DpigError(f"{name}: not a LiteRT model ({error})", file=name) from error
    return interpreter


def _anchors() -> np.ndarray:
    """Anchor centers (x, y) [2254, 2] in [0, 1]: at strides 8, 16 and 32; 2, 2 and 6 for a cell."""
    anchors = []
    for stride, count in ((8, 2), (16, 2), (32, 6)):
        centers = (np.arange(_FINDER_SIZE // stride) + 0.5) * stride / _FINDER_SIZE
        y, x = np.meshgrid(centers, centers, indexing="ij")
        anchors.append(np.stack([x.ravel(), y.ravel()], axis=1).repeat(count, axis=0))
    return np.concatenate(anchors)


def _without_overlap(boxes: np.ndarray) -> Iterator[int]:
    """Rows of boxes [N, 4] (x1, y1, x2, y2), best first, that overlap no earlier one."""
    kept: list[np.ndarray] = []
    for row, box in enumerate(boxes):
        if all(_overlap(box, other) <= _OVERLAP for other in kept):
            kept.append(box)
            yield row


def _overlap(a, b) -> float:
    """Intersection over union of two boxes (low, low, high, high)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    both = float(np.prod(np.subtract(a[2:], a[:2])) + np.prod(np.subtract(b[2:], b[:2])))
    return common / (both - common) if both > common else 0.0


def _refined(points: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [39, 2] moved to the center of mass of their heat map nearby, and the peak there.

    Points whose heat map stays below one half nearby do not move.
    """
    reach = _WINDOW // 2
    scale = _HEAT_SIZE / _LANDMARK_SIZE
    steps = np.arange(-reach, reach + 1)
    cells = np.clip(np.floor(points * scale), -_HEAT_SIZE, 2 * _HEAT_SIZE).astype(int)
    x, y = (cells[:, axis, None] + steps for axis in (0, 1))  # [39, 7]
    inside = [(0 <= a) & (a < _HEAT_SIZE) for a in (x, y)]
    rows, columns = (np.clip(a, 0, _HEAT_SIZE - 1) for a in (y, x))
    window = heat[rows[:, :, None], columns[:, None, :], np.arange(len(points))[:, None, None]]
    window = window * inside[1][:, :, None] * inside[0][:, None, :]
    peaks, total = window.max(axis=(1, 2)), window.sum(axis=(1, 2))
    center = np.stack(
        [(window.sum(axis=1) * x).sum(axis=1), (window.sum(axis=2) * y).sum(axis=1)], axis=1
    )
    moved = center / np.maximum(total, 1e-9)[:, None] / scale
    middle_inside = (cells >= 0).all(axis=1) & (cells < _HEAT_SIZE).all(axis=1)
    return np.where(((peaks >= _LEAST_HEAT) & middle_inside)[:, None], moved, points), peaks


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0)))
