import pathlib

import pytest

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
