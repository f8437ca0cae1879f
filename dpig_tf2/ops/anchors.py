"""Anchors: points on the body, each with a soft map, where codes are read and placed.

A region of `ops.regions` has some anchors along its limbs. The encoder of the placed architecture
averages features under their maps, the generator puts values back under the maps of another pose:
appearance is read where it is and drawn where it belongs, whatever the pose.

Texels are further points, as close as the stripes of a shirt: a grid on the torso and lines along
the limbs, with narrow maps.
"""

import itertools
from collections.abc import Iterable

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


def _on_torso(rows: Iterable[float], columns: Iterable[float]) -> list[dict[str, float]]:
    """A grid: row 0 at the shoulders, 1 at the hips; column 0 at the right side, 1 at the left."""
    return [
        {
            "right_shoulder": (1.0 - row) * (1.0 - column),
            "left_shoulder": (1.0 - row) * column,
            "right_hip": row * (1.0 - column),
            "left_hip": row * column,
        }
        for row in rows
        for column in columns
    ]


def _along(side: str, *joints: str) -> list[dict[str, float]]:
    """Five places between each joint of a limb and the next."""
    names = [f"{side}_{joint}" for joint in joints]
    places = (0.1, 0.3, 0.5, 0.7, 0.9)
    return [texel for ends in itertools.pairwise(names) for texel in _limb(*ends, *places)]


# Texels of each region, as weights of points. Clothes reach beyond shoulders and hips; those of the
# region of both legs are for skirts.
_TEXELS: dict[str, list[dict[str, float]]] = {
    "head": [],
    "upper_body": _on_torso(np.arange(9) / 8.5 - 0.02, (-0.15, 0.18, 0.5, 0.82, 1.15)),
    "legs": _on_torso((1.05, 1.18, 1.31, 1.44), (0.0, 0.5, 1.0)),
    "left_arm": _along("left", "shoulder", "elbow", "wrist"),
    "right_arm": _along("right", "shoulder", "elbow", "wrist"),
    "left_leg": _along("left", "hip", "knee", "ankle"),
    "right_leg": _along("right", "hip", "knee", "ankle"),
}
_TEXEL_WIDTH = 0.07  # of their maps, torso lengths
# What stands for a point that is not seen: it is behind the middle of the body.
_STAND_INS = {
    f"{side}_{joint}": middle
    for side in ("right", "left")
    for joint, middle in (("shoulder", "neck"), ("hip", "hips"))
}

ANCHORS_PER_REGION = tuple(len(_ANCHORS[name][1]) for name in REGION_NAMES)
NUM_ANCHORS = sum(ANCHORS_PER_REGION)
# {region: texels}, of the regions that have any.
TEXELS_OF_REGION = {i: len(_TEXELS[name]) for i, name in enumerate(REGION_NAMES) if _TEXELS[name]}
NUM_TEXELS = sum(TEXELS_OF_REGION.values())


def _weights(mixtures: Iterable[dict[str, float]]) -> np.ndarray:
    """float32 [mixtures, points]: each as weights of points, which sum to one."""
    rows = []
    for mixture in mixtures:
        rows.append(np.zeros(len(_POINTS), np.float32))
        for point, weight in mixture.items():
            rows[-1][_POINTS.index(point)] = weight
    return np.stack(rows)


_WEIGHTS = _weights(anchor for name in REGION_NAMES for anchor in _ANCHORS[name][1])
_TEXEL_WEIGHTS = _weights(texel for name in REGION_NAMES for texel in _TEXELS[name])
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
    return _mixed(*_points(keypoints), _WEIGHTS)


