"""Stage II of the modern recipe: mapping networks as flows from noise to codes."""

import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models.layers import Network
from dpig_tf2.training import losses
from dpig_tf2.training.trainer import StageTrainer

_NOISE, _TIME = 0, 50  # purposes of random numbers for the first factor; the others count on


class FlowMappingTrainer(StageTrainer):
    """Teaches one flow per factor to lead Gaussian noise to the codes of real images.

    The velocity at a point between noise and code, at the share t of the way, shall be the mean of
    code - noise over all pairs that pass there: a regression, without an adversary.

    Batch: {"embedding": {factor: float32 [B, E]}}, codes of the frozen stage-I encoders.

    Source: Lipman et al., "Flow Matching for Generative Modeling", ICLR 2023.
    """

    def __init__(self, config: Config, stage: str, networks: dict[str, Network]):
        super().__init__(config, stage, networks)
        for factor in self.factors:
            name = f"{factor}_mapping"
            self.add_optimizer(name, [name], by_adam=["output"])
        self.keep_averages()

    def update(self, batch) -> dict[str, tf.Tensor]:
        logs = {}
        for i, factor in enumerate(self.factors):
            flow = self.networks[f"{factor}_mapping"]
            codes = flow.normalize(batch["embedding"][factor])
            noise = self.normal(tf.shape(codes), _NOISE + i, 1.0)
            time = self.uniform(tf.shape(codes)[:1], _TIME + i)
            between = noise + time[:, None] * (codes - noise)
            with tf.GradientTape() as tape:
                loss = losses.squared_error(flow.velocity(between, time), codes - noise)
            self.optimized[f"{factor}_mapping"].minimize(tape, loss)
            logs[f"loss/{factor}_mapping"] = loss
        self.move_averages(self.config.recipe.weight_average)
        return logs

    def adapt(self, arrays):
        for factor in self.factors:
            self.networks[f"{factor}_mapping"].adapt(arrays["embedding"][factor])
