"""What the trainers of all stages share: optimizers, step counter, seeded noise, state."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.config import Config, StageConfig
from dpig_tf2.models import weights
from dpig_tf2.models.layers import Network
from dpig_tf2.models.mapping_network import NOISE_ALGORITHM, draw_noise
from dpig_tf2.ops import replicas
from dpig_tf2.training import optimizers


@dataclasses.dataclass(frozen=True)
class OptimizedVariables:
    """Variables, the optimizer that updates them alone, and its initial learning rate."""

    optimizer: keras.optimizers.Optimizer
    variables: list
    learning_rate: float

    def minimize(self, tape: tf.GradientTape, loss) -> None:
        """One update down the gradient of `loss`, which the tape has recorded."""
        optimizers.apply_gradients(self.optimizer, tape, loss, self.variables)


class StageTrainer(keras.Model):
    """Base of the trainers.

    Subclasses call `add_optimizer` and implement `update(batch) -> logs`. A step makes several
    updates, each on a batch of its own: `train_step` takes `updates_per_step` batches of the
    stage's batch size, concatenated along the first axis. `keras.Model.fit` and a loop of one's own
    may both call it.

    Args:
        config: the run's configuration.
        stage: name of the stage.
        networks: {name: network}, the networks that this stage trains.
    """

    def __init__(self, config: Config, stage: str, networks: dict[str, Network], **kwargs):
        super().__init__(name=f"{stage}_trainer", **kwargs)
        self.config = config
        self.stage = stage
        self.settings = config.stage(stage)
        self.factors = config.model.mapped_factors(stage)
        # Whether learning rates are those of `config.Recipe`, not halved now and then.
        self.follows_recipe = config.follows_recipe(stage)
        self.updates_per_step = config.updates_per_step(stage)
        self.networks = networks
        self.optimized: dict[str, OptimizedVariables] = {}
        self.step = keras.Variable(0, dtype="int64", trainable=False, name="step")
        # Of the schedule of learning rates, which may change while a compiled step is in use.
        self._steps = keras.Variable(self.settings.steps, dtype="int64", trainable=False)
        self._halve_every = keras.Variable(
            self.settings.halve_every, dtype="int64", trainable=False
        )
        self._averaged: list[tuple[keras.Variable, keras.Variable]] = []

    def add_optimizer(
        self,
        name: str,
        networks,
        adversary: bool = False,
        by_adam: Sequence[str] = (),
    ) -> None:
        """Creates `self.optimized[name]`: all trainable variables of some networks.

        Args:
            name: prefix of the optimizer's variables in checkpoints.
            networks: names in `self.networks`.
            adversary: take the learning rate of discriminators and critics.
            by_adam: patterns of variable paths that Muon leaves to Adam.
        """
        settings = self.settings
        rate = settings.adversary_learning_rate if adversary else settings.learning_rate
        variables = [v for n in networks for v in self.networks[n].trainable_variables]
        optimizer = optimizers.build_optimizer(
            settings.objective,
            rate,
            variables,
            f"{name}_optimizer",
            # bfloat16 reaches as far as float32; only float16 gradients under- and overflow.
            loss_scaling=self.networks[networks[0]].compute_dtype == "float16",
            betas=(0.9, 0.99) if self.follows_recipe else (0.5, 0.999),
            by_adam=by_adam if settings.optimizer == "muon" else None,
        )
        self.optimized[name] = OptimizedVariables(optimizer, variables, rate)
        self.set_learning_rates()  # a first step at the full rate would undo a warm-up

    def keep_averages(self) -> None:
        """Creates a moving average of every variable that has an optimizer; see `move_averages`."""
        variables = [v for optimized in self.optimized.values() for v in optimized.variables]
        self._averaged = list(zip(weights.averages_of(variables), variables, strict=True))

    @property
    def keeps_averages(self) -> bool:
        return bool(self._averaged)

    def move_averages(self, decay: float) -> None:
        """Moves the averages toward their variables: by 1 - decay, and faster in early steps."""
        step = tf.cast(self.step, tf.float32)
        share = 1.0 - tf.minimum(decay, (1.0 + step) / (10.0 + step))
        for average, variable in self._averaged:
            average.assign_sub(share * (average - variable))

    def shorten(self, settings: StageConfig) -> None:
        """From now on the learning rates follow the steps and the halvings of other settings."""
        self._steps.assign(settings.steps)
        self._halve_every.assign(settings.halve_every)
        self.set_learning_rates()

    def start_from(self, arrays: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
        """Weights of another run where path and shape agree; optimizers stay new.

        Args:
            arrays: {path: value} of its networks.

        Returns:
            {network: paths that were not found}.
        """
        left = {
            name: weights.assign_matching(network.variables, arrays)
            for name, network in self.networks.items()
        }
        for average, variable in self._averaged:
            average.assign(variable)
        return left

    def adapt(self, arrays: Mapping) -> None:
        """Takes what must be known of the whole data before the first step; by default nothing.

        Args:
            arrays: all that the stage trains on, nested as its batches are.
        """

    def state_variables(self) -> list:
        """Every variable that a checkpoint of this stage holds."""
        variables = [self.step, *(average for average, _ in self._averaged)]
        for network in self.networks.values():
            variables += network.variables
        for optimized in self.optimized.values():
            variables += optimizers.state_variables(optimized.optimizer)
        return variables + self._loss_scale_variables()

    def restore(self, arrays: Mapping[str, np.ndarray], source: str) -> None:
        """Sets the state from a checkpoint, which may come from training in another precision.

        Learning rates are those of the configuration, which may be another than the checkpoint's.

        Args:
            arrays: {path: value}.
            source: what they were read from, for messages.

        Raises:
            WeightsError: if they do not fit; nothing is set then.
        """
        # A checkpoint written in another precision holds no loss scales: they start anew.
        absent = {v.path for v in self._loss_scale_variables() if v.path not in arrays}
        weights.assign([v for v in self.state_variables() if v.path not in absent], arrays, source)
        self.set_learning_rates()

    def _loss_scale_variables(self):
        found = (optimizers.loss_scale_variables(o.optimizer) for o in self.optimized.values())
        return [variable for variables in found for variable in variables]

    # Without AutoGraph: no trainer has Python control flow on tensors, and looking for some takes a
    # third of the time in which a step is traced.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch) -> dict[str, tf.Tensor]:
        """One step of the stage's algorithm.

        Returns:
            {"kind/name": scalar}; losses are unweighted, and those before the update.
        """
        logs = self.update(batch)
        for name, optimized in self.optimized.items():
            for what, value in optimizers.scalars(optimized.optimizer).items():
                logs[f"{what}/{name}"] = value
        self.step.assign_add(1)
        self.set_learning_rates()
        return logs

    def set_learning_rates(self) -> None:
        """Sets those of the next step, which are functions of the configured ones and the step."""
        recipe = self.config.recipe
        for optimized in self.optimized.values():
            if self.follows_recipe:
                rate = optimizers.trapezoid(
                    optimized.learning_rate,
                    self.step,
                    self._steps,
                    recipe.warmup_steps,
                    recipe.decay_share,
                )
            else:
                rate = optimizers.halved(optimized.learning_rate, self.step, self._halve_every)
            optimized.optimizer.learning_rate.assign(rate)

    def update(self, batch) -> dict[str, tf.Tensor]:
        """The updates of one step, each by one of `optimized`; returns what is logged."""
        raise NotImplementedError

    def unless_first_step(self, update, shape=()) -> tf.Tensor:
        """`update() -> float32 [shape]`; with `match_release` zeros at step 0, and no update.

        The release updates generators and mapping networks only from the second step on.
        """
        if not self.config.match_release:
            return update()
        return tf.cond(self.step > 0, update, lambda: tf.zeros(shape))

    def noise_seed(self, purpose: int) -> tf.Tensor:
        """Seed [2] for stateless random numbers: a function of run seed, step and purpose."""
        return tf.stack([self.config.seed * 1000 + purpose, tf.cast(self.step, tf.int32)])

    def normal(self, shape, purpose: int, scale: float) -> tf.Tensor:
        """Noise N(0, scale ** 2), the same after a resume."""
        seed = self.noise_seed(purpose)
        return replicas.own_rows(lambda shape: draw_noise(shape, seed, scale), shape)

    def uniform(self, shape, purpose: int) -> tf.Tensor:
        seed = self.noise_seed(purpose)
        return replicas.own_rows(
            lambda shape: tf.random.stateless_uniform(shape, seed, alg=NOISE_ALGORITHM), shape
        )


def split_updates(batch, updates: int) -> list:
    """Cuts a nested batch [updates * B, ...] into `updates` batches [B, ...]."""
    pieces = [tf.split(tensor, updates) for tensor in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, [p[k] for p in pieces]) for k in range(updates)]
