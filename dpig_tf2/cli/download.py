"""Fetches the published archives of a data set and unpacks them.

Examples:
    dpig download --dataset=market1501 --out_dir=data/market1501
    dpig download --dataset=deepfashion --out_dir=data/deepfashion --archive=test --mirror=FILE.zip

The release's host is of 2018 and may have gone: mirrors are tried first. Interrupted downloads
continue; local archives are used where they lie. Archives are unpacked only if no member leaves the
folder, is a link, or makes the whole too large.
"""

import os
import pathlib

from absl import flags

from dpig_tf2.cli import program
from dpig_tf2.errors import DpigError

FLAGS = flags.FlagValues()
_DATASET = flags.DEFINE_enum(
    "dataset",
    None,
    ["market1501", "deepfashion"],
    "Data set whose archives are fetched.",
    required=True,
    flag_values=FLAGS,
)
_OUT_DIR = flags.DEFINE_string(
    "out_dir",
    None,
    "Folder for the archives and what they hold, created if absent.",
    required=True,
    flag_values=FLAGS,
)
_ARCHIVE = flags.DEFINE_multi_enum(
    "archive",
    ["train", "test"],
    ["train", "test", "raw"],
    "Archives to fetch: records of the splits, or the raw images to convert.",
    flag_values=FLAGS,
)
_MIRROR = flags.DEFINE_multi_string(
    "mirror",
    [],
    "URL or path of an archive, or of a folder that holds the archives under their published "
    "names. Mirrors are tried in order, then those in the environment variable "
    "DPIG_MARKET1501_MIRRORS or DPIG_DEEPFASHION_MIRRORS (separated by spaces), then the release's "
    "host.",
    flag_values=FLAGS,
)
_SHA256 = flags.DEFINE_string(
    "sha256",
    None,
    "Expected SHA-256 checksum of the one --archive, hexadecimal.",
    flag_values=FLAGS,
)


def main() -> None:
    if _SHA256.value and len(_ARCHIVE.value) > 1:
        raise program.FlagError(
            "--sha256 is of one archive: name it with --archive", field="sha256"
        )
    from dpig_tf2.io import locks
    from dpig_tf2.preparation import downloads

    variable = f"DPIG_{_DATASET.value.upper()}_MIRRORS"
    mirrors = [*_MIRROR.value, *os.environ.get(variable, "").split()]
    published = downloads.PUBLISHED[_DATASET.value]
    folder = pathlib.Path(_OUT_DIR.value)
    sources = downloads.sources_of([published[name] for name in _ARCHIVE.value], mirrors)
    with locks.writing(folder):
        _fetch(folder, sources, variable)


def _fetch(folder, sources, variable):
    from dpig_tf2.preparation import downloads

    for name, places in sources.items():
        try:
            archive = downloads.fetch(folder / name, places, _SHA256.value)
        except downloads.DownloadError as error:
            raise DpigError(
                f"{error}: give --mirror=URL, --mirror=FILE or {variable}, or unpack the archive "
                f"yourself so that its .tfrecord files or raw folders lie in {folder}",
                file=folder / name,
            ) from error
        # Pipelines read one folder, but the archives have theirs.
        paths = downloads.unpack(archive, folder, flat=".tfrecord")
        folders = sorted({str(path.parent) for path in paths})
        program.say(f"{len(paths)} files of {archive} unpacked to {', '.join(folders)}")


if __name__ == "__main__":
    program.run(__name__)
