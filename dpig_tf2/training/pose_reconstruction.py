"""Stage I, pose: the keypoint autoencoder."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models.layers import Network
from dpig_tf2.ops import replicas
from dpig_tf2.ops.keypoints import normalize
from dpig_tf2.training import losses
from dpig_tf2.training.trainer import StageTrainer


class PoseReconstructionTrainer(StageTrainer):
    """Learns to reconstruct keypoints through the pose embedding.

    loss = reconstruction_weight * mean squared error over the 54 normalized values, visibility
    rounded with a straight-through gradient.

    Sampled codes fall between those of real poses. Two options make the poses decoded there look
    real. Without `pose_learns_missing` the coordinates of missing keypoints have no error, so that
    a keypoint whose visibility is uncertain is not drawn toward (0, 0), which stands for
    "missing". With `code_noise` the decoder is trained on the surroundings of every code.

    Batch: {"keypoints": float32 [B, 18, 3], pixels}.
    Source: paper section 3.1, pose branch; the two options are not in the paper.
    """

    def __init__(self, config: Config, networks: dict[str, Network]):
        super().__init__(config, "pose", networks)
        self.encoder, self.decoder = networks["pose_encoder"], networks["pose_decoder"]
        self.add_optimizer(
            "pose",
            ("pose_encoder", "pose_decoder"),
            by_adam=("output", "coordinates", "visibility"),
        )

    def update(self, batch) -> dict[str, tf.Tensor]:
        model = self.config.model
        keypoints = normalize(batch["keypoints"], model.height, model.width)
        with tf.GradientTape() as tape:
            decoded = self.decoder(self._with_noise(self.encoder(keypoints)))
            error = self._error(decoded, keypoints)
            loss = self.settings.reconstruction_weight * error
        self.optimized["pose"].minimize(tape, loss)
        return {"loss/reconstruction": error, "accuracy/visibility": _accuracy(decoded, keypoints)}

    def _with_noise(self, code):
        if not self.settings.code_noise:
            return code
        # Relative to the codes' own deviation: the encoder cannot escape the noise by larger codes.
        _, variance = replicas.moments(code, [0])
        noise = self.normal(tf.shape(code), 0, self.settings.code_noise)
        return code + noise * tf.stop_gradient(tf.sqrt(variance))

    def _error(self, decoded, keypoints):
        if self.config.model.pose_learns_missing:
            return losses.squared_error(decoded, keypoints)
        visible = keypoints[..., 2:]
        weights = tf.concat([visible, visible, tf.ones_like(visible)], axis=-1)
        return losses.squared_error(decoded * weights, keypoints * weights)


def _accuracy(decoded, keypoints):
    """Share of the keypoints whose visibility is right."""
    return tf.reduce_mean(tf.cast(decoded[..., 2] == keypoints[..., 2], tf.float32))
