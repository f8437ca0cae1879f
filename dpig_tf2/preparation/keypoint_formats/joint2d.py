"""MATLAB files named after the photos, with `joint2d` [17, 2 or 3] of (column, row[, score])."""

from collections.abc import Iterator

import numpy as np

from dpig_tf2.io import mat_files
from dpig_tf2.preparation.keypoint_formats.keypoint_csv import visible_unless
from dpig_tf2.preparation.keypoint_formats.layouts import from_coco, numbers
from dpig_tf2.preparation.keypoint_formats.model import Entry, KeypointsError, Person, Source

NAME = "joint2d"
EXPECTED = "a MATLAB file with joint2d [17, 2] or [17, 3]"


def read(source: Source) -> Iterator[Entry]:
    yield source.own_photo([Person(from_coco(_points(source.path)))])


def _points(path):
    """Points [17, 3], also from joint2d that is transposed."""
    try:
        joints = np.squeeze(numbers(mat_files.read(path, "joint2d"), "joint2d"))
    except KeypointsError:
        raise KeypointsError(f"{path}: joint2d holds no numbers", file=path) from None
    if joints.ndim == 2 and joints.shape[1] == 17:
        joints = joints.T
    if joints.ndim != 2 or joints.shape[0] != 17 or joints.shape[1] not in (2, 3):
        raise KeypointsError(
            f"{path}: joint2d has shape {list(joints.shape)}, expected [17, 2] or [17, 3]",
            file=path,
        )
    # Mask-RCNN gives every joint; tools that blank one write zeros.
    return joints if joints.shape[1] == 3 else visible_unless(joints, 0)
