"""The pose of each photo of a folder, as a keypoint file says."""

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
        names: of the photos, as paths below the folder.
        keypoints: file or folder of keypoints in any format of `keypoint_formats`.
        keypoint_format: one of these formats, or "auto".
        units: of the keypoints, see `keypoint_formats.load`.

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
    ):
        super().__init__()
        self._annotations = keypoint_formats.load(
            keypoints,
            keypoint_format,
            names,
            lambda name: upright_size(pathlib.Path(folder, name)),
            units,
        )
        known = self._annotations.keypoints
        if len(names) == 1 and len(known) == 1:  # one photo, one pose: they belong together
            self._annotations.keypoints = {names[0]: next(iter(known.values()))}
        self._path = keypoints
        self.notes = self._annotations.problems

    def of(self, name: str, photo: np.ndarray) -> PhotoPose:
        keypoints = self._annotations.keypoints.get(name)
        if keypoints is None:
            raise DpigError(f"no keypoints in {self._path}", file=name)
        seen = keypoints[keypoints[:, 2] > 0, :2]
        if not len(seen):
            raise DpigError("not one keypoint is visible", file=name)
        low, high = seen.min(axis=0), seen.max(axis=0)
        reach = _BEYOND * (high - low).max()
        box = np.clip([low - reach, high + reach], 0, photo.shape[:2])
        return PhotoPose(keypoints, box.ravel().astype(np.float32))

    def identity(self, name: str) -> str | None:
        return self._annotations.identities.get(name)
