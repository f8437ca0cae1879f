"""Stage I, pose: the keypoint autoencoder."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.ops import replicas
from dpig_tf2.ops.keypoints import normalize
from dpig_tf2.training import losses
from dpig_tf2.training.trainer import StageTrainer


class PoseReconstructionTrainer(StageTrainer):
    """Learns to reconstruct keypoints through the pose embedding.

    loss = reconstruction_weight * mean squared error over the 54 normalized values, visibility
    rounded with a straight-through gradient.

    Two options make poses that are decoded between real codes look real, as sampled ones need:
    without `pose_learns_missing` coordinates of missing keypoints have no error, so a keypoint on
    the verge of vanishing does not run to the corner that stands for "missing"; `code_noise` lets
    the decoder see the surroundings of every code.

    Batch: {"keypoints": float32 [B, 18, 3], pixels}.
    Source: paper section 3.1, pose branch; the two options are not in the paper.
    """

    def __init__(self, config: Config, networks: dict):
        super().__init__(config, "pose", networks)
        self.encoder, self.decoder = networks["pose_encoder"], networks["pose_decoder"]
        self.add_player("pose", ("pose_encoder", "pose_decoder"))

    def update(self, batch):
        model = self.config.model
        keypoints = normalize(batch["keypoints"], model.height, model.width)
        with tf.GradientTape() as tape:
            decoded = self.decoder(self._with_noise(self.encoder(keypoints)))
            error = self._error(decoded, keypoints)
            loss = self.settings.reconstruction_weight * error
        self.players["pose"].minimize(tape, loss)
        agreement = tf.reduce_mean(tf.cast(decoded[..., 2] == keypoints[..., 2], tf.float32))
        return {"loss/reconstruction": error, "accuracy/visibility": agreement}

    def _with_noise(self, code):
        if not self.settings.code_noise:
            return code
        # A share of the codes' own spread: the encoder cannot drown the noise by larger codes.
        _, variance = replicas.moments(code, [0])
        noise = self.normal(tf.shape(code), 0, self.settings.code_noise)
        return code + noise * tf.stop_gradient(tf.sqrt(variance))

    def _error(self, decoded, keypoints):
        if self.config.model.pose_learns_missing:
            return losses.squared_error(decoded, keypoints)
        visible = keypoints[..., 2:]
        weights = tf.concat([visible, visible, tf.ones_like(visible)], axis=-1)
        return losses.squared_error(decoded * weights, keypoints * weights)
