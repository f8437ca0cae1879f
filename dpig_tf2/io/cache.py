"""Where this package keeps files that it fetched or measured for the user."""

import os
import pathlib
import sys

from dpig_tf2.errors import DpigError


def cache_folder(name: str) -> pathlib.Path:
    """The folder of that name in the user's cache, by the convention of the platform; not made.

    XDG_CACHE_HOME or ~/.cache on Linux, ~/Library/Caches on macOS, LOCALAPPDATA on Windows.

    Raises:
        DpigError: if that is in the user's home and there is none.
    """
    variable, usual = {
        "win32": ("LOCALAPPDATA", "AppData/Local"),
        "darwin": ("", "Library/Caches"),
    }.get(sys.platform, ("XDG_CACHE_HOME", ".cache"))
    base = pathlib.Path(os.environ.get(variable, ""))
    if not base.is_absolute():  # absent, or relative, which does not count
        try:
            base = pathlib.Path.home() / usual
        except RuntimeError as error:
            hint = f"; set {variable} to a folder" if variable else ""
            raise DpigError(f"the user has no home folder for a cache{hint}") from error
    return base / "dpig_tf2" / name
