"""The poses of each photo of a folder, as a keypoint file says."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from dpig_tf2.detection.photo_poses import PhotoPose, PhotoPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.io.images import upright_size
from dpig_tf2.preparation import keypoint_formats

_BEYOND = 0.1  # of the keypoints' extent: how far hair and shoes reach beyond them


class GivenPoses(PhotoPoses):
    """Poses of photos that come with a keypoint file.

    Args:
        folder: where the photos are.
        names: of the photos, as paths below the folder; a single one may have another name in the
            keypoint file.
        keypoints: file or folder of keypoints in any format of `keypoint_formats`.
        keypoint_format: one of these formats, or "auto".
        units: of the keypoints, see `keypoint_formats.load`.
        everyone: all persons of a photo are wanted, not the most certain one alone.

    Raises:
        DpigError: as `keypoint_formats.load`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        names: Sequence[str],
        keypoints: str | os.PathLike,
        keypoint_format: str = "auto",
        units: str | None = None,
        everyone: bool = False,
    ):
        super().__init__()
        self._annotations = keypoint_formats.load(
            keypoints,
            keypoint_format,
            names,
            lambda name: upright_size(pathlib.Path(folder, name)),
            units,
            everyone=everyone,
            any_name=True,
        )
        self._path = keypoints
        self.notes = self._annotations.problems

    def of(self, name: str, photo: np.ndarray) -> list[PhotoPose]:
        keypoints = self._annotations.keypoints.get(name)
        if keypoints is None:
            raise DpigError(f"no keypoints in {self._path}", file=name)
        poses = [keypoints, *self._annotations.others.get(name, ())]
        poses = [pose for pose in poses if pose[:, 2].any()]
        if not poses:
            raise DpigError("not one keypoint is visible", file=name)
        return [PhotoPose(pose, _box(pose, photo.shape[:2])) for pose in poses]

    def identity(self, name: str) -> str | None:
        return self._annotations.identities.get(name)


def _box(keypoints, photo_size):
    seen = keypoints[keypoints[:, 2] > 0, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    reach = _BEYOND * (high - low).max()
    return np.clip([low - reach, high + reach], 0, photo_size).ravel().astype(np.float32)
