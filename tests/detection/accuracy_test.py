import dataclasses

import numpy as np
import pytest

from dpig_tf2.detection import accuracy
from dpig_tf2.io import atomic


@dataclasses.dataclass
class FakePerson:
    keypoints: np.ndarray
    prominence: float = 1.0


class FakeDetector:
    """Finds the persons that it was told, photo by photo."""

    def __init__(self, *persons):
        self._persons = list(persons)

    def detect(self, photos):
        return [self._persons.pop(0) for _ in photos]


PHOTO = np.zeros((100, 50, 3), np.uint8)


def pose():
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[:4] = ((0, 10, 1), (50, 10, 1), (100, 10, 1), (100, 20, 1))
    return keypoints


def test_near_keypoints_are_found_and_others_are_not():
    found = pose()
    found[1, 1] += 10.0  # exactly a tenth of the extent of 100
    found[2, 1] += 10.5
    found[3] = 0  # called invisible
    found[9] = (5, 5, 1)  # not in the reference
    measured = accuracy.measure(FakeDetector([FakePerson(found)]), [(PHOTO, pose())])
    assert (measured.photos, measured.keypoints, measured.missed) == (1, 4, 0)
    assert measured.found == 50
    assert measured.pixel_error == pytest.approx((0 + 10 + 10.5) / 3)
    assert measured.visibility == pytest.approx(100 * 16 / 18)


def test_a_reference_of_one_keypoint_has_the_extent_of_a_pixel():
    reference = pose()
    reference[1:] = 0
    for off, share in ((0.09, 100), (0.11, 0)):
        found = FakePerson(reference + (0, off, 0))
        assert accuracy.measure(FakeDetector([found]), [(PHOTO, reference)]).found == share


def test_a_missed_person_is_wrong_throughout():
    detector = FakeDetector([FakePerson(pose())], [])
    measured = accuracy.measure(detector, [(PHOTO, pose()), (PHOTO, pose())])
    assert (measured.missed, measured.found, measured.visibility) == (1, 50, 50)
    assert measured.pixel_error == 0


def test_where_everybody_is_missed_there_is_no_error(tmp_path):
    measured = accuracy.measure(FakeDetector([]), [(PHOTO, pose())])
    assert (measured.missed, measured.found, measured.pixel_error) == (1, 0, None)
    assert "mean error" in measured.table() and "no keypoint to compare" in measured.table()
    atomic.write_json(tmp_path / "scores.json", dataclasses.asdict(measured))


def test_the_main_person_counts():
    other = FakePerson(pose() + (30, 0, 0), prominence=0.1)
    measured = accuracy.measure(FakeDetector([other, FakePerson(pose())]), [(PHOTO, pose())])
    assert measured.found == 100


def test_empty_references_are_left_out_and_empty_pictures_counted():
    detector = FakeDetector([FakePerson(pose())], [], [FakePerson(pose())], [])
    measured = accuracy.measure(
        detector, [(PHOTO, np.zeros((18, 3))), (PHOTO, pose())], [PHOTO] * 3
    )
    assert (measured.photos, measured.empty_pictures, measured.false_persons) == (1, 3, 1)
    assert "1 of 3" in measured.table() and "100.0 % of 4" in measured.table()


def test_time_is_that_of_a_photo():
    assert accuracy.Tally(photos=4, seconds=2.0).result(0, 0).milliseconds == 500
