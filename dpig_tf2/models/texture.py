"""Patterns of clothes as colors of texels: read into the codes of their regions, drawn from them.

What a pattern looks like is taught directly, by the colors under the texels of the answer: a
network that sees only how far a picture is off does not begin to draw stripes, for stripes that are
not yet in the right place are worse than none.
"""

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops import anchors
from dpig_tf2.ops.body_parts import NUM_REGIONS

CHANNELS = 4 * len(anchors.TEXELS_OF_REGION)  # of what `draw` gives
# Which of them a texel adds to, [T, CHANNELS], and what makes its color and coverage fade away.
_CHANNELS_OF_TEXEL = np.repeat(
    np.eye(len(anchors.TEXELS_OF_REGION), dtype=np.float32),
    list(anchors.TEXELS_OF_REGION.values()),
    axis=0,
).repeat(4, axis=1)
_FADING = np.tile(np.float32([0.1, 0.1, 0.1, 0.3]), len(anchors.TEXELS_OF_REGION))


def read(images, body_mask, body: anchors.BodyMaps) -> tuple[tf.Tensor, tf.Tensor]:
    """Colors under the texels of persons, and how much of each is seen.

    Args:
        images: float [B, H, W, 3], any units.
        body_mask: float [B, H, W, 1] in {0, 1}.
        body: maps of the persons, with texels.

    Returns:
        float32 [B, T, 3], units of the images, and float32 [B, T, 1] in [0, 1].
    """
    x = tf.concat([images * body_mask, body_mask], axis=-1)
    return read_halved(tf.nn.avg_pool2d(x, 2, 2, "VALID"), body)


def read_halved(x, body: anchors.BodyMaps) -> tuple[tf.Tensor, tf.Tensor]:
    """As `read`, of images times mask and mask [B, H / 2, W / 2, 4], every value of four pixels."""
    maps = body.of_texels(tuple(x.shape[1:3]))
    sums = tf.einsum("bhwt,bhwc->btc", maps, tf.cast(x, tf.float32))
    colors, masked = sums[..., :3], sums[..., 3:]
    # The maps of unknown texels are zero, and so is what is seen of them.
    return colors / (masked + 1e-2), masked / (tf.reduce_sum(maps, axis=[1, 2])[..., None] + 1e-3)


def draw(colors, body: anchors.BodyMaps, grid: tuple[int, int]) -> tf.Tensor:
    """Colors of texels as maps: of each region with texels three of color and one of coverage.

    Args:
        colors: float32 [B, T, 3].
        body: maps of the persons, with texels.
        grid: rows and columns of the maps.

    Returns:
        float32 [B, rows, columns, CHANNELS]. Between texels colors are interpolated.
    """
    of_region = tf.constant(_CHANNELS_OF_TEXEL)
    values = tf.concat([colors, tf.ones_like(colors[..., :1])], axis=-1)
    values = tf.tile(values, [1, 1, len(anchors.TEXELS_OF_REGION)]) * of_region
    maps = body.of_texels(grid)
    cover = tf.einsum("bhwt,tc->bhwc", maps, of_region)
    return tf.einsum("bhwt,btc->bhwc", maps, values) / (cover + tf.constant(_FADING))


@layers.serializable
class TextureEncoder(layers.Block):
    """What the colors of texels add to the codes of their regions.

    Args:
        embedding: code length of a region.
        execution: how it computes.

    Call arguments: what `read` returns.
    Returns: {region: float [B, embedding]} of the regions with texels.
    """

    def __init__(self, embedding: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, autocast=False, **kwargs)
        self.embedding = embedding
        regions = anchors.TEXELS_OF_REGION
        self.hidden = [_dense(self, 2 * embedding, f"{i}_hidden", "relu") for i in regions]
        self.codes = [_dense(self, embedding, f"{i}_code") for i in regions]

    def get_config(self):
        return super().get_config() | {"embedding": self.embedding}

    def call(self, colors, seen):
        x = tf.cast(tf.concat([colors * seen, seen], axis=-1), self.compute_dtype)
        x = tf.split(x, list(anchors.TEXELS_OF_REGION.values()), axis=1)
        of_regions = zip(self.codes, self.hidden, map(layers.flatten, x), strict=True)
        codes = [code(hidden(found)) for code, hidden, found in of_regions]
        return dict(zip(anchors.TEXELS_OF_REGION, codes, strict=True))


@layers.serializable
class TextureDecoder(layers.Block):
    """Colors of the texels from the codes of their regions.

    Args:
        embedding: code length of a region.
        execution: how it computes.

    Call argument: float [B, 7 * embedding], the codes of all regions.
    Returns: float32 [B, T, 3], network's units.
    """

    def __init__(self, embedding: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, autocast=False, **kwargs)
        self.embedding = embedding
        regions = anchors.TEXELS_OF_REGION
        self.hidden = [_dense(self, 4 * embedding, f"{i}_hidden", "relu") for i in regions]
        self.colors = [_dense(self, 3 * n, f"{i}_output") for i, n in regions.items()]

    def get_config(self):
        return super().get_config() | {"embedding": self.embedding}

    def call(self, codes):
        codes = tf.split(tf.cast(codes, self.compute_dtype), NUM_REGIONS, axis=1)
        layers_of = zip(anchors.TEXELS_OF_REGION, self.hidden, self.colors, strict=True)
        found = [colors(hidden(codes[region])) for region, hidden, colors in layers_of]
        found = tf.cast(tf.concat(found, axis=1), tf.float32)
        return tf.reshape(found, [-1, anchors.NUM_TEXELS, 3])


def _dense(block, units, name, activation=None):
    return keras.layers.Dense(units, activation=activation, dtype=block.dtype_policy, name=name)
