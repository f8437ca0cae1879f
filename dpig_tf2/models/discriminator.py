"""The adversaries: a DCGAN discriminator for images, a critic for embeddings."""

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops import replicas

_EPSILON = 1.001e-5  # TensorFlow's fused batch norm raised the requested 1e-5 to this


@layers.serializable
class BatchStatisticsNorm(keras.layers.Layer):
    """Batch normalization that always uses the statistics of the batch at hand.

    Call argument: float [B, H, W, C], and so is the result. In between it computes in float32,
    whatever the precision of the network. The released discriminator never updated or used its
    moving averages, so there are none.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", autocast=False, **kwargs)

    def get_config(self):
        return {"name": self.name, "trainable": self.trainable}

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, x):
        wide = tf.cast(x, tf.float32)
        mean, variance = replicas.moments(wide, axes=[0, 1, 2])
        normalized = tf.nn.batch_normalization(
            wide, mean, variance, self.offset, self.scale, _EPSILON
        )
        return tf.cast(normalized, x.dtype)


@layers.serializable
class Discriminator(layers.Network):
    """Four stride-2 5x5 convolutions, then one logit for each row of `row` features.

    Args:
        hidden: channels of the first layer, doubled in each of the next three.
        row: features per logit. The features of an image are flattened in (channel, row, column)
            order and cut into rows: a 256x256 image gives eight logits at the published 16384.
        execution: how it computes.

    Call argument: float32 [B, H, W, 3] in [-1, 1] units.
    Returns: float32 logits [B * (features per image) / row].
    Source: the released checkpoints; a DCGAN discriminator.
    """

    def __init__(self, hidden: int, row: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.row = row
        self.convs = [
            layers.Conv(
                hidden * 2**i,
                5,
                strides=2,
                kernel_initializer=_uniform(),
                execution=execution,
                name=f"conv_{i + 1}",
            )
            for i in range(4)
        ]
        self.norms = [BatchStatisticsNorm(name=f"norm_{i + 1}") for i in range(1, 4)]
        self.output_dense = keras.layers.Dense(
            1, kernel_initializer=_uniform(), dtype=self.dtype_policy, name="output"
        )

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "row": self.row}

    def call(self, images):
        x = layers.leaky_relu(self.convs[0](images))
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            x = layers.leaky_relu(norm(conv(x)))
        # [B, H, W, C] -> [B, C, H, W] -> rows: the released graph ran channels first.
        rows = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, self.row])
        return tf.cast(self.output_dense(rows)[:, 0], tf.float32)


@layers.serializable
class EmbeddingCritic(layers.Network):
    """Four dense layers and one unbounded score for each embedding.

    Args:
        hidden: units of the dense layers.
        execution: how it computes.

    Call argument: float32 [B, E]. Returns: float32 [B].
    Source: paper section 3.2; Wasserstein critic, not a classifier.
    """

    LAYERS = 4

    def __init__(self, hidden: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.hidden_layers = [
            keras.layers.Dense(
                hidden,
                activation=layers.leaky_relu,
                kernel_initializer="he_uniform",
                dtype=self.dtype_policy,
                name=f"dense_{i}",
            )
            for i in range(self.LAYERS)
        ]
        self.output_dense = keras.layers.Dense(
            1, kernel_initializer="he_uniform", dtype=self.dtype_policy, name="output"
        )

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden}

    def call(self, embedding):
        for layer in self.hidden_layers:
            embedding = layer(embedding)
        return tf.cast(self.output_dense(embedding)[:, 0], tf.float32)


def _uniform():
    """Uniform weights with standard deviation 0.02."""
    bound = 0.02 * 3**0.5
    return keras.initializers.RandomUniform(-bound, bound)
