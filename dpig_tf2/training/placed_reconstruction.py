"""Stage I, image, of the placed architecture: reconstruction within and across photos."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models import placed, texture
from dpig_tf2.models.layers import Network
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.anchors import BodyMaps
from dpig_tf2.ops.images import to_network_range
from dpig_tf2.training import losses
from dpig_tf2.training.trainer import StageTrainer


class PlacedReconstructionTrainer(StageTrainer):
    """Learns to reconstruct a photo from itself, and from other photos that share its factors.

    Half of what is drawn is the source photo from its own codes. The other half is the target photo
    from the source's foreground, for both show one person, and the background of a third photo of
    the target's scene; photos of real persons have no such third, and the target itself takes its
    place. What the answer's pose changes is thereby asked of the pose alone. Without
    `Recipe.cross_answers` the other half is the target photo from its own codes.

    Without a third photo every scene is that of the answer itself, whose code could tell who stands
    before it. So the answer teaches nothing of what is behind the person: only figures are drawn
    there, from the codes of the body.

    Batch: {"source": person, "target": person} and, with known scenes, "scene": person; a person as
    for `ReconstructionTrainer`.
    """

    def __init__(self, config: Config, networks: dict[str, Network]):
        super().__init__(config, "reconstruction", networks)
        self.recipe = config.recipe
        self.person_model = PersonModel(config.model, networks)
        self.encoder = networks["appearance_encoder"]
        self.generator = networks["generator"]
        self.add_optimizer(
            "generator",
            ("appearance_encoder", "generator"),
            by_adam=("output", "position"),  # what comes in or out as it is, not through features
        )
        self.keep_averages()

    def update(self, batch) -> dict[str, tf.Tensor]:
        source, target = batch["source"], batch["target"]
        has_scene = "scene" in batch
        scene = batch["scene"] if has_scene else target
        answer = to_network_range(tf.concat([source["image"], target["image"]], axis=0))
        keypoints = tf.concat([source["keypoints"], target["keypoints"]], axis=0)
        masks = [tf.cast(p["body_mask"], tf.float32) for p in (source, target)]
        with tf.GradientTape() as tape:
            codes = self._codes(source, target, scene)
            figure, around = self.generator.layers_of(codes, keypoints)
            mask = tf.concat(masks, axis=0)
            behind = around if has_scene else tf.where(mask > 0, tf.stop_gradient(around), around)
            drawn = placed.composed(figure, behind)
            loss, logs = self._loss(drawn, around, answer, mask)
            if self.config.model.texels:
                logs["loss/texture"] = self._texture_loss(codes, keypoints, answer, mask)
                loss += self.recipe.texture_weight * logs["loss/texture"]
        self.optimized["generator"].minimize(tape, loss)
        self.move_averages(self.recipe.weight_average)
        if not self.recipe.cross_answers:
            return logs | {"error/reconstruction": losses.absolute_error(drawn, answer)}
        half = tf.shape(source["image"])[0]
        logs["error/reconstruction"] = losses.absolute_error(drawn[:half], answer[:half])
        logs["error/transfer"] = losses.absolute_error(drawn[half:], answer[half:])
        return logs

    def _codes(self, source, target, scene):
        """Embeddings of the sources, then those that the targets are to be drawn from."""
        own = self.person_model.encode_person(source)
        if not self.recipe.cross_answers:
            return tf.concat([own, self.person_model.encode_person(target)], axis=0)
        mask = tf.cast(scene["body_mask"], tf.float32)
        other = self.encoder.encode_scene(to_network_range(scene["image"]), mask)
        foreground = self.person_model.split_appearance(own)["foreground"]
        return tf.concat([own, tf.concat([foreground, other], axis=-1)], axis=0)

    def _loss(self, drawn, around, answer, mask):
        recipe = self.recipe
        logs = {
            "loss/reconstruction": losses.weighted_absolute_error(
                drawn, answer, 1.0 + recipe.person_weight * mask
            ),
            "loss/scene": losses.weighted_absolute_error(around, answer, 1.0 - mask),
            "loss/structure": losses.structural_dissimilarity(drawn, answer),
        }
        loss = (
            logs["loss/reconstruction"]
            + recipe.scene_weight * logs["loss/scene"]
            + recipe.structure_weight * logs["loss/structure"]
        )
        return loss, logs

    def _texture_loss(self, codes, keypoints, answer, mask):
        """Squared error of the colors that codes give to texels, where the answer shows them."""
        body = BodyMaps(keypoints, *answer.shape[1:3], with_texels=True)
        colors, seen = texture.read(answer, mask, body)
        foreground = self.person_model.split_appearance(codes)["foreground"]
        return losses.weighted_squared_error(self.generator.texture(foreground), colors, seen)
