import numpy as np
import pytest

from dpig_tf2.visual.skeletons import pose_picture


def test_pose_picture_draws_visible_keypoints_only():
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[2] = (10, 8, 1)
    keypoints[3] = (30, 20, 1)
    picture = pose_picture(keypoints, 64, 32)
    assert picture.shape == (64, 32, 3) and picture.dtype == np.uint8
    assert picture[10, 8].max() > 100 and picture[30, 20].max() > 100
    assert picture[20, 14].max() > 100, "the bone between shoulder and elbow"
    assert picture[0, 0].max() == 0, "missing keypoints are not drawn in the corner"
    assert picture[40:].max() == 0


def test_pose_picture_keeps_its_background():
    background = np.full((64, 32, 3), 90, np.uint8)
    np.testing.assert_array_equal(pose_picture(np.zeros((18, 3)), 64, 32, background), background)


def test_bad_pose_pictures_are_refused():
    with pytest.raises(ValueError, match=r"keypoints must be \[18, 3\], got \[17, 3\]"):
        pose_picture(np.zeros((17, 3)), 64, 32)
    with pytest.raises(ValueError, match=r"background must be \[64, 32, 3\], got \[20, 10, 3\]"):
        pose_picture(np.zeros((18, 3)), 64, 32, np.zeros((20, 10, 3), np.uint8))
