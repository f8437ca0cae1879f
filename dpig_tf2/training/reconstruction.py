"""Stage I, image: appearance encoder and generator against the image discriminator."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models.layers import Network
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.images import to_network_range
from dpig_tf2.training import losses, optimizers
from dpig_tf2.training.trainer import StageTrainer, split_updates

_PENALTY_NOISE = 1


class ReconstructionTrainer(StageTrainer):
    """Learns to reconstruct a photo from its own appearance embedding and pose map.

    generator loss = adversarial + reconstruction_weight * mean |G - x|.

    Two update orders. By default the discriminator is updated first, then the generator, on one
    batch. The discriminator's update does not change the generator, so that one forward pass of the
    generator serves both. With `match_release` the generator is updated first (but not at step 0),
    then the discriminator, each with a batch and a forward pass of its own.

    Batch: {"source": person, "target": person}; `target` only for the triplet pairing. person:
    image uint8 [B, H, W, 3], keypoints [B, 18, 3] pixels, body_mask [B, H, W, 1] in {0, 1},
    part_boxes [B, 7, 4] pixels, part_visibility [B, 7].

    Source: paper section 3.1; order and weights as released.
    """

    NETWORKS = ("appearance_encoder", "generator", "discriminator")

    def __init__(self, config: Config, networks: dict[str, Network]):
        super().__init__(config, "reconstruction", networks)
        self.discriminator = networks["discriminator"]
        self.person_model = PersonModel(config.model, networks)
        self.objective = losses.OBJECTIVES[self.settings.objective]
        self.add_optimizer("generator", self.NETWORKS[:2])
        self.add_optimizer("discriminator", self.NETWORKS[2:], adversary=True)

    def update(self, batch) -> dict[str, tf.Tensor]:
        if self.config.match_release:
            return self._release_order(batch)
        return self._shared_forward(batch)

    def reconstruct(self, person) -> tf.Tensor:
        """Generator output for a person's own appearance and pose, float32 [B, H, W, 3]."""
        embedding = self.person_model.encode_person(person)
        return self.person_model.generate(embedding, person["keypoints"])

    def _shared_forward(self, batch):
        real = to_network_range(batch["source"]["image"])
        with tf.GradientTape() as tape:
            fake = self.reconstruct(batch["source"])
            with tape.stop_recording():
                logs = self.update_discriminator(real, fake, batch)
            loss, generator_logs = self.generator_loss(real, fake, batch)
        self.optimized["generator"].minimize(tape, loss)
        return logs | generator_logs

    def _release_order(self, batch):
        generator_batch, discriminator_batch = split_updates(batch, 2)
        names = ("loss/reconstruction", "loss/generator", "loss/masked_reconstruction")

        def update_generator():
            real = to_network_range(generator_batch["source"]["image"])
            with tf.GradientTape() as tape:
                fake = self.reconstruct(generator_batch["source"])
                loss, logs = self.generator_loss(real, fake, generator_batch)
            self.optimized["generator"].minimize(tape, loss)
            return tf.stack([logs[name] for name in names])

        values = self.unless_first_step(update_generator, [len(names)])
        real = to_network_range(discriminator_batch["source"]["image"])
        fake = self.reconstruct(discriminator_batch["source"])
        logs = self.update_discriminator(real, fake, discriminator_batch)
        return logs | dict(zip(names, tf.unstack(values), strict=True))

    def generator_loss(self, real, fake, batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Weighted loss, and its terms unweighted for the logs."""
        # The real images enter this loss only if the discriminator's batch norm sees them together
        # with the fake ones; otherwise their logits are pruned from the graph.
        _, fake_logits = self.logits(real, [fake, *self._other_pose(batch)])
        adversarial = self.objective.generator(fake_logits[0])
        reconstruction = losses.absolute_error(fake, real)
        mask = tf.cast(batch["source"]["body_mask"], tf.float32)
        logs = {
            "loss/reconstruction": reconstruction,
            "loss/generator": adversarial,
            "loss/masked_reconstruction": losses.absolute_error(fake * mask, real * mask),
        }
        return adversarial + self.settings.reconstruction_weight * reconstruction, logs

    def update_discriminator(self, real, fake, batch) -> dict[str, tf.Tensor]:
        """One discriminator update; the fake image is taken as a constant."""
        fakes = [tf.stop_gradient(fake), *self._other_pose(batch)]
        logs = {}
        with tf.GradientTape() as tape:
            loss = self.objective.discriminator_loss(*self.logits(real, fakes))
            logs["loss/discriminator"] = loss
            if self.settings.objective == "wgan-gp":
                mix = self.uniform([tf.shape(real)[0]], _PENALTY_NOISE)
                penalty = losses.gradient_penalty(self.discriminator, real, fakes[0], mix)
                logs["loss/gradient_penalty"] = penalty
                loss += self.settings.penalty_weight * penalty
        optimized = self.optimized["discriminator"]
        optimized.minimize(tape, loss)
        if self.settings.objective == "wgan":
            optimizers.clip_weights(optimized.variables, self.settings.clip)
        return logs

    def logits(self, real, fakes):
        """Discriminator logits of the real images and of each list entry of fakes.

        Batch norm uses the statistics of its batch: of real and fake images together with
        `joint_discriminator` (DeepFashion), of each kind apart without (Market-1501).
        """
        if not self.settings.joint_discriminator:
            return self.discriminator(real), [self.discriminator(fake) for fake in fakes]
        logits = self.discriminator(tf.concat([real, *fakes], axis=0))
        real_logits, *fake_logits = tf.split(logits, 1 + len(fakes))
        return real_logits, fake_logits

    def _other_pose(self, batch):
        """The target photo of the same person, a second fake in the triplet pairing."""
        if self.settings.pairing == "pair":
            return []
        return [to_network_range(batch["target"]["image"])]
