import pytest

from dpig_tf2.detection.detector import PoseDetector


@pytest.fixture(scope="session")
def detector(pose_model):
    return PoseDetector.load(pose_model, threads=2)
