"""Which variable of a released TensorFlow 1 checkpoint becomes which of ours.

Every tensor is taken over as it is: convolution and dense kernels have the same layout, and our
discriminator flattens channels first like the released one, so no row has to move. The release
numbers layers by creation (`Conv`, `Conv_1`, ...); the lists below are in that order. All of the
release's names live here and nowhere else.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from dpig_tf2.config import ModelConfig
from dpig_tf2.models import factory
from dpig_tf2.models.layers import DenseTrunk

# Slots of the release's optimizers: suffix of the variable's name -> Keras name of the slot.
ADAM_SLOTS = {"Adam": "momentum", "Adam_1": "velocity"}
RMSPROP_SLOTS = {"RMSProp": "velocity"}

# The generator or mapping side and the adversary each have a learning rate, and under Adam the
# running powers of its two decay rates.
LEARNING_RATES = {"generator": "g_lr", "discriminator": "d_lr"}
BETA_POWERS = {
    "generator": ("beta1_power", "beta2_power"),
    "discriminator": ("beta1_power_1", "beta2_power_1"),
}

_ADVERSARIES = ("discriminator", "critic")
_CRITIC_SCOPES = {
    "foreground": "Fg_FCDis_Discriminator",
    "background": "Bg_FCDis_Discriminator",
    "appearance": "FCDis_Discriminator",
    "pose": "Pose_emb_Discriminator",
}
_MAPPING_SCOPES = {
    "foreground": "Gaussian_FC_Fg/G_FC",
    "background": "Gaussian_FC_Bg/G_FC",
    "appearance": "Gaussian_FC/G_FC",
    "pose": "PoseGaussian/G_FC",
}
_STAGE_ONE_SCOPES = {
    "appearance_encoder": "Encoder/G_encoder",
    "generator": "ID_AE/G",
    "pose_encoder": "PoseAE/G_Pose_Encoder",
    "pose_decoder": "PoseAE/G_Pose_Decoder",
}

# What the importer leaves out on purpose: pattern of the whole name, reason.
_IGNORED = (
    (r"phase", "switch of the batch norm, which always uses batch statistics"),
    (r"step", "counter that the release saves but never advances"),
    (
        r"Discriminator\.BN\d\.moving_(mean|variance)",
        "moving averages that the release neither updates nor uses",
    ),
    (r".*/RMSProp_1", "momentum of an optimizer that runs without momentum"),
    (r"beta[12]_power(_1)?", "powers of the decay rates, from which the step is computed"),
)
_FROZEN_REASON = "frozen copy of a stage-I network, which is taken from that stage's checkpoint"


@dataclasses.dataclass(frozen=True)
class SizeSource:
    """A field of ModelConfig can be read off one axis of a variable: length / divisor."""

    field: str
    variable: str
    axis: int
    divisor: int = 1


def network_table(network: str, config: ModelConfig) -> dict[str, str]:
    """{source name: path of our variable} of one network, as `models.factory` calls it."""
    if network in _STAGE_ONE_SCOPES:
        convolutions, denses = _layers(network, config)
        return _numbered_table(network, _STAGE_ONE_SCOPES[network], convolutions, denses)
    if network == "discriminator":
        return _discriminator_table()
    factor, _, kind = network.rpartition("_")
    if kind == "mapping":
        return _numbered_table(network, _MAPPING_SCOPES[factor], (), [*_trunk(), "output"])
    return _critic_table(network, _CRITIC_SCOPES[factor])


def stage_table(stage: str, config: ModelConfig) -> dict[str, str]:
    """{source name: path of our variable} of all networks that a stage trains."""
    table = {}
    for network in factory.stage_networks(stage, config):
        table.update(network_table(network, config))
    return table


def ignore_list(names: Iterable[str], stage: str, config: ModelConfig) -> dict[str, str]:
    """{name: reason} of the variables of a stage's checkpoint that are left out on purpose."""
    frozen = {name for table in frozen_tables(stage, config).values() for name in table}

    def reason(name):
        if name in frozen:
            return _FROZEN_REASON
        return next((why for pattern, why in _IGNORED if re.fullmatch(pattern, name)), None)

    return {name: why for name in names if (why := reason(name))}


def frozen_tables(stage: str, config: ModelConfig) -> dict[str, dict[str, str]]:
    """{network: table} of the stage-I networks that a stage II checkpoint carries along."""
    if not stage.endswith("_mapping"):
        return {}
    return {network: network_table(network, config) for network in _STAGE_ONE_SCOPES}


