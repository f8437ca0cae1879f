"""Fixtures shared by all tests."""

import os
import pathlib
import shutil

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module", autouse=True)
def seed():
    """The same initial weights and noise in every run of a test file."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def shared_dir() -> pathlib.Path:
    """Folder of the released code's numbers and of real persons, kept outside the repository."""
    folder = pathlib.Path(os.environ.get("DPIG_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference data absent: {folder} does not exist (set DPIG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def pose_model(shared_dir) -> pathlib.Path:
    """Folder of the two files of the network that finds poses."""
    pytest.importorskip("ai_edge_litert", reason="the extra dpig_tf2[pose] is not installed")
    folder = shared_dir / "models" / "blazepose"
    if not folder.is_dir():
        pytest.skip(f"pose model absent: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def shipped_preset() -> str:
    """Name of the weights that come with the package."""
    name = "persons_128x64"
    if not (REPOSITORY / "dpig_tf2" / "presets" / "data" / name / "config.json").exists():
        pytest.skip(f"the weights of preset {name} are not in this checkout")
    return name


@pytest.fixture(scope="session")
def tiny_overrides() -> dict:
    """Configuration fields of the tiny model, to be extended by a test."""
    from dpig_tf2 import testing

    return dict(testing.TINY)


@pytest.fixture(scope="session")
def tiny_config():
    from dpig_tf2 import testing

    return testing.tiny_config()


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory) -> pathlib.Path:
    """Folder with synthetic records: train (6 persons x 4 images) and test (3 x 4)."""
    from dpig_tf2.preparation import synthetic_records

    folder = tmp_path_factory.mktemp("synthetic")
    synthetic_records.write(folder, "train", 6, 4, height=64, width=32)
    synthetic_records.write(folder, "test", 3, 4, height=64, width=32)
    return folder


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, driven by Playwright: `browser.new_page()` opens a page."""
    reason = "Playwright is absent: pip install -e '.[dev]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox refuses to run as root; only pages of this repository are opened.
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def standing():
    """A person who stands upright in 128 x 64 pixels, float32 [1, 18, 3]."""
    import numpy as np

    from dpig_tf2.ops.keypoints import KEYPOINT_NAMES

    places = {
        "nose": (20, 32), "neck": (30, 32), "right_shoulder": (31, 24), "right_elbow": (45, 22),
        "right_wrist": (58, 22), "left_shoulder": (31, 40), "left_elbow": (45, 42),
        "left_wrist": (58, 42), "right_hip": (62, 27), "right_knee": (88, 27),
        "right_ankle": (114, 27), "left_hip": (62, 37), "left_knee": (88, 37),
        "left_ankle": (114, 37), "right_eye": (18, 30), "left_eye": (18, 34),
        "right_ear": (19, 28), "left_ear": (19, 36),
    }  # fmt: skip
    keypoints = [(*places[name], 1) for name in KEYPOINT_NAMES]
    return np.array([keypoints], np.float32)
