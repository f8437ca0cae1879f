"""Stage I, pose: the keypoint autoencoder."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.ops.keypoints import normalize
from dpig_tf2.training import losses
from dpig_tf2.training.trainer import StageTrainer


class PoseReconstructionTrainer(StageTrainer):
    """Learns to reconstruct keypoints through the pose embedding.

    loss = reconstruction_weight * mean squared error over the 54 normalized values, visibility
    rounded with a straight-through gradient.

    Batch: {"keypoints": float32 [B, 18, 3], pixels}.
    Source: paper section 3.1, pose branch.
    """

    def __init__(self, config: Config, networks: dict):
        super().__init__(config, "pose", networks)
        self.encoder, self.decoder = networks["pose_encoder"], networks["pose_decoder"]
        self.add_player("pose", ("pose_encoder", "pose_decoder"))

    def update(self, batch):
        model = self.config.model
        keypoints = normalize(batch["keypoints"], model.height, model.width)
        with tf.GradientTape() as tape:
            decoded = self.decoder(self.encoder(keypoints))
            error = losses.squared_error(decoded, keypoints)
            loss = self.settings.reconstruction_weight * error
        self.players["pose"].minimize(tape, loss)
        agreement = tf.reduce_mean(tf.cast(decoded[..., 2] == keypoints[..., 2], tf.float32))
        return {"loss/reconstruction": error, "accuracy/visibility": agreement}