def side(path: str) -> str:
    """Whose optimizer moves one of our variables: "generator" or "discriminator"."""
    network = path.split("/")[0]
    return "discriminator" if network.endswith(_ADVERSARIES) else "generator"


def looks_like(names: Iterable[str]) -> tuple[str | None, str | None]:
    """Stage and preset whose graph has such variables; None for what the names do not tell.

    The pose autoencoder's graph is the same for both datasets.
    """
    names = set(names)
    by_stage = {
        "reconstruction": ("Discriminator.",),
        "appearance_mapping": tuple(
            f"{_MAPPING_SCOPES[f]}/" for f in ("foreground", "background", "appearance")
        ),
        "pose_mapping": (f"{_MAPPING_SCOPES['pose']}/",),
        "pose": ("PoseAE/",),  # last: a pose mapping checkpoint has the autoencoder as well
    }
    stage = next((s for s, prefixes in by_stage.items() if _any_starts(names, prefixes)), None)
    if "Encoder/G_encoder/fully_connected_1/weights" in names or _any_starts(
        names, (f"{_MAPPING_SCOPES['foreground']}/", f"{_MAPPING_SCOPES['background']}/")
    ):
        return stage, "market1501"
    if _any_starts(names, ("Encoder/G_encoder/", f"{_MAPPING_SCOPES['appearance']}/")):
        return stage, "deepfashion"
    return stage, None


def size_sources(stage: str, config: ModelConfig) -> Iterator[SizeSource]:
    """Where the widths and code lengths of a stage's networks can be read; several for most."""
    yield from {
        "reconstruction": _reconstruction_sizes,
        "pose": _pose_sizes,
        "appearance_mapping": _appearance_mapping_sizes,
        "pose_mapping": _pose_mapping_sizes,
    }[stage](config)
    if stage in ("appearance_mapping", "pose_mapping"):
        yield from _frozen_sizes(config)


def _layers(network, config):
    """Our layers of a stage-I network, in the release's order: (convolutions, dense layers)."""
    if network == "appearance_encoder":
        convolutions = ["stem_conv", *_residual("stem_residual")]
        convolutions += _pyramid("region_pyramid", config.region_levels)
        denses = ["region_dense"]
        if config.has_background:
            convolutions += _pyramid("background_pyramid", config.background_levels)
            denses.append("background_dense")
        return convolutions, denses
    if network == "generator":
        convolutions = ["input_conv", *_pyramid("pyramid", config.generator_levels)]
        for level in range(config.generator_levels):
            convolutions += _residual(f"decoder_residual_{level}")
            if level < config.generator_levels - 1:
                convolutions.append(f"up_{level}")
        return [*convolutions, "output_conv"], ["latent_dense", "bottom_dense"]
    if network == "pose_encoder":
        return [], [*_trunk(), "output"]
    return [], [*_trunk(), "coordinates", "visibility"]


def _residual(name, kind="conv"):
    return [f"{name}/{kind}_1", f"{name}/{kind}_2"]


def _pyramid(name, levels):
    layers = []
    for level in range(levels):
        layers += _residual(f"{name}/residual_{level}")
        if level < levels - 1:
            layers.append(f"{name}/down_{level}")
    return layers


def _trunk():
    layers = ["trunk/input"]
    for block in range(DenseTrunk.BLOCKS):
        layers += _residual(f"trunk/residual_{block}", "dense")
    return layers


def _numbered_table(network, scope, convolutions, denses):
    table = {}
    for kind, layers in (("Conv", convolutions), ("fully_connected", denses)):
        for number, layer in enumerate(layers):
            source = f"{scope}/{kind}_{number}" if number else f"{scope}/{kind}"
            table[f"{source}/weights"] = f"{network}/{layer}/kernel"
            table[f"{source}/biases"] = f"{network}/{layer}/bias"
    return table


def _discriminator_table():
    table = {}
    for number in range(1, 5):
        source = f"Discriminator.{number}/Discriminator.{number}"
        table[f"{source}.Filters"] = f"discriminator/conv_{number}/kernel"
        table[f"{source}.Biases"] = f"discriminator/conv_{number}/bias"
    for number in range(2, 5):
        for leaf in ("scale", "offset"):
            table[f"Discriminator.BN{number}.{leaf}"] = f"discriminator/norm_{number}/{leaf}"
    return table | _linear_table("Discriminator.Output", "discriminator/output")


