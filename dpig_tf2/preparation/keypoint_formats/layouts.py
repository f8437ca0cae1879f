"""The orders in which pose detectors list keypoints, brought to the 18 of this project."""

import numpy as np

from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, NUM_KEYPOINTS
from dpig_tf2.preparation.keypoint_formats.model import KeypointsError

COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_FROM_COCO = [KEYPOINT_NAMES.index(name) for name in COCO_NAMES]
_NECK = KEYPOINT_NAMES.index("neck")
_SHOULDERS = [KEYPOINT_NAMES.index("right_shoulder"), KEYPOINT_NAMES.index("left_shoulder")]
# Where the 18 (or COCO's 17) stand among a detector's keypoints, by their number. Those of COCO
# begin many lists that go on with feet, hands and face; where such a list has a neck, it is another
# one than the middle of the shoulders, which is meant here.
_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
_BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_LAYOUTS = {
    17: range(17),  # COCO
    18: range(18),  # OpenPose COCO
    25: _BODY_25,  # OpenPose BODY_25
    26: range(17),  # Halpe
    33: _BLAZEPOSE,
    133: range(17),  # COCO whole body
    135: range(17),  # OpenPose BODY_135
    136: range(17),  # Halpe whole body
}
# Detectors that score every keypoint, also those that they do not see: below this it is missing.
LEAST_SCORE = 0.3


def numbers(values, what: str) -> np.ndarray:
    """Float64 array of nested lists. Raises KeypointsError if there is anything but numbers."""
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise KeypointsError(f"{what} are not numbers") from error


def triples(values, what: str = "keypoints") -> np.ndarray:
    """Float64 [K, 3] of (x, y, score) from a flat or nested list; without scores they are 1."""
    array = numbers(values, what)
    if array.ndim == 1 and array.size % 3 == 0:
        return array.reshape(-1, 3)
    if array.ndim == 2 and array.shape[1] == 2:
        return np.c_[array, np.ones(len(array))]
    if array.ndim == 2 and array.shape[1] == 3:
        return array
    shape = f"{array.size} numbers" if array.ndim < 2 else f"shape {list(array.shape)}"
    raise KeypointsError(f"{what} have {shape}, expected x, y and score of each")


def to_keypoints(points: np.ndarray, expected=tuple(_LAYOUTS), least_score=None) -> np.ndarray:
    """The 18 keypoints of a detector's list, which its length tells.

    Args:
        points: float64 [K, 3] of (x, y, score).
        expected: numbers of keypoints that the format may have.
        least_score: a keypoint with a lower score is missing; None: with a score of 0 or less.

    Returns:
        float64 [18, 3] of (row, column, score).

    Raises:
        KeypointsError: for another number of keypoints.
    """
    if len(points) not in expected:
        choices = ", ".join(map(str, expected))
        raise KeypointsError(f"{len(points)} keypoints, expected {choices}")
    points = points[list(_LAYOUTS[len(points)])].copy()
    if least_score is not None:
        points[points[:, 2] < least_score, 2] = 0
    return points[:, [1, 0, 2]] if len(points) == NUM_KEYPOINTS else from_coco(points)


def from_coco(points) -> np.ndarray:
    """The 18 keypoints of COCO's 17; the neck is the midpoint of the shoulders.

    Args:
        points: float [17, 3] of (column, row, visibility), or flat; visibility > 0 is visible.

    Returns:
        float64 [18, 3] of (row, column, visibility in {0, 1}, or NaN where that was given).
    """
    points = np.asarray(points, np.float64).reshape(17, 3)
    keypoints = np.zeros((NUM_KEYPOINTS, 3))
    keypoints[_FROM_COCO] = points[:, [1, 0, 2]]
    visibility = keypoints[:, 2]
    keypoints[:, 2] = np.where(np.isnan(visibility), visibility, visibility > 0)
    return with_neck(keypoints)


def with_neck(keypoints: np.ndarray) -> np.ndarray:
    """Puts the neck in the middle of the shoulders, if both are visible."""
    shoulders = keypoints[_SHOULDERS]
    if shoulders[:, 2].all():
        keypoints[_NECK] = shoulders.mean(axis=0)
    return keypoints
