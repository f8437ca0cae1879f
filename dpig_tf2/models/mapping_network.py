"""Mapping network: Gaussian noise -> embedding of one factor."""

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
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


@layers.serializable
class MappingNetwork(layers.Network):
    """Maps noise, already scaled, to an embedding of the same length.

    Args:
        hidden: units of the dense layers.
        embedding: length of noise and embedding.
        execution: how it computes.

    Call argument: float32 [B, embedding], drawn from N(0, noise_scale ** 2).
    Returns: float32 [B, embedding].
    Source: paper section 3.2, embedding sampling.
    """

    def __init__(self, hidden: int, embedding: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.embedding = embedding
        self.trunk = layers.DenseTrunk(hidden, execution=execution, name="trunk")
        self.output_dense = keras.layers.Dense(embedding, dtype=self.dtype_policy, name="output")

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "embedding": self.embedding}

    def call(self, noise):
        return tf.cast(self.output_dense(self.trunk(noise)), tf.float32)