def texels(keypoints) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the texels are and which can be known: as `anchors`, [B, T, 2] and [B, T].

    The neck stands for a shoulder that is not seen, and the middle of the hips for a hip.
    """
    return _texels_of(*_points(keypoints))


def _texels_of(places, seen):
    stand_ins = [_POINTS.index(_STAND_INS.get(point, point)) for point in _POINTS]
    places = tf.where(seen[..., None] > 0, places, tf.gather(places, stand_ins, axis=1))
    seen = tf.maximum(seen, tf.gather(seen, stand_ins, axis=1))
    return _mixed(places, seen, _TEXEL_WEIGHTS)


def _points(keypoints):
    """Places [B, P, 2] of keypoints, head and hips, and which are seen, [B, P]."""
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
    return places, seen


def _mixed(places, seen, weights):
    """Mixtures of points by weights [A, P]: places [B, A, 2] and which are known [B, A]."""
    unseen_points = tf.einsum("bp,ap->ba", 1.0 - seen, tf.constant(np.abs(weights)))
    known = tf.cast(unseen_points < 1e-6, tf.float32)
    return tf.einsum("bpc,ap->bac", places, tf.constant(weights)) * known[..., None], known


def torso(keypoints, height: int) -> tf.Tensor:
    """Distance from neck to hips, float32 [B], pixels; a usual one where they are not seen."""
    keypoints = tf.cast(keypoints, tf.float32)
    places, seen = keypoints[..., :2], tf.cast(keypoints[..., 2] > 0.5, tf.float32)
    hips, hips_seen = _middle(places, seen, _HIPS)
    length = tf.sqrt(tf.reduce_sum(tf.square(places[:, _NECK] - hips), axis=-1) + 1e-6)
    length = tf.where(seen[:, _NECK] * hips_seen > 0, length, _TORSO * height)
    return tf.maximum(length, _SHORTEST_TORSO * height)


class BodyMaps:
    """Soft discs about the anchors, texels and keypoints of persons, on grids of any fineness.

    Args:
        keypoints: float32 [B, 18, 3], pixels of an image of height x width.
        height, width: pixels.
        with_texels: whether texels are asked for.

    Attributes:
        known: float32 [B, A] in {0, 1}, as `anchors` gives it.
        texels_known: float32 [B, T] in {0, 1}, as `texels` gives it; only with them.
    """

    def __init__(self, keypoints, height: int, width: int, with_texels: bool = False):
        self._size = height, width
        keypoints = tf.cast(keypoints, tf.float32)
        points = _points(keypoints)
        places, self.known = _mixed(*points, _WEIGHTS)
        length = torso(keypoints, height)[:, None]
        self._anchors = _Discs(places, self.known, length * tf.constant(_WIDTHS))
        if with_texels:
            places, self.texels_known = _texels_of(*points)
            self._texels = _Discs(places, self.texels_known, _TEXEL_WIDTH * length)
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

    def of_texels(self, grid: tuple[int, int]) -> tf.Tensor:
        """As `of_anchors`, about every known texel: float32 [B, rows, columns, T]."""
        return self._texels.on(grid, *self._size)

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
        self._made: dict[tuple[int, int], tf.Tensor] = {}
        self._row, self._column = places[:, None, None, :, 0], places[:, None, None, :, 1]
        self._known, self._widths = known[:, None, None], widths[:, None, None]

    def on(self, grid, height, width):
        """The discs on a grid over an image, float32 [B, rows, columns, P]; made once."""
        if grid not in self._made:
            self._made[grid] = self._make(grid, height, width)
        return self._made[grid]

    def _make(self, grid, height, width):
        rows, columns = grid
        # No disc narrower than a cell, or it would fall between the cells.
        scale = tf.maximum(self._widths, 0.6 * height / rows)
        row, column = _middles(rows, height)[:, None, None], _middles(columns, width)[:, None]
        down = _bell((row - self._row) / scale) * self._known
        return down * _bell((column - self._column) / scale)


# Far from the middle: 1e-13. What is smaller and smaller ends as denormal numbers, which make a
# convolution many times slower in runtimes that do not take them for zero, as ONNX Runtime.
_FAR = 60.0


def _bell(deviations):
    return tf.exp(-0.5 * tf.minimum(tf.square(deviations), _FAR))


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
