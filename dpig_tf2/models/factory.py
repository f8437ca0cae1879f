"""Networks from a ModelConfig: which there are, which stage owns them, how each is built."""

from collections.abc import Iterable

import tensorflow as tf

from dpig_tf2.config import STAGES, ConfigError, ModelConfig
from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.models.appearance_encoder import AppearanceEncoder
from dpig_tf2.models.discriminator import Discriminator, EmbeddingCritic
from dpig_tf2.models.flow_mapping import FlowMapping
from dpig_tf2.models.generator import Generator
from dpig_tf2.models.mapping_network import MappingNetwork
from dpig_tf2.models.placed import PlacedEncoder, PlacedGenerator
from dpig_tf2.models.pose_autoencoder import PoseDecoder, PoseEncoder
from dpig_tf2.ops.body_parts import NUM_REGIONS
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS


def stage_networks(stage: str, config: ModelConfig) -> tuple[str, ...]:
    """Names of the networks that a stage trains, adversaries included."""
    if factors := config.mapped_factors(stage):
        kinds = ("mapping",) if config.mapping == "flow" else ("mapping", "critic")
        return tuple(f"{factor}_{kind}" for factor in factors for kind in kinds)
    if stage == "reconstruction" and config.architecture == "placed":
        return ("appearance_encoder", "generator")
    return {
        "reconstruction": ("appearance_encoder", "generator", "discriminator"),
        "pose": ("pose_encoder", "pose_decoder"),
    }[stage]


def build_network(
    name: str, config: ModelConfig, execution: Execution = Execution()
) -> layers.Network:
    """One network with its variables created, named as in checkpoints.

    Args:
        name: one of `stage_networks`.
        config: sizes of all networks.
        execution: how it computes.

    Raises:
        ConfigError: if the name is unknown for this configuration.
    """
    if not any(name in stage_networks(stage, config) for stage in STAGES):
        raise ConfigError(
            f"no network is called {name!r} in the {config.architecture} architecture, variant "
            f"{config.variant}"
        )
    if name in ("appearance_encoder", "generator"):
        of_images = {"published": _published_network, "placed": _placed_network}
        return of_images[config.architecture](name, config, execution)
    if name == "discriminator":
        network = Discriminator(
            config.discriminator_hidden, config.discriminator_row, execution, name=name
        )
        return _built(network, (config.height, config.width, 3))
    if name == "pose_encoder":
        network = PoseEncoder(config.pose_hidden, config.pose_embedding, execution, name=name)
        return _built(network, (NUM_KEYPOINTS, 3))
    if name == "pose_decoder":
        network = PoseDecoder(config.pose_hidden, execution, name=name)
        return _built(network, (config.pose_embedding,))
    factor, _, kind = name.rpartition("_")
    embedding = config.embedding_size(factor)
    if kind == "critic":
        return _built(EmbeddingCritic(config.critic_hidden, execution, name=name), (embedding,))
    hidden = config.mapping_hidden(factor)
    if config.mapping != "flow":
        return _built(MappingNetwork(hidden, embedding, execution, name=name), (embedding,))
    places = config.code_places(factor)
    network = FlowMapping(hidden, embedding, places, config.noise_scale, execution, name=name)
    network.build((None, embedding))
    return network


def _published_network(name, config, execution):
    """Appearance encoder or generator of the published architecture."""
    image, mask, pose_map = ((config.height, config.width, n) for n in (3, 1, NUM_KEYPOINTS))
    if name == "generator":
        sizes = (config.hidden, config.latent, config.generator_levels)
        network = Generator(*sizes, execution, name=name)
        return _built(network, (config.appearance_embedding,), pose_map)
    network = AppearanceEncoder(
        hidden=config.hidden,
        region_size=config.region_size,
        region_levels=config.region_levels,
        region_embedding=config.region_embedding,
        background_levels=config.background_levels,
        background_embedding=config.background_embedding if config.has_background else 0,
        execution=execution,
        name=name,
    )
    inputs = [image, (NUM_REGIONS, 4), (NUM_REGIONS,)]
    return _built(network, *inputs, *([mask] if config.has_background else []))


def _placed_network(name, config, execution):
    """Appearance encoder or generator of the placed architecture."""
    keypoints = (NUM_KEYPOINTS, 3)
    sizes = (config.hidden, config.region_embedding, config.background_embedding)
    if name == "appearance_encoder":
        image, mask = ((config.height, config.width, n) for n in (3, 1))
        network = PlacedEncoder(*sizes, config.texels, execution, name=name)
        return _built(network, image, keypoints, mask)
    network = PlacedGenerator(
        config.height,
        config.width,
        *sizes,
        config.placed_channels,
        config.texels,
        execution,
        name=name,
    )
    return _built(network, (config.appearance_embedding,), keypoints)


def build_networks(
    names: Iterable[str], config: ModelConfig, execution: Execution = Execution()
) -> dict[str, layers.Network]:
    """`build_network` for each name, as {name: network}."""
    return {name: build_network(name, config, execution) for name in names}


def _built(network, *shapes):
    # A call on no rows creates the variables and computes nothing; a symbolic one takes twice as
    # long.
    network(*(tf.zeros((0, *shape)) for shape in shapes))
    return network
