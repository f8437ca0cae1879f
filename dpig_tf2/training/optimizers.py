"""Optimizers as the released code configured them; the one place that applies gradients."""

import re
from collections.abc import Sequence

import keras
import tensorflow as tf

from dpig_tf2.ops import replicas


class FusedAdam(keras.optimizers.Adam):
    """Adam by TensorFlow's fused kernel, as the release ran it: one pass over memory.

    The kernel rounds 1 - beta2 = 0.001 to float32, an error of 1.3e-5, so every second moment
    differs by that much from Keras' own Adam.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        slots = self._momentums[index], self._velocities[index]
        _fused_adam(self, (self.beta_1, self.beta_2), gradient, variable, learning_rate, *slots)


def _fused_adam(optimizer, betas, gradient, variable, learning_rate, momentum, velocity):
    count = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=_handle(variable),
        m=_handle(momentum),
        v=_handle(velocity),
        beta1_power=tf.pow(betas[0], count),
        beta2_power=tf.pow(betas[1], count),
        lr=learning_rate,
        beta1=betas[0],
        beta2=betas[1],
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def _handle(variable):
    """The resource handle of a variable; under a strategy, of this replica's copy."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


class ReleaseRMSprop(keras.optimizers.RMSprop):
    """RMSProp of TensorFlow 1: decay 0.9, epsilon 1e-10 inside the root, accumulator from one.

    Starting the mean square at one instead of zero makes the first steps small.
    """

    def __init__(self, learning_rate, name):
        super().__init__(learning_rate, rho=0.9, momentum=0.0, epsilon=1e-10, name=name)

    def build(self, variables):
        super().build(variables)
        for velocity in self._velocities:
            velocity.assign(tf.ones_like(velocity))  # pyright: ignore[reportAttributeAccessIssue]


class Muon(keras.optimizers.Muon):
    """Keras' Muon, also for kernels of convolutions: [K, K, C, D] counts as a matrix [K K C, D].

    The update of a matrix is its momentum with all singular values near one. Biases, stacks of
    matrices and the variables that `by_adam` names are Adam's.

    Args:
        learning_rate: as Adam's would be: updates are scaled to the size of Adam's.
        by_adam: patterns of variable paths.
        betas: decays of Adam's two averages.
        name: prefix of the slots' paths in checkpoints.

    Source: Jordan et al., "Muon", 2024; the scale of Liu et al., "Muon is Scalable for LLM
    Training", 2025.
    """

    def __init__(self, learning_rate, by_adam, betas, name):
        super().__init__(
            learning_rate,
            adam_beta_1=betas[0],
            adam_beta_2=betas[1],
            adam_weight_decay=None,  # pyright: ignore[reportArgumentType]
            weight_decay=None,  # pyright: ignore[reportArgumentType]
            epsilon=1e-8,
            momentum=0.9,
            exclude_layers=by_adam,
            name=name,
        )

    def _should_use_adamw(self, variable):
        if len(variable.shape) not in (2, 4) or variable.path.endswith("bias"):
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def _adamw_update_step(self, gradient, variable, learning_rate, m, v):
        betas = self.adam_beta_1, self.adam_beta_2
        _fused_adam(self, betas, gradient, variable, learning_rate, m, v)

    def zeropower_via_newtonschulz5(self, x, steps):
        """Keras' iteration without its transposed copies, which take as long as the products."""
        matrix = _matrix(x)
        tall = x.shape[-1] ** 2 < x.shape.num_elements()  # more rows than columns
        matrix /= tf.norm(matrix) + 1e-7
        for _ in range(steps):
            gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
            gram = self.muon_b * gram + self.muon_c * tf.matmul(gram, gram)
            step = tf.matmul(matrix, gram) if tall else tf.matmul(gram, matrix)
            matrix = self.muon_a * matrix + step
        return tf.reshape(matrix, x.shape)

    def lr_adjust(self, x):
        return keras.ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(x):
    return tf.reshape(x, [-1, x.shape[-1]])


