"""Found keypoints as the project's CSV, to be corrected by hand and given back."""

import csv
import io
from collections.abc import Mapping

import numpy as np

_HEADER = ("name", "keypoints_y", "keypoints_x")
_PERSON = "person"
_MISSING = -1


def keypoint_csv(keypoints: Mapping[str, np.ndarray], decimals: int = 1) -> str:
    """Lines `name: [18 rows]: [18 columns]` under a header; -1 where one is missing.

    Where there are several persons on a photo, a fourth column `person` counts them from 1.
    `preparation.keypoint_formats.load` reads both.

    Args:
        keypoints: {name of the photo: float [18, 3] or, of several persons, [N, 18, 3], pixels
            (row, column, visibility)}.
        decimals: of the coordinates. Tenths of a pixel of a photo are enough: nobody corrects more
            by hand, and no network tells them.
    """
    several = any(np.ndim(poses) == 3 for poses in keypoints.values())
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=":", lineterminator="\n")
    writer.writerow([*_HEADER, _PERSON] if several else _HEADER)
    for name, poses in keypoints.items():
        for number, pose in enumerate(np.reshape(poses, (-1, 18, 3)), 1):
            row = [name, *(f" {_numbers(pose, axis, decimals)}" for axis in (0, 1))]
            writer.writerow([*row, number] if several else row)
    return file.getvalue()


def _numbers(pose, axis, decimals):
    return [
        round(float(point[axis]), decimals) if point[2] > 0 else _MISSING
        for point in np.asarray(pose)
    ]
