"""What networks of given sizes need, told before anything is allocated; no TensorFlow.

The figures are lower bounds: what is refused by them cannot work, what passes may be too much.
"""

import os

_FLOAT = 4  # bytes
_KEYPOINTS, _REGIONS = 18, 7
_POSE_VALUES = 3 * _KEYPOINTS  # row, column, visibility
_TRAINED_COPIES = 4  # weights, gradients, and an optimizer's two averages


def machine_memory() -> int | None:
    """Memory of this machine in bytes; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def parameters(model) -> dict[str, int]:
    """{network: number of parameters} of a `config.ModelConfig`, without biases and batch norm."""
    is_placed = model.architecture == "placed"
    encoder, generator = (_placed if is_placed else _published)(model)
    adversaries = {}
    if not is_placed:
        wide = model.discriminator_hidden
        adversaries["discriminator"] = 75 * wide + 25 * 42 * wide * wide + model.discriminator_row
    if model.mapping != "flow":
        adversaries |= {
            f"{factor}_critic": model.embedding_size(factor) * model.critic_hidden
            + 3 * model.critic_hidden**2
            for factor in model.factors
        }
    mappings = {
        f"{factor}_mapping": 2 * model.embedding_size(factor) * model.mapping_hidden(factor)
        + 8 * model.mapping_hidden(factor) ** 2
        + (model.embedding_size(factor) ** 2 if model.code_places(factor) > 1 else 0)
        for factor in model.factors
    }
    pose = 8 * model.pose_hidden**2 + (_POSE_VALUES + model.pose_embedding) * model.pose_hidden
    return {
        "appearance_encoder": encoder,
        "generator": generator,
        "pose_encoder": pose,
        "pose_decoder": pose,
        **mappings,
        **adversaries,
    }


def weights(model) -> int:
    """Bytes of all networks and of one image's largest tensors, which sampling needs."""
    return _FLOAT * (sum(parameters(model).values()) + _largest_tensors(model))


def training(config, stage: str, replicas: int = 1) -> int:
    """Bytes that one training step of a stage needs.

    Args:
        config: a `config.Config`.
        stage: name of the stage.
        replicas: that share the batch.
    """
    count = parameters(config.model)
    rows = config.stage(stage).batch_size // replicas
    if stage == "reconstruction":
        trained = ("appearance_encoder", "generator", "discriminator")
        numbers = rows * _largest_tensors(config.model)
    elif stage == "pose":
        trained = ("pose_encoder", "pose_decoder")
        numbers = rows * config.model.pose_hidden
    else:
        factors = config.model.mapped_factors(stage)
        trained = tuple(f"{f}_{kind}" for f in factors for kind in ("mapping", "critic"))
        sizes = [config.model.embedding_size(factor) for factor in factors]
        # Every update of a step has rows of its own.
        numbers = rows * config.updates_per_step(stage) * sum(sizes)
    return _FLOAT * (_TRAINED_COPIES * sum(count.get(name, 0) for name in trained) + numbers)


def _published(model):
    """Parameters of appearance encoder and generator of the published architecture."""
    h = model.hidden
    convolution = 9 * h * h
    rows, columns = _halved(model.height, model.width, model.generator_levels)
    region = _halved(model.region_size, model.region_size, model.region_levels)
    encoder = 27 * h + 2 * convolution
    encoder += _pyramid(h, model.region_levels)
    encoder += region[0] * region[1] * h * model.region_levels * model.region_embedding
    if model.has_background:
        side = _halved(model.height, model.width, model.background_levels)
        encoder += _pyramid(h, model.background_levels)
        encoder += side[0] * side[1] * h * model.background_levels * model.background_embedding
    levels = model.generator_levels
    joined = [levels + 1, *(2 * (levels - i) for i in range(1, levels))]
    generator = 9 * (model.appearance_embedding + _KEYPOINTS) * h + _pyramid(h, levels)
    generator += rows * columns * h * model.latent * (levels + 1)
    generator += 2 * convolution * sum(channels**2 for channels in joined)
    generator += h * h * sum(joined[i] * (levels - 1 - i) for i in range(levels - 1))
    return encoder, generator


def _placed(model):
    """The same of the placed architecture: its residuals and the layers of codes."""
    residual = 2 * 9 * model.hidden**2
    # Squares of the residuals' widths, in base widths.
    encoder = residual * (1 + 4 + 16 + 9 + 16) + 2 * _REGIONS * model.region_embedding**2
    generator = residual * (9 + 9 + 2 + 16 + 9 + 4 + 1)
    return encoder, generator + _REGIONS * model.region_embedding * model.placed_channels


def _pyramid(h, levels):
    """Residual levels of h, 2h, ... channels, with a convolution between."""
    residuals = sum(2 * 9 * (h * i) ** 2 for i in range(1, levels + 1))
    return residuals + sum(9 * h * i * h * (i + 1) for i in range(1, levels))


def _halved(rows, columns, levels):
    factor = 2 ** (levels - 1)
    return -(-rows // factor), -(-columns // factor)


def _largest_tensors(model):
    """Numbers in the first skip of the generator and in the crops of all regions."""
    if model.architecture == "placed":
        return model.height * model.width * model.hidden // 2
    crops = _REGIONS * model.region_size**2 * model.hidden
    return 2 * model.height * model.width * model.hidden + crops
