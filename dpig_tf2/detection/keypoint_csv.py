"""Found keypoints as the project's CSV, to be corrected by hand and given back."""

import csv
import io
from collections.abc import Mapping

import numpy as np

_HEADER = ("name", "keypoints_y", "keypoints_x")
_MISSING = -1


def keypoint_csv(keypoints: Mapping[str, np.ndarray]) -> str:
    """Lines `name: [18 rows]: [18 columns]` under a header; -1 where one is missing.

    `preparation.keypoint_formats.read_keypoint_csv` reads them.

    Args:
        keypoints: {name of the photo: float [18, 3], pixels (row, column, visibility)}.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=":", lineterminator="\n")
    writer.writerow(_HEADER)
    for name, pose in keypoints.items():
        writer.writerow([name, *(f" {_numbers(pose, axis)}" for axis in (0, 1))])
    return file.getvalue()


def _numbers(pose, axis):
    """Tenths of a pixel are enough: nobody corrects more by hand, and no network tells them."""
    return [
        round(float(point[axis]), 1) if point[2] > 0 else _MISSING for point in np.asarray(pose)
    ]
