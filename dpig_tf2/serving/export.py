"""Trained networks as a SavedModel that runs without this package."""

import dataclasses
import json
import os
import pathlib
import shutil

import tensorflow as tf

import dpig_tf2
from dpig_tf2.config import Config
from dpig_tf2.errors import DpigError
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.serving.signatures import available_signatures, describe

# TensorFlow and its server leave this folder of a SavedModel to the exporter.
DESCRIPTION = pathlib.Path("assets.extra", "signatures.json")


class ExportError(DpigError):
    """An export that cannot be written where it was asked for; the message names the place."""


def export(
    config: Config, networks: dict, directory: str | os.PathLike, version: int | None = None
) -> pathlib.Path:
    """Writes `<directory>/<version>/`, the layout of model servers, and returns its path.

    The folder appears under its name only when it is complete. Its `assets.extra/signatures.json`
    describes every input and output.

    Args:
        config: the run's configuration.
        networks: {name: network}, as `models.loading.load_networks` gives both; signatures that
            need an absent one are left out, and the description says which. Frozen ones are thawed.
        directory: folder of all versions; created if missing.
        version: at least 1; None takes the next after the highest there.

    Raises:
        ExportError: if the version exists already or is below 1, if the directory is a file, or if
            the networks at hand suffice for no signature.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ExportError(
            f"{directory} is a file, expected a folder for versions of the model", file=directory
        )
    target = directory / str(_next_version(directory) if version is None else version)
    if version is not None and version < 1:
        raise ExportError(f"the version must be at least 1, got {version}", field="version")
    if target.exists():
        raise ExportError(f"{target} exists already: choose another version", file=target)
    for network in networks.values():
        network.thaw()  # the graphs refer to weights; several times their size would not fit in
    available, unavailable = available_signatures(PersonModel(config.model, networks))
    if not available:
        reasons = "; ".join(f"{name} {why}" for name, why in unavailable.items())
        raise ExportError(f"the trained networks suffice for no signature: {reasons}")

    temporary = directory / f".{target.name}.{os.getpid()}.tmp"
    try:
        graphs = {name: signature.trace() for name, signature in available.items()}
        tf.saved_model.save(_Weights(networks), temporary, signatures=graphs)
        described = {name: describe(available[name], graph) for name, graph in graphs.items()}
        _write_description(temporary, config, described, unavailable)
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


class _Weights(tf.Module):
    """What a SavedModel must own: the plain variables, not the Keras objects around them.

    A Keras model would add a signature of its own, which takes a single input.
    """

    def __init__(self, networks):
        super().__init__()
        self.weights = [
            variable.value for network in networks.values() for variable in network.variables
        ]


def _write_description(folder, config, signatures, unavailable):
    description = {
        "package": f"dpig_tf2 {dpig_tf2.__version__}",
        "tensorflow": tf.__version__,
        "preset": config.preset,
        "model": dataclasses.asdict(config.model),
        "keypoint_names": KEYPOINT_NAMES,
        "appearance_layout": config.model.appearance_layout,
        "signatures": signatures,
        "unavailable": unavailable,
    }
    path = folder / DESCRIPTION
    path.parent.mkdir()
    path.write_text(json.dumps(description, indent=2) + "\n")


def _next_version(directory):
    found = [int(path.name) for path in directory.glob("*") if path.name.isdecimal()]
    return max(found, default=0) + 1
