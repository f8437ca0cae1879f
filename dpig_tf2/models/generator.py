"""Generator: appearance embedding and pose map -> image."""

import functools

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops import convolutions


@layers.serializable
class Generator(layers.Network):
    """U-Net on the embedding, repeated at every pixel, and the pose map.

    Args:
        hidden: base width h; level i has (i + 1) h channels.
        latent: length of the bottleneck code.
        levels: resolution levels.
        execution: how it computes.

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
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.latent = latent
        self.levels = levels
        self.pyramid = layers.ConvPyramid(hidden, levels, execution, name="pyramid")
        self.latent_dense = keras.layers.Dense(latent, dtype=self.dtype_policy, name="latent_dense")
        # The first decoder level joins h bottleneck channels with the coarsest skip, the others
        # join two equal halves.
        joined = [hidden * (levels + 1)] + [2 * hidden * (levels - i) for i in range(1, levels)]
        self.residuals = [
            layers.ResidualConv(channels, execution, name=f"decoder_residual_{i}")
            for i, channels in enumerate(joined)
        ]
        self.ups = [
            layers.Conv(
                hidden * (levels - 1 - i), 1, activation="relu", execution=execution, name=f"up_{i}"
            )
            for i in range(levels - 1)
        ]
        self.output_conv = layers.Conv(3, 3, execution=execution, name="output_conv")

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "latent": self.latent,
            "levels": self.levels,
        }

    def build(self, embedding_shape, pose_map_shape):
        rows, columns = (size // 2 ** (self.levels - 1) for size in pose_map_shape[1:3])
        self.bottom = (rows, columns, self.hidden)
        self.bottom_dense = keras.layers.Dense(
            rows * columns * self.hidden, dtype=self.dtype_policy, name="bottom_dense"
        )
        # Made last, because a seed's initial weights depend on the order in which layers are made.
        self.input_conv = layers.Conv(
            self.hidden, 3, activation="relu", execution=self.execution, name="input_conv"
        )

    def call(self, embedding, pose_map):
        skips = self.encode(embedding, pose_map)
        return self.decode(self.bottleneck(skips), skips)

    def encode(self, embedding, pose_map) -> list[tf.Tensor]:
        """Skip features of every level, finest first."""
        everywhere = convolutions.broadcast(embedding, pose_map, self.execution.implementation)
        return self.pyramid(self.input_conv(convolutions.concat(everywhere, pose_map)))

    def bottleneck(self, skips) -> tf.Tensor:
        """Bottleneck code, [B, latent]."""
        return self.latent_dense(layers.flatten(skips[-1]))

    def decode(self, code, skips) -> tf.Tensor:
        """Image from the bottleneck code and the skips."""
        x = tf.reshape(self.bottom_dense(code), [-1, *self.bottom])
        for i, residual in enumerate(self.residuals):
            level = functools.partial(self._decoder_level, i)
            again = self.execution.rematerialize and residual.built
            x = layers.run_level(level, x, skips[-1 - i], rematerialize=again)
        return tf.cast(self.output_conv(x), tf.float32)

    def _decoder_level(self, level, x, skip):
        if level:
            x = self.ups[level - 1](convolutions.upsample(x, self.execution.implementation))
        return self.residuals[level](convolutions.concat(x, skip))
