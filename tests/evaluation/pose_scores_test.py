import numpy as np
import pytest

from dpig_tf2.evaluation.pose_scores import keypoint_error, pose_frechet_distance


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
