"""Writes trained networks as a preset of weights."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from dpig_tf2.config import Config, ConfigError
from dpig_tf2.io import locks, tensor_files
from dpig_tf2.io.atomic import replacing_folder, write_json, write_text
from dpig_tf2.io.hashes import sha256
from dpig_tf2.presets import cards

WEIGHTS = "weights.safetensors"
_CONFIG = "config.json"
# Of single images and files, and of the machine.
_DETAILS = ("per_image", "names", "checkpoints", "skipped", "flags", "inputs")


def pack(
    folder: str | os.PathLike,
    config: Config,
    arrays: Mapping[str, np.ndarray],
    card: cards.Card,
    figures: Mapping,
    training: Mapping,
    overwrite: bool = False,
) -> cards.Card:
    """Writes weights, configuration and card to a folder, which is named as the preset.

    Args:
        folder: where to; it appears whole.
        config: of the run.
        arrays: {path: value} of the networks that go along; adversaries do not.
        card: its prose.
        figures: what the run's metrics.json holds; details of single images and of the machine are
            left out.
        training: {stage: {"steps": n, "images": n}}.
        overwrite: replace a preset that the folder holds.

    Returns:
        The card as it is written.

    Raises:
        ConfigError: if there are no networks, or the folder holds something already.
        locks.LockedError: if another process packs to it.
        WeightsError: if float16 cannot hold a weight.
    """
    folder = pathlib.Path(folder)
    if not arrays:
        raise ConfigError("no networks to pack", field="arrays")
    with locks.writing(folder.parent, folder.name):
        with replacing_folder(folder) as whole:  # brings back one that was moved aside
            _require_free(folder, overwrite)
            tensor_files.save(whole / WEIGHTS, arrays)
            write_text(whole / _CONFIG, config.to_json() + "\n")
            card = dataclasses.replace(
                card,
                training=dict(training),
                figures=without_details(figures),
                parameters=sum(int(np.size(array)) for array in arrays.values()),
                bytes=(whole / WEIGHTS).stat().st_size,
                sha256=sha256(whole / WEIGHTS),
            )
            write_json(whole / cards.FILE, card.as_dict())
    return card


def _require_free(folder, overwrite):
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if there - {WEIGHTS, _CONFIG, cards.FILE}:
        raise ConfigError(
            f"{folder} holds other files than those of a preset: choose another --name or "
            "--out_dir",
            file=folder,
        )
    if there and not overwrite:
        raise ConfigError(
            f"{folder} holds a preset already: choose another --name, or --overwrite", file=folder
        )


def without_details(scores):
    """Scores without what they hold of single files and of the machine, as shown and packed."""
    if isinstance(scores, dict):
        return {k: without_details(v) for k, v in scores.items() if k not in _DETAILS}
    return scores
