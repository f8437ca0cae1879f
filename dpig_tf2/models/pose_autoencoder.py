"""Pose autoencoder over normalized keypoints."""

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS


@layers.serializable
class PoseEncoder(layers.Network):
    """Normalized keypoints -> pose embedding.

    Args:
        hidden: units of the dense layers.
        embedding: length of the pose embedding.
        execution: how it computes.

    Call argument: float32 [B, 18, 3], coordinates in [-1, 1] units, visibility {0, 1}.
    Returns: float32 [B, embedding].
    Source: paper section 3.1, pose branch.
    """

    def __init__(self, hidden: int, embedding: int, execution: Execution = Execution(), **kwargs):
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.hidden = hidden
        self.embedding = embedding
        self.trunk = layers.DenseTrunk(hidden, execution=execution, name="trunk")
        self.output_dense = keras.layers.Dense(embedding, dtype=self.dtype_policy, name="output")

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "embedding": self.embedding}

    def call(self, keypoints):
        flat = tf.reshape(keypoints, [-1, NUM_KEYPOINTS * 3])
        return tf.cast(self.output_dense(self.trunk(flat)), tf.float32)


@layers.serializable
class PoseDecoder(layers.Network):
    """Pose embedding -> normalized keypoints.

    Args:
        hidden: units of the dense layers.
        execution: how it computes.

    Call argument: float32 [B, embedding].
    Returns: float32 [B, 18, 3]; coordinates in [-1, 1] units, unbounded; visibility in {0, 1},
    rounded from a probability with a straight-through gradient.
    Source: paper section 3.1, pose branch.
    """

    def __init__(self, hidden: int, execution: Execution = Execution(), **kwargs):
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.hidden = hidden
        # The first layer is linear, unlike the encoder's: as released.
        self.trunk = layers.DenseTrunk(
            hidden, activate_first=False, execution=execution, name="trunk"
        )
        self.coordinates_dense = keras.layers.Dense(
            2 * NUM_KEYPOINTS, dtype=self.dtype_policy, name="coordinates"
        )
        self.visibility_dense = keras.layers.Dense(
            NUM_KEYPOINTS, activation="sigmoid", dtype=self.dtype_policy, name="visibility"
        )

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden}

    def call(self, embedding):
        coordinates, probability = self.decode(embedding)
        visibility = probability + tf.stop_gradient(tf.round(probability) - probability)
        return tf.concat([coordinates, visibility[..., None]], axis=-1)

    def decode(self, embedding) -> tuple[tf.Tensor, tf.Tensor]:
        """Coordinates [B, 18, 2] and visibility probabilities [B, 18], both float32."""
        features = self.trunk(embedding)
        coordinates = tf.cast(self.coordinates_dense(features), tf.float32)
        probability = tf.cast(self.visibility_dense(features), tf.float32)
        return tf.reshape(coordinates, [-1, NUM_KEYPOINTS, 2]), probability
