"""Generator: appearance embedding and pose map -> image."""

import functools

import keras
import tensorflow as tf

from dpig_tf2.models import layers


class Generator(layers.Network):
    """U-Net on the embedding, repeated at every pixel, and the pose map.

    Args:
        hidden: base width h; level i has (i + 1) h channels.
        latent: length of the bottleneck code.
        levels: resolution levels.
        rematerialize: compute the levels' activations again in the backward pass; saves memory,
            costs a second forward.
        convolution: form of the convolutions, see `layers.Conv`.

    Call arguments:
        embedding: float32 [B, E], appearance embedding.
        pose_map: float32 [B, H, W, 18] in {-1, +1}; H and W multiples of 2 ** (levels - 1).

    Returns:
        float32 [B, H, W, 3] in [-1, 1] units, unbounded (no activation).

    Source: paper section 3.1; the decoder's shape follows the released checkpoints.
    """

    def __init__(
        self,
        hidden: int,
        latent: int,
        levels: int = 5,
        rematerialize: bool = False,
        convolution: str = "direct",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.latent = latent
        self.levels = levels
        self.rematerialize = rematerialize
        self.convolution = convolution
        self.input_conv = layers.EmbeddingMapConv(hidden, name="input_conv")
        self.pyramid = layers.ConvPyramid(
            hidden, levels, rematerialize, convolution, name="pyramid"
        )
        self.latent_dense = keras.layers.Dense(latent, name="latent_dense")
        # The first decoder level joins h bottleneck channels with the coarsest skip, the others
        # join two equal halves.
        joined = [hidden * (levels + 1)] + [2 * hidden * (levels - i) for i in range(1, levels)]
        kinds = [layers.ResidualConv] + [layers.UpsampledResidualConv] * (levels - 1)
        self.residuals = [
            kind(channels, convolution, name=f"decoder_residual_{i}")
            for i, (kind, channels) in enumerate(zip(kinds, joined, strict=True))
        ]
        self.ups = [
            keras.layers.Conv2D(hidden * (levels - 1 - i), 1, activation="relu", name=f"up_{i}")
            for i in range(levels - 1)
        ]
        self.output_conv = layers.conv3x3(3, convolution, "output_conv", activation=None)

    def build(self, embedding_shape, pose_map_shape):
        rows, columns = (size // 2 ** (self.levels - 1) for size in pose_map_shape[1:3])
        self.bottom = (rows, columns, self.hidden)
        self.bottom_dense = keras.layers.Dense(rows * columns * self.hidden, name="bottom_dense")

    def call(self, embedding, pose_map):
        skips = self.encode(embedding, pose_map)
        return self.decode(self.bottleneck(skips), skips)

    def encode(self, embedding, pose_map):
        """Skip features of every level, finest first."""
        return self.pyramid(self.input_conv(embedding, pose_map))

    def bottleneck(self, skips):
        """Bottleneck code, [B, latent]."""
        coarsest = skips[-1]
        size = coarsest.shape[1] * coarsest.shape[2] * coarsest.shape[3]
        return self.latent_dense(tf.reshape(coarsest, [-1, size]))

    def decode(self, code, skips):
        """Image from the bottleneck code and the skips."""
        x = tf.reshape(self.bottom_dense(code), [-1, *self.bottom])
        for i, residual in enumerate(self.residuals):
            level = functools.partial(self._decoder_level, i)
            again = self.rematerialize and residual.built
            x = layers.run_level(level, x, skips[-1 - i], rematerialize=again)
        return tf.cast(self.output_conv(x), tf.float32)

    def _decoder_level(self, level, x, skip):
        if not level:
            return self.residuals[0](tf.concat([x, skip], axis=-1))
        # A 1x1 convolution commutes with nearest-neighbour upsampling, so it runs on the small
        # map: a quarter of the work, the same numbers.
        return self.residuals[level](self.ups[level - 1](x), skip)
