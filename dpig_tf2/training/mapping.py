"""Stage II: mapping networks from Gaussian noise to embeddings, against embedding critics."""

import functools
import itertools

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models.layers import Network
from dpig_tf2.training import losses, optimizers
from dpig_tf2.training.trainer import StageTrainer, split_updates

_PENALTY_NOISE = 500  # purpose of the first update's random numbers; those of its noise are from 0


class MappingTrainer(StageTrainer):
    """Teaches one mapping network per factor to imitate the embeddings of real images.

    For each factor in turn: one mapping update, then `critic_updates` critic updates, every update
    on embeddings and noise of its own. The stage-I encoder is frozen: its embeddings are computed
    once, before training, and are the data of this trainer.

    Batch: {"embedding": {factor: float32 [U * B, E]}} with U = `updates_per_step`, cut in the order
    of the updates; optionally {"noise": {factor: float32 [U * B, E]}}, already scaled, in place of
    drawn noise.

    Source: paper section 3.2. The released critics are Wasserstein critics with clipped weights;
    the release clips the critics of both factors after every update of either.
    """

    def __init__(self, config: Config, stage: str, networks: dict[str, Network]):
        super().__init__(config, stage, networks)
        self.objective = losses.OBJECTIVES[self.settings.objective]
        for factor in self.factors:
            self.add_optimizer(f"{factor}_mapping", [f"{factor}_mapping"])
            self.add_optimizer(f"{factor}_critic", [f"{factor}_critic"], adversary=True)

    def update(self, batch) -> dict[str, tf.Tensor]:
        pieces = enumerate(split_updates(batch, self.updates_per_step))
        logs = {}
        for factor in self.factors:
            index, piece = next(pieces)
            noise = self._noise(factor, piece, index)
            update = functools.partial(self.update_mapping, factor, noise)
            logs[f"loss/{factor}_mapping"] = self.unless_first_step(update)
            for index, piece in itertools.islice(pieces, self.settings.critic_updates):
                noise = self._noise(factor, piece, index)
                logs |= self.update_critic(factor, piece["embedding"][factor], noise, index)
        return logs

    def update_mapping(self, factor, noise) -> tf.Tensor:
        """One update of a mapping network: toward a higher critic's score of mapped noise."""
        mapping, critic = self._networks(factor)
        with tf.GradientTape() as tape:
            loss = self.objective.generator(critic(mapping(noise)))
        self.optimized[f"{factor}_mapping"].minimize(tape, loss)
        return loss

    def update_critic(self, factor, real, noise, index=0) -> dict[str, tf.Tensor]:
        """One update of a critic: toward telling real embeddings from mapped noise."""
        mapping, critic = self._networks(factor)
        fake = tf.stop_gradient(mapping(noise))
        with tf.GradientTape() as tape:
            loss = self.objective.discriminator_loss(critic(real), [critic(fake)])
            logs = {f"loss/{factor}_critic": loss}
            if self.settings.objective == "wgan-gp":
                mix = self.uniform([tf.shape(real)[0]], _PENALTY_NOISE + index)
                penalty = losses.gradient_penalty(critic, real, fake, mix)
                logs[f"loss/{factor}_gradient_penalty"] = penalty
                loss += self.settings.penalty_weight * penalty
        self.optimized[f"{factor}_critic"].minimize(tape, loss)
        if self.settings.objective == "wgan":
            for name, optimized in self.optimized.items():
                if name.endswith("_critic"):
                    optimizers.clip_weights(optimized.variables, self.settings.clip)
        return logs

    def _networks(self, factor):
        return self.networks[f"{factor}_mapping"], self.networks[f"{factor}_critic"]

    def _noise(self, factor, batch, index):
        if "noise" in batch:
            return batch["noise"][factor]
        shape = tf.shape(batch["embedding"][factor])
        return self.normal(shape, index, self.config.model.noise_scale)
