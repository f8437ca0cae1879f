"""Fixtures shared by all tests."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> pathlib.Path:
    """Folder of the released code's numbers and of real persons, kept outside the repository."""
    folder = pathlib.Path(os.environ.get("DPIG_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference data absent: {folder} does not exist (set DPIG_SHARED)")
    return folder
