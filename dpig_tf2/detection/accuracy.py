"""How well the detector finds the keypoints that a reference has."""

import dataclasses
import time
from collections.abc import Iterable

import numpy as np

from dpig_tf2.detection.detector import PoseDetector, main_person
from dpig_tf2.progress import Progress

NEAR = 0.1  # of the person's extent: how near a found keypoint is right


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The detector on photos of one person each, and on pictures without any.

    Attributes:
        photos: with at least one reference keypoint.
        missed: photos where no person was found.
        keypoints: of the references.
        found: percentage of these that the detector calls visible and puts within `NEAR` of the
            person's extent (the longer side of the box around its reference keypoints); of a missed
            person none.
        pixel_error: mean distance of keypoints that both have, pixels; None if there is none.
        visibility: percentage of keypoints that are visible to both or to neither; of a missed
            person none.
        empty_pictures: without a person.
        false_persons: of these, where one was found.
        milliseconds: a photo, mean.
    """

    photos: int
    missed: int
    keypoints: int
    found: float
    pixel_error: float | None
    visibility: float
    empty_pictures: int
    false_persons: int
    milliseconds: float

    def table(self) -> str:
        """The figures as lines to print."""
        error = "no keypoint to compare"
        if self.pixel_error is not None:
            error = f"{self.pixel_error:.2f} pixels"
        rows = {
            "photos": f"{self.photos}",
            "persons missed": f"{self.missed}",
            f"keypoints within {NEAR:.0%} of the person's extent": (
                f"{self.found:.1f} % of {self.keypoints}"
            ),
            "mean error": error,
            "visibility agrees": f"{self.visibility:.1f} %",
            "persons on pictures without any": f"{self.false_persons} of {self.empty_pictures}",
            "time a photo": f"{self.milliseconds:.0f} ms",
        }
        width = max(map(len, rows))
        return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


def measure(
    detector: PoseDetector,
    photos: Iterable[tuple[np.ndarray, np.ndarray]],
    empty_pictures: Iterable[np.ndarray] = (),
    total: int | None = None,
) -> Accuracy:
    """The main person of each photo compared with the reference.

    Args:
        detector: what is measured.
        photos: (uint8 [H, W, 3], reference keypoints float [18, 3] in its pixels). Those without a
            reference keypoint are left out.
        empty_pictures: uint8 [H, W, 3] without a person.
        total: number of photos, for the progress line.
    """
    tally = Tally()
    progress = Progress("detecting", total) if total else None
    for number, (photo, reference) in enumerate(photos, start=1):
        if (reference[:, 2] > 0).any():
            started = time.perf_counter()
            persons = detector.detect([photo])[0]
            tally.seconds += time.perf_counter() - started
            person = main_person(persons)
            tally.add(np.zeros((18, 3)) if person is None else person.keypoints, reference)
        if progress:
            progress.update(number)
    empty = [bool(detector.detect([picture])[0]) for picture in empty_pictures]
    return tally.result(len(empty), sum(empty))


@dataclasses.dataclass
class Tally:
    """Found keypoints against references, added photo by photo; see `Accuracy`.

    Attributes:
        photos, missed, keypoints: as of `Accuracy`.
        found: keypoints that are visible and near enough.
        agreeing: keypoints visible to both or to neither.
        seconds: of the detector.
        errors: distance of each keypoint that both have, pixels.
    """

    photos: int = 0
    missed: int = 0
    keypoints: int = 0
    found: int = 0
    agreeing: int = 0
    seconds: float = 0.0
    errors: list[float] = dataclasses.field(default_factory=list)

    def add(self, keypoints: np.ndarray, reference: np.ndarray) -> None:
        """Takes one photo's; [18, 3] each. No visible keypoint: the person was missed."""
        here, there = keypoints[:, 2] > 0, reference[:, 2] > 0
        self.photos += 1
        self.keypoints += int(there.sum())
        if not here.any():
            self.missed += 1
            return
        both = here & there
        errors = np.linalg.norm(keypoints[both, :2] - reference[both, :2], axis=1)
        extent = max(np.ptp(reference[there, :2], axis=0).max(), 1.0)
        self.found += int((errors <= NEAR * extent).sum())
        self.agreeing += int((here == there).sum())
        self.errors.extend(errors.tolist())

    def result(self, empty: int, false_persons: int) -> Accuracy:
        photos = max(self.photos, 1)
        return Accuracy(
            photos=self.photos,
            missed=self.missed,
            keypoints=self.keypoints,
            found=100 * self.found / max(self.keypoints, 1),
            pixel_error=float(np.mean(self.errors)) if self.errors else None,
            visibility=100 * self.agreeing / (18 * photos),
            empty_pictures=empty,
            false_persons=false_persons,
            milliseconds=1000 * self.seconds / photos,
        )
