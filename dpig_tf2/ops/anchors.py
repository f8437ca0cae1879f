"""Anchors: points on the body, each with a soft map, where codes are read and placed.

A region of `ops.regions` has some anchors along its limbs. The encoder of the placed architecture
averages features under their maps, the generator puts values back under the maps of another pose:
appearance is read where it is and drawn where it belongs, whatever the pose.
"""

import numpy as np
import tensorflow as tf

from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES

# Points derived from the keypoints, so that one that is hidden does not hide all the rest.
_DERIVED = ("head", "hips")
_POINTS = (*KEYPOINT_NAMES, *_DERIVED)
_FACE = tuple(
    KEYPOINT_NAMES.index(name)
    for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
)
_NECK = KEYPOINT_NAMES.index("neck")
_HIPS = tuple(KEYPOINT_NAMES.index(name) for name in ("right_hip", "left_hip"))
# From the neck, in torso lengths against the torso: the head where no point of the face is seen.
_HEAD_ABOVE_NECK = 0.35
# A torso in image heights, where neck or hips are not seen, and the shortest that is believed.
_TORSO, _SHORTEST_TORSO = 0.25, 0.08


def _limb(start: str, end: str, *places: float) -> list[dict[str, float]]:
    """Anchors between two points; place 0 is the start, 1 the end, others may lie outside."""
    return [{start: 1.0 - place, end: place} for place in places]


def _arm(side: str) -> list[dict[str, float]]:
    return [
        *_limb(f"{side}_shoulder", f"{side}_elbow", 0.15, 0.65),
        *_limb(f"{side}_elbow", f"{side}_wrist", 0.3, 1.0),
    ]


def _leg(side: str) -> list[dict[str, float]]:
    return [
        *_limb(f"{side}_hip", f"{side}_knee", 0.35, 0.8),
        *_limb(f"{side}_knee", f"{side}_ankle", 0.35, 1.0),
    ]


# Anchors of each region as weights of points, and the width of their maps in torso lengths.
_ANCHORS: dict[str, tuple[float, list[dict[str, float]]]] = {
    "head": (0.16, _limb("neck", "head", 0.0, 0.5, 1.0, 1.5)),
    "upper_body": (
        0.18,
        [
            *_limb("right_shoulder", "right_hip", 0.1, 0.5, 0.9),
            *_limb("left_shoulder", "left_hip", 0.1, 0.5, 0.9),
            *_limb("neck", "hips", 0.25, 0.75),
        ],
    ),
    "legs": (
        0.18,
        [
            {"hips": 1.0},
            {"right_hip": 0.25, "left_hip": 0.25, "right_knee": 0.25, "left_knee": 0.25},
            {"right_knee": 0.5, "left_knee": 0.5},
            {"right_ankle": 0.5, "left_ankle": 0.5},
            *_limb("right_hip", "right_knee", 0.3),
            *_limb("left_hip", "left_knee", 0.3),
        ],
    ),
    "left_arm": (0.12, _arm("left")),
    "right_arm": (0.12, _arm("right")),
    "left_leg": (0.14, _leg("left")),
    "right_leg": (0.14, _leg("right")),
}
_KEYPOINT_WIDTH = 0.1  # of the maps of single keypoints, torso lengths

ANCHORS_PER_REGION = tuple(len(_ANCHORS[name][1]) for name in REGION_NAMES)
NUM_ANCHORS = sum(ANCHORS_PER_REGION)


def _weights() -> np.ndarray:
    """float32 [anchors, points]: every anchor as weights of points, which sum to one."""
    rows = [anchor for name in REGION_NAMES for anchor in _ANCHORS[name][1]]
    weights = np.zeros((len(rows), len(_POINTS)), np.float32)
    for row, anchor in zip(weights, rows, strict=True):
        for point, weight in anchor.items():
            row[_POINTS.index(point)] = weight
    return weights


_WEIGHTS = _weights()
_WIDTHS = np.repeat(
    np.array([_ANCHORS[name][0] for name in REGION_NAMES], np.float32), ANCHORS_PER_REGION
)