def build_optimizer(
    objective: str,
    learning_rate: float,
    variables,
    name: str,
    loss_scaling: bool = False,
    betas: tuple[float, float] = (0.5, 0.999),
    by_adam: Sequence[str] | None = None,
) -> keras.optimizers.Optimizer:
    """An optimizer with its slots created: RMSProp under wgan, Adam otherwise, Muon on demand.

    Weight clipping needs an optimizer without momentum (Arjovsky et al. 2017, section 4). Slots are
    created here because an optimizer first used inside a compiled step cannot create them there.

    Args:
        objective: adversarial objective, one of `config.OBJECTIVES`.
        learning_rate: initial rate.
        variables: what it will update.
        name: prefix of the slots' paths in checkpoints.
        loss_scaling: keep float16 gradients in range: they are computed for a multiple of the loss.
            An update whose gradients overflow is skipped, and the multiple halved.
        betas: decays of Adam's two averages.
        by_adam: patterns of the paths of variables that are Adam's where `Muon` updates the others;
            None: no Muon.
    """
    if by_adam is not None:
        optimizer = Muon(learning_rate, list(by_adam), betas, name)
    elif objective == "wgan":
        optimizer = ReleaseRMSprop(learning_rate, name)
    else:
        optimizer = FusedAdam(
            learning_rate, beta_1=betas[0], beta_2=betas[1], epsilon=1e-8, name=name
        )
    optimizer.build(variables)
    if loss_scaling:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_loss_scale")
        optimizer.build(variables)
    return optimizer


def state_variables(optimizer) -> list:
    """Slots, learning rate and update count of an optimizer, without its loss scale."""
    return getattr(optimizer, "inner_optimizer", optimizer).variables


def loss_scale_variables(optimizer) -> list:
    """Loss scale and the updates since it last changed; empty without one."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return [optimizer.dynamic_scale, optimizer.step_counter]
    return []


def scalars(optimizer) -> dict:
    """What is logged of an optimizer: its learning rate and, where it has one, its loss scale."""
    values = {"learning_rate": tf.convert_to_tensor(optimizer.learning_rate)}
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        values["loss_scale"] = tf.convert_to_tensor(optimizer.dynamic_scale)
    return values


def apply_gradients(optimizer, tape: tf.GradientTape, loss, variables) -> None:
    """One update of `variables` down the gradient of `loss`."""
    # Losses are averaged over the replicas but gradients summed, so these are divided by their
    # number. Division and loss scale (1 without loss scaling) enter as the gradient of the loss,
    # so that the loss itself stays as it is for the logs.
    scale = optimizer.scale_loss(tf.ones_like(loss) / replicas.count())
    optimizer.apply(tape.gradient(loss, variables, output_gradients=scale), variables)


def clip_weights(variables, bound: float) -> None:
    """Clips every weight and bias to [-bound, bound] (Arjovsky et al. 2017, algorithm 1)."""
    for variable in variables:
        variable.assign(tf.clip_by_value(variable, -bound, bound))


def halved(rate: float, step, halve_every) -> tf.Tensor:
    """A learning rate that is halved every so many steps.

    Args:
        rate: of the first step.
        step: int64 scalar, steps done.
        halve_every: int64 scalar, steps.
    """
    return rate * 0.5 ** tf.cast(step // halve_every, tf.float32)


def trapezoid(rate: float, step, steps, warmup_steps: int, decay_share: float) -> tf.Tensor:
    """A learning rate that rises from 0, stays, and falls to 0 over the last steps.

    Args:
        rate: the rate in between.
        step: int64 scalar, steps done.
        steps: int64 scalar, those of the whole training.
        warmup_steps: over which it rises.
        decay_share: last share of `steps`, over which it falls.
    """
    step, steps = tf.cast(step, tf.float32), tf.cast(steps, tf.float32)
    rising = (step + 1.0) / max(warmup_steps, 1)
    falling = (steps - step) / tf.maximum(decay_share * steps, 1.0)
    return rate * tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)
