"""Fixtures shared by all tests."""

import os
import pathlib

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


# The synthetic preset at the smallest sizes that keep every branch: what is slow here is tracing,
# which grows with the number of levels.
TINY_OVERRIDES = {
    "model.height": 64,
    "model.width": 32,
    "model.hidden": 4,
    "model.latent": 8,
    "model.region_size": 8,
    "model.region_levels": 2,
    "model.region_embedding": 4,
    "model.background_levels": 2,
    "model.background_embedding": 8,
    "model.generator_levels": 3,
    "model.pose_embedding": 8,
    "model.pose_hidden": 16,
    "model.foreground_mapping_hidden": 16,
    "model.background_mapping_hidden": 16,
    "model.pose_mapping_hidden": 16,
    "model.critic_hidden": 16,
    "model.discriminator_hidden": 4,
    "model.discriminator_row": 256,
    "reconstruction.batch_size": 4,
    "reconstruction.steps": 4,
    "pose.batch_size": 8,
    "pose.steps": 4,
    "appearance_mapping.batch_size": 8,
    "appearance_mapping.steps": 4,
    "pose_mapping.batch_size": 8,
    "pose_mapping.steps": 4,
}


@pytest.fixture(scope="session")
def tiny_overrides() -> dict:
    """Configuration fields of the tiny model, to be extended by a test."""
    return dict(TINY_OVERRIDES)


@pytest.fixture(scope="session")
def tiny_config():
    from dpig_tf2 import config

    return config.preset("synthetic").override(**TINY_OVERRIDES)


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory) -> pathlib.Path:
    """Folder with synthetic records: train (6 persons x 4 images) and test (3 x 4)."""
    from dpig_tf2.preparation import synthetic_records

    folder = tmp_path_factory.mktemp("synthetic")
    synthetic_records.write(folder, "train", 6, 4, height=64, width=32)
    synthetic_records.write(folder, "test", 3, 4, height=64, width=32)
    return folder
