import pickle

import numpy as np
import pytest

from dpig_tf2.preparation import detections


def candidates(*first):
    """18 lists; the nose has the given candidates, every other keypoint one."""
    return [list(first)] + [[(10 + k, 20 + k, 0.9, 100 + k)] for k in range(1, 18)]


def person(nose, score, other=100):
    return [nose, *(other + k for k in range(1, 18)), score, 18]


def read(tmp_path, peaks, subsets, person_only=True):
    (tmp_path / "peaks.p").write_bytes(pickle.dumps(peaks, 2))
    (tmp_path / "subsets.p").write_bytes(pickle.dumps(subsets, 2))
    return detections.read(tmp_path / "peaks.p", tmp_path / "subsets.p", person_only)


NOSES = [(1, 2, 0.5, 0), (3, 4, 0.5, 1), (5, 6, 0.5, 2)]


@pytest.mark.parametrize(("person_only", "nose"), [(True, [4, 3, 1]), (False, [2, 1, 1])])
def test_candidates_of_the_most_confident_person(tmp_path, person_only, nose):
    subsets = {"a": np.array([person(0, 5.0, 200), person(1, 9.0)])}
    found, faults = read(tmp_path, {"a": candidates(*NOSES)}, subsets, person_only)
    assert found["a"].keypoints[0].tolist() == nose
    assert found["a"].keypoints[1].tolist() == [21, 11, 1]
    assert faults == {}


def test_last_candidate_of_the_person_wins(tmp_path):
    row = np.array([person(0, 9.0)])
    row[0, 5] = 2  # candidate 2 belongs to the person under another keypoint's number
    found, _ = read(tmp_path, {"a": candidates(*NOSES)}, {"a": row})
    assert found["a"].keypoints[0].tolist() == [6, 5, 1]
    assert found["a"].keypoints[5].tolist() == [0, 0, 0]


def test_images_without_a_person_are_reported(tmp_path):
    peaks = {"a": candidates(), "b": candidates(), "c": candidates()[:5], "d": candidates()}
    subsets = {
        "a": np.zeros((0, 20)), "b": np.array([person(0, 1.0)]), "c": np.array([person(0, 1.0)]),
        "e": np.array([person(0, 1.0)]),
    }  # fmt: skip
    found, faults = read(tmp_path, peaks, subsets)
    assert set(found) == {"b"}
    told = "\n".join(f"{name}: {fault}" for name, fault in faults.items())
    assert "a: no keypoints: no person was detected" in told
    assert "c: no keypoints: 5 lists of candidates, expected 18" in told
    assert "d: no keypoints: not in" in told and "e: no keypoints: not in" in told


def test_not_a_dictionary(tmp_path):
    with pytest.raises(ValueError, match="peaks.p: expected a dictionary"):
        read(tmp_path, [1], {})


@pytest.mark.parametrize(
    "odd", [{5: 1}, {"a": candidates(), 7.5: candidates()}, {b"a": candidates()}]
)
def test_names_that_are_no_text(tmp_path, odd):
    with pytest.raises(ValueError, match="peaks.p: an image name that is"):
        read(tmp_path, odd, {})


@pytest.mark.parametrize("broken", [5, {}, "x" * 18, [5] * 18, [{}] * 18, [[{}]] * 18, [None] * 18])
def test_odd_candidates_cost_only_their_image(tmp_path, broken):
    subsets = {name: np.array([person(0, 1.0)]) for name in "ab"}
    found, faults = read(tmp_path, {"a": broken, "b": candidates((1, 2, 0.5, 0))}, subsets)
    assert set(found) == {"b"} and faults["a"].startswith("no keypoints: ")
