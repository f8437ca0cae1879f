"""Mapping network: Gaussian noise -> embedding of one factor."""

import keras
import tensorflow as tf

from dpig_tf2.models import layers

# Named, because the default depends on the device.
NOISE_ALGORITHM = "philox"


def draw_noise(shape, seed, scale: float) -> tf.Tensor:
    """Noise that a mapping network takes: float32 of the given shape, N(0, scale ** 2).

    Args:
        shape: [B, embedding].
        seed: int32 [2]; the same seed gives the same numbers.
        scale: standard deviation.
    """
    return tf.random.stateless_normal(shape, seed, alg=NOISE_ALGORITHM) * scale


class MappingNetwork(layers.Network):
    """Maps noise, already scaled, to an embedding of the same length.

    Call argument: float32 [B, embedding], drawn from N(0, noise_scale ** 2).
    Returns: float32 [B, embedding].
    Source: paper section 3.2, embedding sampling.
    """

    def __init__(self, hidden: int, embedding: int, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.embedding = embedding
        self.trunk = layers.DenseTrunk(hidden, name="trunk")
        self.output_dense = keras.layers.Dense(embedding, name="output")

    def call(self, noise):
        return tf.cast(self.output_dense(self.trunk(noise)), tf.float32)
