import numpy as np
import pytest

from dpig_tf2.evaluation.pose_scores import (
    found_keypoint_error,
    keypoint_error,
    pose_frechet_distance,
)


def some_poses(count=6):
    random = np.random.default_rng(8)
    poses = np.concatenate(
        [
            random.uniform(0, 64, (count, 18, 1)),
            random.uniform(0, 32, (count, 18, 1)),
            np.ones((count, 18, 1)),
        ],
        axis=-1,
    )
    poses[:, 15:] = 0.0
    return poses


def test_keypoint_error_of_known_shift():
    target = some_poses(2)
    predicted = target.copy()
    predicted[:, :15, :2] += (3.0, 4.0)
    predicted[0, 0] = 0.0  # missed: not in the distance, but in the visibility
    predicted[1, 17] = (60.0, 30.0, 1.0)  # made up
    assert keypoint_error(predicted, target) == {
        "pixel_error": pytest.approx(5.0),
        "compared_keypoints": 29,
        "visibility_accuracy": pytest.approx(34 / 36),
    }


def test_keypoint_error_without_common_keypoint_is_none():
    error = keypoint_error(np.zeros((1, 18, 3)), some_poses(1))
    assert error["pixel_error"] is None and error["compared_keypoints"] == 0


def test_pose_frechet_distance_is_in_normalized_units():
    poses = some_poses()
    shifted = poses + np.array([8.0, 0.0, 0.0])
    # All 18 rows move by 8 / 64 of the height, that is 0.25 of [-1, 1].
    distance = pose_frechet_distance(poses, shifted, 64, 32)
    assert distance == pytest.approx(18 * 0.25**2)
    assert pose_frechet_distance(poses, poses, 64, 32) == pytest.approx(0.0, abs=1e-9)


def test_bad_poses_are_refused():
    poses = some_poses()
    with pytest.raises(ValueError, match=r"expected \[N >= 1, 18, 3\]"):
        keypoint_error(poses[:, :17], poses)
    with pytest.raises(ValueError, match="5 predicted poses for 6 target poses"):
        keypoint_error(poses[:5], poses)
    with pytest.raises(ValueError, match="visibility other than 0 and 1"):
        keypoint_error(poses * 0.5, poses)
    with pytest.raises(ValueError, match="size 0x32"):
        pose_frechet_distance(poses, poses, 0, 32)
    with pytest.raises(ValueError, match="size 64x0"):
        pose_frechet_distance(poses, poses, 64, 0)
    with pytest.raises(ValueError, match=r"expected \[N >= 1, 18, 3\]"):
        keypoint_error(poses[:0], poses[:0])


def test_a_person_who_was_not_found_is_wrong_throughout():
    target = np.zeros((2, 18, 3))
    target[:, :4] = ((0, 10, 1), (50, 10, 1), (100, 10, 1), (100, 20, 1))
    found = target.copy()
    found[0, 1, 1] += 10.0  # exactly a tenth of the extent of 100
    found[0, 2, 1] += 20.0
    found[0, 3] = 0.0
    found[0, 9] = (5.0, 5.0, 1.0)  # made up
    found[1] = 0.0
    assert found_keypoint_error(found, target) == {
        "pictures": 2,
        "missed": 1,
        "found": 2 / 8,
        "pixel_error": pytest.approx(10.0),
        "compared_keypoints": 3,
        "visibility_accuracy": pytest.approx(16 / 36),
    }
    nobody = found_keypoint_error(found[1:], target[1:])
    assert (nobody["pixel_error"], nobody["found"], nobody["missed"]) == (None, 0, 1)
    with pytest.raises(ValueError, match="visibility other than 0 and 1"):
        found_keypoint_error(found * 0.5, target)
    with pytest.raises(ValueError, match="argument 2 is longer"):
        found_keypoint_error(found[:1], target)
