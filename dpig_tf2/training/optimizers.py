"""Optimizers as the released code configured them; the one place that applies gradients."""

import keras
import tensorflow as tf

from dpig_tf2.ops import replicas


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam with an update that passes over memory once, by the kernel that the release ran.

    The kernel computes 1 - beta2 in float32, 1.3e-5 off 0.001, which every second moment shows.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        count = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(self.beta_1, count),
            beta2_power=tf.pow(self.beta_2, count),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable):
    """What TensorFlow's kernels know a variable by; under a strategy, the one of this replica."""
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
            velocity.assign(tf.ones_like(velocity))


def build_optimizer(
    objective: str, learning_rate: float, variables, name: str, loss_scaling: bool = False
) -> keras.optimizers.Optimizer:
    """An optimizer with its slots created: RMSProp under wgan, Adam otherwise.

    Weight clipping needs an optimizer without momentum (Arjovsky et al. 2017, section 4). Slots are
    created here because an optimizer first used inside a compiled step cannot create them there.

    Args:
        objective: adversarial objective that the variables' player pursues.
        learning_rate: initial rate.
        variables: the player's trainable variables.
        name: prefix of the slots' paths in checkpoints.
        loss_scaling: keep float16 gradients in range: they are computed for a multiple of the loss.
            Where they overflow, the update is left out and the multiple halved.
    """
    if objective == "wgan":
        optimizer = ReleaseRMSprop(learning_rate, name)
    else:
        optimizer = FusedAdam(learning_rate, beta_1=0.5, beta_2=0.999, epsilon=1e-8, name=name)
    optimizer.build(variables)
    if loss_scaling:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_loss_scale")
        optimizer.build(variables)
    return optimizer


def state_variables(optimizer) -> list:
    """Slots, rate and count of an optimizer, the same with and without a loss scale."""
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
    # The scale, 1 without loss scaling, enters as the gradient of the loss: the tape need not have
    # seen it, and the loss that is logged stays as it is.
    # Replicas' gradients are summed, and each replica's loss is a mean over its own examples.
    scale = optimizer.scale_loss(tf.ones_like(loss) / replicas.count())
    optimizer.apply(tape.gradient(loss, variables, output_gradients=scale), variables)


def clip_weights(variables, bound: float) -> None:
    """Clips every weight and bias to [-bound, bound] (Arjovsky et al. 2017, algorithm 1)."""
    for variable in variables:
        variable.assign(tf.clip_by_value(variable, -bound, bound))


def halve(learning_rate: keras.Variable, step, every: int) -> None:
    """Halves the rate if the number of steps done, at least one, is a multiple of `every`.

    The rate is state, not a function of the step, so an imported rate goes on from its value.
    """
    learning_rate.assign(
        tf.where(step % every == 0, learning_rate * 0.5, tf.convert_to_tensor(learning_rate))
    )
