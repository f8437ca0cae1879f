"""Where this package keeps files that it fetched for the user."""

import os
import pathlib
import sys


def cache_folder(name: str) -> pathlib.Path:
    """The folder of that name in the user's cache, by the convention of the platform; not made.

    XDG_CACHE_HOME or ~/.cache on Linux, ~/Library/Caches on macOS, LOCALAPPDATA on Windows.
    """
    home = pathlib.Path.home()
    if sys.platform == "win32":
        base = pathlib.Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        given = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = given if given.is_absolute() else home / ".cache"  # relative ones do not count
    return base / "dpig_tf2" / name