def _critic_table(network, scope):
    table = {}
    for number, layer in enumerate(("Input.Linear", "0.Linear", "1.Linear", "2.Linear")):
        table |= _linear_table(f"{scope}.{layer}", f"{network}/dense_{number}")
    return table | _linear_table(f"{scope}.Out", f"{network}/output")


def _linear_table(source, target):
    return {f"{source}/{source}.W": f"{target}/kernel", f"{source}/{source}.b": f"{target}/bias"}


def _any_starts(names, prefixes):
    return any(name.startswith(prefixes) for name in names)


def _reconstruction_sizes(config):
    yield from _frozen_sizes(config, pose=False)
    for number, factor in ((1, 1), (2, 2), (3, 4), (4, 8)):
        name = f"Discriminator.{number}/Discriminator.{number}.Biases"
        yield SizeSource("discriminator_hidden", name, 0, factor)
    yield SizeSource("discriminator_row", "Discriminator.Output/Discriminator.Output.W", 0)


def _frozen_sizes(config, pose=True):
    encoder, generator = _STAGE_ONE_SCOPES["appearance_encoder"], _STAGE_ONE_SCOPES["generator"]
    for scope in (encoder, generator):
        yield SizeSource("hidden", f"{scope}/Conv/weights", 3)
        yield SizeSource("hidden", f"{scope}/Conv/biases", 0)
        yield SizeSource("hidden", f"{scope}/Conv_1/biases", 0)
    yield SizeSource("latent", f"{generator}/fully_connected/weights", 1)
    yield SizeSource("latent", f"{generator}/fully_connected/biases", 0)
    yield SizeSource("latent", f"{generator}/fully_connected_1/weights", 0)
    yield SizeSource("region_embedding", f"{encoder}/fully_connected/weights", 1)
    yield SizeSource("region_embedding", f"{encoder}/fully_connected/biases", 0)
    if config.has_background:
        yield SizeSource("background_embedding", f"{encoder}/fully_connected_1/weights", 1)
        yield SizeSource("background_embedding", f"{encoder}/fully_connected_1/biases", 0)
    if pose:
        yield from _pose_sizes(config)


def _pose_sizes(config):
    encoder, decoder = _STAGE_ONE_SCOPES["pose_encoder"], _STAGE_ONE_SCOPES["pose_decoder"]
    for scope in (encoder, decoder):
        yield SizeSource("pose_hidden", f"{scope}/fully_connected/weights", 1)
        yield SizeSource("pose_hidden", f"{scope}/fully_connected/biases", 0)
    yield SizeSource("pose_embedding", f"{encoder}/fully_connected_9/weights", 1)
    yield SizeSource("pose_embedding", f"{encoder}/fully_connected_9/biases", 0)
    yield SizeSource("pose_embedding", f"{decoder}/fully_connected/weights", 0)


def _appearance_mapping_sizes(config):
    parts = {"foreground": 7, "background": 1, "appearance": 7}
    for factor in config.appearance_factors:
        field = "background_embedding" if factor == "background" else "region_embedding"
        hidden = "background" if factor == "background" else "foreground"
        yield from _mapping_sizes(factor, field, f"{hidden}_mapping_hidden", parts[factor])


def _pose_mapping_sizes(config):
    return _mapping_sizes("pose", "pose_embedding", "pose_mapping_hidden", 1)


def _mapping_sizes(factor, embedding, hidden, divisor):
    mapping, critic = _MAPPING_SCOPES[factor], f"{_CRITIC_SCOPES[factor]}.Input.Linear"
    yield SizeSource(hidden, f"{mapping}/fully_connected/weights", 1)
    yield SizeSource(hidden, f"{mapping}/fully_connected/biases", 0)
    yield SizeSource(hidden, f"{mapping}/fully_connected_1/biases", 0)
    yield SizeSource(embedding, f"{mapping}/fully_connected/weights", 0, divisor)
    yield SizeSource(embedding, f"{mapping}/fully_connected_9/weights", 1, divisor)
    yield SizeSource(embedding, f"{mapping}/fully_connected_9/biases", 0, divisor)
    yield SizeSource("critic_hidden", f"{critic}/{critic}.W", 1)
    yield SizeSource("critic_hidden", f"{critic}/{critic}.b", 0)
