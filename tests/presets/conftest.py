import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's cache folder of presets, empty and in a temporary place."""
    from dpig_tf2.io.cache import cache_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return cache_folder("presets")
