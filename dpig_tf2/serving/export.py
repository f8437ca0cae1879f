"""Trained networks as a SavedModel that runs without this package."""

import dataclasses
import json
import os
import pathlib
import shutil

import tensorflow as tf

import dpig_tf2
from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import DpigError
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving.signatures import PersonTasks, describe

# TensorFlow and its server leave this folder of a SavedModel to the exporter.
DESCRIPTION = pathlib.Path("assets.extra", "signatures.json")


class ExportError(DpigError):
    """An export that cannot be written where it was asked for; the message names the place."""


def export(
    sampler: PersonSampler, directory: str | os.PathLike, version: int | None = None
) -> pathlib.Path:
    """Writes `<directory>/<version>/`, the layout of model servers, and returns its path.

    The folder appears under its name only when it is complete. Its `assets.extra/signatures.json`
    describes every input and output.

    Args:
        sampler: networks to export; signatures that need an absent one are left out, and the
            description says which. Takes `sampler.freeze()` back.
        directory: folder of all versions; created if missing.
        version: at least 1; None takes the next after the highest there.

    Raises:
        ExportError: if the version exists already or is below 1, if the directory is a file, or if
            the networks at hand suffice for no signature.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ExportError(f"{directory} is a file, expected a folder for versions of the model")
    target = directory / str(_next_version(directory) if version is None else version)
    if version is not None and version < 1:
        raise ExportError(f"the version must be at least 1, got {version}")
    if target.exists():
        raise ExportError(f"{target} exists already: choose another version")
    for network in sampler.model.networks.values():
        network.thaw()  # the graphs refer to weights; several times their size would not fit in
    available, unavailable = PersonTasks(sampler.model).signatures()
    if not available:
        reasons = "; ".join(f"{name} {why}" for name, why in unavailable.items())
        raise ExportError(f"the trained networks suffice for no signature: {reasons}")

    temporary = directory / f".{target.name}.{os.getpid()}.tmp"
    try:
        graphs = {name: signature.trace() for name, signature in available.items()}
        tf.saved_model.save(_weights_holder(sampler), temporary, signatures=graphs)
        described = {name: describe(available[name], graph) for name, graph in graphs.items()}
        _write_description(temporary, sampler.config, described, unavailable)
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _weights_holder(sampler):
    """What a SavedModel must own: the plain variables, not the Keras objects around them.

    A Keras model would add a signature of its own, which takes a single input.
    """
    holder = tf.Module()
    networks = sampler.model.networks.values()
    holder.weights = [variable.value for network in networks for variable in network.variables]
    return holder


def _write_description(folder, config, signatures, unavailable):
    description = {
        "package": f"dpig_tf2 {dpig_tf2.__version__}",
        "tensorflow": tf.__version__,
        "preset": config.preset,
        "model": dataclasses.asdict(config.model),
        "keypoint_names": KEYPOINT_NAMES,
        "appearance_layout": _appearance_layout(config.model),
        "signatures": signatures,
        "unavailable": unavailable,
    }
    path = folder / DESCRIPTION
    path.parent.mkdir()
    path.write_text(json.dumps(description, indent=2) + "\n")


def _appearance_layout(config: ModelConfig) -> dict:
    """{factor: [first, end)} of each factor in the appearance embedding."""
    layout, start = {}, 0
    for factor in config.appearance_factors:
        layout[factor] = [start, start + config.embedding_size(factor)]
        start = layout[factor][1]
    return layout


def _next_version(directory):
    found = [int(path.name) for path in directory.glob("*") if path.name.isdecimal()]
    return max(found, default=0) + 1
