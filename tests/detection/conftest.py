import pytest

from dpig_tf2.detection.detector import PoseDetector


@pytest.fixture(scope="session")
def pose_model(shared_dir):
    """Folder of the two model files."""
    folder = shared_dir / "models" / "blazepose"
    if not folder.is_dir():
        pytest.skip(f"pose model absent: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def detector(pose_model):
    return PoseDetector.load(pose_model, threads=2)
