"""The weights that the authors released in 2018: fetched, found in their archive, imported."""

import logging
import pathlib
import shutil
from collections.abc import Sequence

from dpig_tf2.config import STAGES
from dpig_tf2.errors import DpigError
from dpig_tf2.io import locks
from dpig_tf2.legacy_tf1 import importer, variable_map
from dpig_tf2.legacy_tf1.checkpoint import CheckpointError, name_step, variable_names
from dpig_tf2.preparation import archives, downloads
from dpig_tf2.presets import registry

MIRRORS_VARIABLE = "DPIG_RELEASED_MIRRORS"
_CONFIGURATIONS = {"released_market1501": "market1501", "released_deepfashion": "deepfashion"}
_LOG = logging.getLogger(__name__)


def fetch(name: str, mirrors: Sequence[str] = (), sha256: str | None = None) -> pathlib.Path:
    """The run folder of released weights in the user's cache, made from their archive if absent.

    Args:
        name: "released_market1501" or "released_deepfashion".
        mirrors: URLs or paths of the archive, or of folders that hold it under its published name;
            then come those of the environment variable DPIG_RELEASED_MIRRORS, then the release's
            host.
        sha256: expected checksum of the archive in hexadecimal, if known.

    Raises:
        DownloadError: if no source delivers, naming what each one said.
        ArchiveError: if the archive is damaged or unsafe.
        CheckpointError: if the archive lacks the reconstruction networks or one does not fit.
        locks.LockedError: if another process is fetching them.
    """
    preset = registry.find(name)
    if preset.folder is not None:
        return preset.folder
    folder = registry.fetched_folder(name)
    url = str(preset.card.archive)
    every = downloads.mirrors_of(mirrors, MIRRORS_VARIABLE)
    [(file, sources)] = downloads.sources_of([url], every).items()
    work = folder.with_name(f"{name}.import")
    with locks.writing(work):
        try:
            archive = downloads.fetch(work / file, sources, sha256)
        except downloads.DownloadError as error:
            raise DpigError(
                f"{error}, or give --mirror=URL or --mirror=FILE to `dpig download {name}`, or "
                f"{MIRRORS_VARIABLE}",
                file=work / file,
            ) from error
        unpacked, run = work / "unpacked", work / "run"
        for leftover in (unpacked, run):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        archives.unpack(archive, unpacked)
        found = find_checkpoints(unpacked, _CONFIGURATIONS[name])
        if "reconstruction" not in found:
            raise CheckpointError(
                f"{archive} holds no reconstruction networks of {_CONFIGURATIONS[name]}, "
                f"found: {', '.join(found) or 'no checkpoint of the released code'}",
                file=archive,
            )
        report = importer.import_checkpoints(_CONFIGURATIONS[name], found, run)
        importer.verify(run, report)
        run.replace(folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder


def find_checkpoints(folder: pathlib.Path, configuration: str) -> dict[str, str]:
    """{stage: prefix} of the checkpoints below a folder, whatever its folders and files are called.

    Of several of one stage that with the largest number in its name counts. What belongs to another
    data set or cannot be read is passed by.
    """
    found: dict[str, tuple[int, str]] = {}
    for index in sorted(folder.rglob("*.index")):
        prefix = str(index.with_suffix(""))
        if index.name.startswith("."):  # what macOS adds to archives
            continue
        try:
            stage, belongs_to = variable_map.looks_like(variable_names(prefix))
        except CheckpointError as error:
            _LOG.warning("passed by: %s", error)
            continue
        if stage is not None and belongs_to in (None, configuration):
            found[stage] = max(found.get(stage, (-1, "")), (name_step(prefix) or 0, prefix))
    return {stage: found[stage][1] for stage in STAGES if stage in found}
