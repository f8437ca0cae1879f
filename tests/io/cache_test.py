import pathlib

import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.io import cache


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "/home/me/.cache/dpig_tf2/x"),
        ("linux", {"XDG_CACHE_HOME": "/big/cache"}, "/big/cache/dpig_tf2/x"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/dpig_tf2/x"),
        ("darwin", {}, "/home/me/Library/Caches/dpig_tf2/x"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/dpig_tf2/x"),
        ("win32", {}, "/home/me/AppData/Local/dpig_tf2/x"),
    ],
)
def test_the_convention_of_each_platform(monkeypatch, platform, variables, expected):
    monkeypatch.setattr(cache.sys, "platform", platform)
    monkeypatch.setattr(cache.pathlib.Path, "home", lambda: pathlib.Path("/home/me"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder("x") == pathlib.Path(expected)


def test_no_home_is_needed_where_a_folder_is_named(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache.sys, "platform", "linux")
    monkeypatch.setattr(cache.pathlib.Path, "home", home)
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    assert cache.cache_folder("x") == pathlib.Path("/big/cache/dpig_tf2/x")
    monkeypatch.delenv("XDG_CACHE_HOME")
    with pytest.raises(DpigError, match="no home folder for a cache; set XDG_CACHE_HOME"):
        cache.cache_folder("x")
