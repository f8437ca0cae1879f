"""The pose of each photo of a folder: the common interface, and poses found in the photos."""

import dataclasses
import os
import pathlib

import numpy as np

from dpig_tf2.detection.detector import Person, PoseDetector, main_person
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_text


@dataclasses.dataclass(frozen=True)
class PhotoPose:
    """The person of a photo.

    Attributes:
        keypoints: float32 [18, 3], pixels of the photo (row, column, visibility).
        box: float32 [4], pixels of the photo (top, left, bottom, right).
        mask: float32 [H, W] in [0, 1] of the photo; None where nobody has looked for it.
    """

    keypoints: np.ndarray
    box: np.ndarray
    mask: np.ndarray | None = None


class PhotoPoses:
    """The pose of each photo of a folder, wherever it comes from.

    Attributes:
        settings: JSON values that decide what is found, for manifests.
        notes: a line for each doubtful pose.
    """

    def __init__(self):
        self.settings: dict[str, object] = {}
        self.notes: list[str] = []

    def of(self, name: str, photo: np.ndarray) -> PhotoPose:
        """The person of a photo.

        Args:
            name: of the photo, as a path below its folder.
            photo: uint8 [H, W, 3].

        Raises:
            DpigError: if there is nobody; the message does not name the photo.
        """
        raise NotImplementedError

    def identity(self, name: str) -> str | None:
        """Who is on a photo, if that is known."""
        return None

    def keep(self, path: str | os.PathLike) -> list[str]:
        """Writes the keypoints that were found as a CSV; what there is to say about it."""
        return []


class DetectedPoses(PhotoPoses):
    """Poses found in the photos.

    Attributes:
        found: {name: keypoints float32 [18, 3], pixels} of the photos seen so far.
    """

    def __init__(self, detector: PoseDetector):
        super().__init__()
        self._detector = detector
        self.settings = {"pose_detector": detector.fingerprint}
        self.found: dict[str, np.ndarray] = {}
        self._photos = self._with_several = 0

    def persons(self, name: str, photo: np.ndarray) -> list[Person]:
        """All persons of a photo uint8 [H, W, 3], the main one first."""
        persons = self._detector.detect([photo])[0]
        self._photos += 1
        self._with_several += len(persons) > 1
        main = main_person(persons)
        if main is not None:
            self.found[name] = main.keypoints
        return persons

    def of(self, name: str, photo: np.ndarray) -> PhotoPose:
        main = main_person(self.persons(name, photo))
        if main is None:
            raise DpigError("no person was found", file=name)
        return PhotoPose(main.keypoints, main.box, main.mask)

    def keypoints_or_none(self, name: str, photo: np.ndarray) -> np.ndarray:
        """Keypoints of the main person, float32 [18, 3]; zeros where there is nobody."""
        main = main_person(self.persons(name, photo))
        return np.zeros((18, 3), np.float32) if main is None else main.keypoints

    def keep(self, path: str | os.PathLike) -> list[str]:
        """Writes `found`, but not over a file in which somebody has changed something."""
        if not self._photos:
            return []
        path, text = pathlib.Path(path), keypoint_csv(self.found)
        there = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines = [f"{self._summary()}; their keypoints: {path}"]
        if not set(there) <= set(text.splitlines()):
            lines.append(
                f"note: {path} holds other keypoints than were found now, and is left as it is; "
                "give it as keypoints to use them"
            )
        elif self.found:
            write_text(path, text)
        return lines

    def _summary(self):
        text = f"a person was found on {len(self.found)} of {self._photos} photos"
        if self._with_several:
            text += f", several on {self._with_several}: the largest and most central one is taken"
        return text
