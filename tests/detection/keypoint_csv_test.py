import types

import numpy as np
import pytest

from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.io.atomic import write_text
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv


def test_the_project_reads_what_is_written(tmp_path):
    rng = np.random.default_rng(0)
    poses = {}
    for name in ("a.jpg", "folder/b c.png", 'odd: name, "x".jpg'):
        keypoints = np.r_["1", rng.uniform(0, 200, (18, 2)), np.ones((18, 1))].astype(np.float32)
        keypoints[rng.integers(18, size=4)] = 0
        poses[name] = keypoints
    path = tmp_path / "made" / "keypoints.csv"
    write_text(path, keypoint_csv(poses))
    names, read = read_keypoint_csv(path)
    assert names == list(poses)
    np.testing.assert_allclose(read, np.stack(list(poses.values())), atol=0.051)
    assert list(path.parent.iterdir()) == [path]


def test_a_keypoint_in_the_corner_is_not_missing(tmp_path):
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[0, 2] = 1
    keypoints[1] = (40, 20, 1)
    write_text(tmp_path / "k.csv", keypoint_csv({"a.jpg": keypoints}))
    text = (tmp_path / "k.csv").read_text()
    assert text.startswith("name:keypoints_y:keypoints_x\na.jpg: [0.0, 40.0, -1")
    np.testing.assert_array_equal(read_keypoint_csv(tmp_path / "k.csv")[1][0], keypoints)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_file_that_somebody_has_changed_is_left(tmp_path, encoding):
    person = types.SimpleNamespace(keypoints=np.full((18, 3), 1, np.float32))
    detector = types.SimpleNamespace(fingerprint="x", detect=lambda photos: [[person]])
    poses = DetectedPoses(detector)
    poses.persons("caf\u00e9.jpg", np.zeros((4, 4, 3), np.uint8))
    path = tmp_path / "keypoints.csv"
    poses.keep(path)
    content = path.read_text("utf-8").replace("1.0", "2.0").encode(encoding)
    path.write_bytes(content)
    assert "holds other keypoints than were found" in poses.keep(path)[1]
    assert path.read_bytes() == content
