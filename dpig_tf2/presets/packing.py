"""Writes trained networks as a preset of weights."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from dpig_tf2.config import Config, ConfigError
from dpig_tf2.io import tensor_files
from dpig_tf2.io.atomic import write_json, write_text
from dpig_tf2.io.hashes import sha256
from dpig_tf2.presets import cards

WEIGHTS = "weights.safetensors"
_LISTS = ("per_image", "names", "checkpoints", "skipped")  # of single images or files


def pack(
    folder: str | os.PathLike,
    config: Config,
    arrays: Mapping[str, np.ndarray],
    card: cards.Card,
    figures: Mapping,
    training: Mapping,
) -> cards.Card:
    """Writes weights, configuration and card to a folder, which is named as the preset.

    Args:
        folder: where to; files of an earlier packing are replaced.
        config: of the run.
        arrays: {path: value} of the networks that go along; adversaries do not.
        card: its prose.
        figures: what the run's metrics.json holds; lists of single images are left out.
        training: {stage: {"steps": n, "images": n}}.

    Returns:
        The card as it is written.

    Raises:
        ConfigError: if there are no networks.
        WeightsError: if float16 cannot hold a weight.
    """
    folder = pathlib.Path(folder)
    if not arrays:
        raise ConfigError("no networks to pack", field="arrays")
    tensor_files.save(folder / WEIGHTS, arrays)
    write_text(folder / "config.json", config.to_json() + "\n")
    card = dataclasses.replace(
        card,
        training=dict(training),
        figures=without_lists(figures),
        parameters=sum(int(np.size(array)) for array in arrays.values()),
        bytes=(folder / WEIGHTS).stat().st_size,
        sha256=sha256(folder / WEIGHTS),
    )
    write_json(folder / cards.FILE, card.as_dict())
    return card


def without_lists(scores):
    """Scores without what they hold of single images or files, as they are shown and packed."""
    if isinstance(scores, dict):
        return {k: without_lists(v) for k, v in scores.items() if k not in _LISTS}
    return scores
