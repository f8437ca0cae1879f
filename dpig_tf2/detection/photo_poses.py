"""The poses of each photo of a folder: the common interface, and poses found in the photos."""

import contextlib
import dataclasses
import os
import pathlib
import threading
from collections.abc import Iterable

import numpy as np

from dpig_tf2.detection.detector import Person, PoseDetector
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.errors import DpigError, counted
from dpig_tf2.io.atomic import write_text


@dataclasses.dataclass(frozen=True)
class PhotoPose:
    """A person of a photo.

    Attributes:
        keypoints: float32 [18, 3], pixels of the photo (row, column, visibility).
        box: float32 [4], pixels of the photo (top, left, bottom, right).
        mask: float32 [H, W] in [0, 1] of the photo; None where nobody has looked for it.
    """

    keypoints: np.ndarray
    box: np.ndarray
    mask: np.ndarray | None = None


class PhotoPoses:
    """The poses of each photo of a folder, wherever they come from.

    Attributes:
        settings: JSON values that decide what is found, for manifests.
        notes: a line for each doubtful pose.
    """

    def __init__(self):
        self.settings: dict[str, object] = {}
        self.notes: list[str] = []

    def of(self, name: str, photo: np.ndarray) -> list[PhotoPose]:
        """The persons of a photo that are wanted: the main one, or all, the main one first.

        Args:
            name: of the photo, as a path below its folder.
            photo: uint8 [H, W, 3].

        Raises:
            DpigError: if there is nobody; the message does not name the photo.
        """
        raise NotImplementedError

    def look_ahead(self, photos: Iterable[tuple[str, np.ndarray]]) -> None:
        """Begins with photos, by name, that `of` will be asked for; what fails is told then."""

    def identity(self, name: str) -> str | None:
        """Who is on a photo, if that is known."""
        return None

    def keep(self, path: str | os.PathLike) -> list[str]:
        """Writes the keypoints that were found as a CSV; what there is to say about it."""
        return []


class DetectedPoses(PhotoPoses):
    """Poses found in the photos.

    Args:
        detector: finds them.
        everyone: all persons of a photo are wanted, not the main one alone.

    Attributes:
        found: {name: keypoints float32 [18, 3], with `everyone` [N, 18, 3], pixels} of the photos
            seen so far that show anybody.
    """

    def __init__(self, detector: PoseDetector, everyone: bool = False):
        super().__init__()
        self._detector, self._everyone = detector, everyone
        self.settings = {"pose_detector": detector.fingerprint}
        self.found: dict[str, np.ndarray] = {}
        self._photos = self._with_several = 0
        self._seen_ahead: dict[str, list[Person]] = {}
        self._looking: threading.Thread | None = None

    def look_ahead(self, photos: Iterable[tuple[str, np.ndarray]]) -> None:
        def look():
            with contextlib.suppress(Exception):
                for name, photo in photos:
                    if not threading.main_thread().is_alive():  # the program ends
                        break
                    self._seen_ahead[name] = self._detector.detect([photo])[0]

        # No daemon: one that is at work in native code can abort the program as it ends.
        self._looking = threading.Thread(target=look)
        self._looking.start()

    def persons(self, name: str, photo: np.ndarray) -> list[Person]:
        """All persons of a photo uint8 [H, W, 3], the main one first."""
        if self._looking:
            self._looking.join()
        if name in self._seen_ahead:
            persons = self._seen_ahead.pop(name)
        else:
            persons = self._detector.detect([photo])[0]
        self._photos += 1
        self._with_several += len(persons) > 1
        if persons and self._everyone:
            self.found[name] = np.stack([person.keypoints for person in persons])
        elif persons:
            self.found[name] = persons[0].keypoints
        return persons

    def of(self, name: str, photo: np.ndarray) -> list[PhotoPose]:
        persons = self.persons(name, photo)
        if not persons:
            raise DpigError("no person was found", file=name)
        wanted = persons if self._everyone else persons[:1]
        return [PhotoPose(person.keypoints, person.box, person.mask) for person in wanted]

    def keypoints_or_none(self, name: str, photo: np.ndarray) -> np.ndarray:
        """Keypoints of the main person, float32 [18, 3]; zeros where there is nobody."""
        persons = self.persons(name, photo)
        return persons[0].keypoints if persons else np.zeros((18, 3), np.float32)

    def keep(self, path: str | os.PathLike, photos: int | None = None) -> list[str]:
        """Writes `found`, but not over a file in which somebody has changed something.

        Args:
            path: of the CSV.
            photos: how many there are to speak of; None: those that could be read.
        """
        if not self._photos:
            return []
        path, text = pathlib.Path(path), keypoint_csv(self.found)
        # A spreadsheet may have saved it in another encoding.
        there = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
        lines = [f"{self._summary(photos or self._photos)}; their keypoints: {path}"]
        if not set(there) <= set(text.splitlines()):
            lines.append(
                f"note: {path} holds other keypoints than were found now, and is left as it is; "
                "give it as keypoints to use them"
            )
        elif self.found:
            write_text(path, text)
        return lines

    def _summary(self, photos):
        where = f"on {len(self.found)} of {counted(photos, 'photo')}"
        if self._everyone:
            return f"{counted(sum(map(len, self.found.values())), 'person')} found {where}"
        if not self._with_several:
            return f"a person was found {where}"
        return (
            f"a person was found {where}, several on {self._with_several}: the largest and most "
            "central one is taken"
        )
