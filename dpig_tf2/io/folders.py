"""What lies in a folder and in folders below it."""

import os
import pathlib

from dpig_tf2.errors import printable
from dpig_tf2.io import manifests

_MANIFEST = "samples.json"  # of generated pictures; other programs have files of this name
_RUN = {"config.json", "checkpoints"}  # folders of photos may have one of them by chance


def files_below(folder: str | os.PathLike, problems: list[str]) -> list[pathlib.Path]:
    """Paths of the files in a folder and in folders below it, sorted.

    Links to files are among them, also such that lead nowhere. Hidden files are passed over, and so
    are folders below that this program has written: pictures in them are no photos.

    Args:
        folder: where to look.
        problems: gets a line for each folder that cannot be listed, and for each link to a folder.
    """
    found = []

    def note(error):
        path = printable(error.filename)
        problems.append(f"{path}: cannot be listed ({error.strerror}), skipped")

    for parent, folders, names in os.walk(folder, onerror=note):
        if parent != os.fspath(folder) and _is_written(parent, {*folders, *names}):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (pathlib.Path(parent, name) for name in folders):
            if path.is_symlink():
                problems.append(f"{printable(path)}: a link to a folder, not followed")
        found += [pathlib.Path(parent, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _is_written(folder, inside):
    """Whether this program has written a folder with such files and folders inside."""
    return _RUN <= inside or (
        _MANIFEST in inside and manifests.begins_as_one(os.path.join(folder, _MANIFEST))
    )
