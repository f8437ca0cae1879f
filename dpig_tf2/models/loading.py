"""Trained networks from a run folder, saved sampler or preset; the files of a saved sampler."""

import hashlib
import os
import pathlib
from collections.abc import Collection, Mapping

import numpy as np

from dpig_tf2.config import STAGES, Config, ConfigError, ModelConfig
from dpig_tf2.execution import Execution
from dpig_tf2.io import array_files
from dpig_tf2.io.atomic import replacing
from dpig_tf2.models import factory, weights
from dpig_tf2.models.layers import Network
from dpig_tf2.run_folder import SAVED_WEIGHTS, RunFolder

_CONFIG = "config.json"
_ADVERSARIES = ("discriminator", "critic")  # how their names end


def load_networks(
    path: str | os.PathLike,
    execution: Execution = Execution(),
    checkpoint: str = "latest",
    adversaries: bool = False,
    names: Collection[str] | None = None,
) -> tuple[Config, dict[str, Network]]:
    """Configuration and {name: network} of a run folder, saved sampler or preset of weights.

    Args:
        path: the folder, or `preset:NAME`.
        execution: how the networks compute.
        checkpoint: of every stage of a run folder the "latest", or the "best" where one is kept.
            Mapping networks imitate the latest encoders: sample with those.
        adversaries: also load the discriminator and critics of a run folder.
        names: of the networks to load, of those that are trained; None: all, see `adversaries`.

    Raises:
        ConfigError: if the folder is neither, or no stage has a checkpoint.
        array_files.WeightsError: if a file is damaged or does not fit the configuration.
    """
    run = RunFolder.open(path)
    if run.saved_weights:
        arrays = run.load_saved_weights()
        known = {name.split("/", 1)[0] for name in arrays}
        wanted = known if names is None else known.intersection(names)
        return run.config, _networks(wanted, run.config.model, arrays, run.saved_weights, execution)
    networks = {}
    trained = [stage for stage in STAGES if run.latest_step(stage) is not None]
    if not trained:
        raise ConfigError(
            f"{path} has no checkpoint of any stage: train or import one first", file=path
        )
    for stage in trained:
        networks |= load_stage_networks(run, stage, execution, checkpoint, adversaries, names)
    return run.config, networks


def load_stage_networks(
    run: RunFolder,
    stage: str,
    execution: Execution = Execution(),
    checkpoint: str = "latest",
    adversaries: bool = False,
    names: Collection[str] | None = None,
) -> dict[str, Network]:
    """{name: network} of one stage with the weights of a checkpoint; see `load_networks`.

    Where training has kept a moving average of the weights, that is what is taken.
    """
    wanted = [
        name
        for name in factory.stage_networks(stage, run.config.model)
        if (adversaries or not name.endswith(_ADVERSARIES) if names is None else name in names)
    ]
    if not wanted:
        return {}
    path, arrays = run.load_checkpoint(stage, checkpoint)
    return _networks(wanted, run.config.model, weights.averaged(arrays), path, execution)


def save_networks(path: str | os.PathLike, config: Config, networks: Mapping[str, Network]) -> None:
    """Writes configuration and weights to a folder for `load_networks`; no optimizer state.

    Raises:
        ConfigError: if the folder is that of a run: its later checkpoints would never be read.
    """
    path = pathlib.Path(path)
    if (path / "checkpoints").exists():
        raise ConfigError(f"{path} holds checkpoints of a run: name another folder", file=path)
    path.mkdir(parents=True, exist_ok=True)
    variables = [v for network in networks.values() for v in network.variables]
    with replacing(path / _CONFIG) as settings:  # both are written before one is replaced
        settings.write_text(config.to_json() + "\n", encoding="utf-8")
        array_files.save(path / SAVED_WEIGHTS, weights.collect(variables))


def fingerprint(config: ModelConfig, networks: Mapping[str, Network]) -> str:
    """16 hexadecimal digits that change with any weight or network size."""
    digest = hashlib.blake2b(repr(config).encode(), digest_size=8)
    for name, network in sorted(networks.items()):
        for path, array in weights.collect(network.variables).items():
            digest.update(f"{name} {path} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _networks(names, model, arrays, source, execution):
    """{name: network} with the weights of `arrays`, which were read from `source`."""
    networks = factory.build_networks(sorted(names), model, execution)
    for network in networks.values():
        weights.assign(network.variables, arrays, str(source))
    return networks