def anchors(keypoints) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the anchors are and which can be known.

    Args:
        keypoints: float32 [B, 18, 3], pixels (row, column, visibility).

    Returns:
        float32 [B, A, 2], pixels, zero where unknown, and float32 [B, A] in {0, 1}. An anchor is
        known if all its points are visible. The head is the middle of what is seen of the face, or
        above the neck along the torso.
    """
    keypoints = tf.cast(keypoints, tf.float32)
    places, seen = keypoints[..., :2], tf.cast(keypoints[..., 2] > 0.5, tf.float32)
    hips, hips_seen = _middle(places, seen, _HIPS)
    face, face_seen = _middle(places, seen, _FACE)
    neck, neck_seen = places[:, _NECK], seen[:, _NECK]
    above = neck + _HEAD_ABOVE_NECK * (neck - hips)
    head = tf.where(face_seen[:, None] > 0, face, above)
    head_seen = tf.maximum(face_seen, neck_seen * hips_seen)
    places = tf.concat([places, head[:, None], hips[:, None]], axis=1)
    seen = tf.concat([seen, head_seen[:, None], hips_seen[:, None]], axis=1)
    weights = tf.constant(_WEIGHTS)
    unseen_points = tf.einsum("bp,ap->ba", 1.0 - seen, tf.constant(np.abs(_WEIGHTS)))
    known = tf.cast(unseen_points < 1e-6, tf.float32)
    return tf.einsum("bpc,ap->bac", places, weights) * known[..., None], known


def torso(keypoints, height: int) -> tf.Tensor:
    """Distance from neck to hips, float32 [B], pixels; a usual one where they are not seen."""
    keypoints = tf.cast(keypoints, tf.float32)
    places, seen = keypoints[..., :2], tf.cast(keypoints[..., 2] > 0.5, tf.float32)
    hips, hips_seen = _middle(places, seen, _HIPS)
    length = tf.sqrt(tf.reduce_sum(tf.square(places[:, _NECK] - hips), axis=-1) + 1e-6)
    length = tf.where(seen[:, _NECK] * hips_seen > 0, length, _TORSO * height)
    return tf.maximum(length, _SHORTEST_TORSO * height)


class BodyMaps:
    """Soft discs about the anchors and keypoints of persons, on grids of any fineness.

    Args:
        keypoints: float32 [B, 18, 3], pixels of an image of height x width.
        height, width: pixels.

    Attributes:
        known: float32 [B, A] in {0, 1}, as `anchors` gives it.
    """

    def __init__(self, keypoints, height: int, width: int):
        self._size = height, width
        keypoints = tf.cast(keypoints, tf.float32)
        places, self.known = anchors(keypoints)
        length = torso(keypoints, height)[:, None]
        self._anchors = _Discs(places, self.known, length * tf.constant(_WIDTHS))
        seen = tf.cast(keypoints[..., 2] > 0.5, tf.float32)
        self._keypoints = _Discs(keypoints[..., :2], seen, _KEYPOINT_WIDTH * length)

    def of_anchors(self, grid: tuple[int, int]) -> tf.Tensor:
        """A disc about every known anchor, zero for the others.

        Args:
            grid: rows and columns of the maps, which cover the image.

        Returns:
            float32 [B, rows, columns, A] in [0, 1].
        """
        return self._anchors.on(grid, *self._size)

    def of_keypoints(self, grid: tuple[int, int]) -> tf.Tensor:
        """As `of_anchors`, about every visible keypoint: float32 [B, rows, columns, 18]."""
        return self._keypoints.on(grid, *self._size)


class _Discs:
    """exp(-d^2 / (2 w^2)) about points, as the product of one factor for rows and one for columns.

    Args:
        places: float32 [B, P, 2], pixels.
        known: float32 [B, P] in {0, 1}; discs of others are zero.
        widths: float32 [B, P] or [B, 1], w in pixels.
    """

    def __init__(self, places, known, widths):
        self._row, self._column = places[:, None, None, :, 0], places[:, None, None, :, 1]
        self._known, self._widths = known[:, None, None], widths[:, None, None]

    def on(self, grid, height, width):
        """The discs on a grid over an image, float32 [B, rows, columns, P]."""
        rows, columns = grid
        # No disc narrower than a cell, or it would fall between the cells.
        scale = tf.maximum(self._widths, 0.6 * height / rows)
        row, column = _middles(rows, height)[:, None, None], _middles(columns, width)[:, None]
        down = tf.exp(-0.5 * tf.square((row - self._row) / scale)) * self._known
        return down * tf.exp(-0.5 * tf.square((column - self._column) / scale))


def _middles(cells, length):
    """Where the middles of an axis's cells lie, float32 [cells]; pixel 0 has its own at 0."""
    return (np.arange(cells, dtype=np.float32) + np.float32(0.5)) * np.float32(
        length / cells
    ) - np.float32(0.5)


def _middle(places, seen, group):
    """Middle of the visible points of a group [B, 2], and whether there is one [B]."""
    weights = tf.gather(seen, group, axis=1)
    count = tf.reduce_sum(weights, axis=1)
    total = tf.einsum("bg,bgc->bc", weights, tf.gather(places, group, axis=1))
    return total / tf.maximum(count, 1.0)[:, None], tf.cast(count > 0, tf.float32)
