"""Networks from a ModelConfig: which there are, which stage owns them, how each is built."""

import contextlib
from collections.abc import Callable

import keras
import tensorflow as tf

from dpig_tf2.config import ConfigError, ModelConfig
from dpig_tf2.models.appearance_encoder import AppearanceEncoder
from dpig_tf2.models.discriminator import Discriminator, EmbeddingCritic
from dpig_tf2.models.generator import Generator
from dpig_tf2.models.mapping_network import MappingNetwork
from dpig_tf2.models.pose_autoencoder import PoseDecoder, PoseEncoder
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.ops.regions import NUM_REGIONS


def stage_networks(stage: str, config: ModelConfig) -> tuple[str, ...]:
    """Names of the networks that a stage trains, adversaries included."""
    mappings = {"appearance_mapping": config.appearance_factors, "pose_mapping": ("pose",)}
    if stage in mappings:
        return tuple(
            f"{factor}_{kind}" for factor in mappings[stage] for kind in ("mapping", "critic")
        )
    return {
        "reconstruction": ("appearance_encoder", "generator", "discriminator"),
        "pose": ("pose_encoder", "pose_decoder"),
    }[stage]


def build_network(
    name: str,
    config: ModelConfig,
    crop_method: str = "matmul",
    convolution: str = "direct",
    precision: str = "float32",
    rematerialize: bool = False,
) -> keras.Model:
    """One network with its variables created, named as in checkpoints.

    Args:
        name: one of `stage_networks`.
        config: sizes of all networks.
        crop_method: form of the encoder's region crops, see `ops.regions.crop_regions`.
        convolution: form of the convolutions, see `layers.Conv`.
        precision: one of `config.PRECISIONS`. Mixed ones compute in 16 bits; variables, inputs and
            outputs are float32 all the same.
        rematerialize: appearance encoder and generator compute the activations of their resolution
            levels again in the backward pass instead of keeping them.

    Raises:
        ConfigError: if the name is unknown for this configuration.
    """
    with _dtype_policy(precision):
        return _built_network(name, config, crop_method, convolution, rematerialize)


def build_networks(names, config: ModelConfig, **how) -> dict:
    """`build_network` for each name, as {name: network}."""
    return {name: build_network(name, config, **how) for name in names}


def fastest_forms(jit_compile: bool = False) -> dict[str, str]:
    """Those of the equal forms, as arguments of `build_network`, that are fastest where we run.

    The defaults of `build_network` run well everywhere: on GPU, under XLA, in an export.
    """
    if jit_compile or tf.config.list_logical_devices("GPU"):
        return {"crop_method": "matmul", "convolution": "direct"}
    return {"crop_method": "gather", "convolution": "products"}


@contextlib.contextmanager
def _dtype_policy(name):
    """Layers made inside get this policy; afterwards the process has its own again."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _built_network(name, config, crop_method, convolution, rematerialize):
    image = keras.Input((config.height, config.width, 3))
    if name == "appearance_encoder":
        network = AppearanceEncoder(
            hidden=config.hidden,
            region_size=config.region_size,
            region_levels=config.region_levels,
            region_embedding=config.region_embedding,
            background_levels=config.background_levels,
            background_embedding=config.background_embedding if config.has_background else 0,
            crop_method=crop_method,
            rematerialize=rematerialize,
            convolution=convolution,
            name=name,
        )
        inputs = [image, keras.Input((NUM_REGIONS, 4)), keras.Input((NUM_REGIONS,))]
        if config.has_background:
            inputs.append(keras.Input((config.height, config.width, 1)))
        return _built(network, *inputs)
    if name == "generator":
        network = Generator(
            config.hidden,
            config.latent,
            config.generator_levels,
            rematerialize,
            convolution,
            name=name,
        )
        pose_map = keras.Input((config.height, config.width, NUM_KEYPOINTS))
        return _built(network, keras.Input((config.appearance_embedding,)), pose_map)
    if name == "discriminator":
        network = Discriminator(
            config.discriminator_hidden, config.discriminator_row, convolution, name=name
        )
        return _built(network, image)
    if name == "pose_encoder":
        network = PoseEncoder(config.pose_hidden, config.pose_embedding, name=name)
        return _built(network, keras.Input((NUM_KEYPOINTS, 3)))
    if name == "pose_decoder":
        network = PoseDecoder(config.pose_hidden, name=name)
        return _built(network, keras.Input((config.pose_embedding,)))
    factor, _, kind = name.rpartition("_")
    builders: dict[str, Callable[[], keras.Model]] = {
        "mapping": lambda: MappingNetwork(
            config.mapping_hidden(factor), config.embedding_size(factor), name=name
        ),
        "critic": lambda: EmbeddingCritic(config.critic_hidden, name=name),
    }
    if kind not in builders or factor not in config.factors:
        raise ConfigError(f"no network is called {name!r} in the {config.variant} variant")
    return _built(builders[kind](), keras.Input((config.embedding_size(factor),)))


def _built(network, *inputs):
    network(*inputs)  # a symbolic call creates the variables without computing anything
    return network
