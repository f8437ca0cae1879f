import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.training import optimizers


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def _variable(value):
    return keras.Variable(np.asarray(value, np.float32), name="weight")


def _apply(optimizer, variable, gradient):
    optimizer.apply([tf.constant(gradient)], [variable])


def test_rmsprop_follows_hand_worked_steps():
    variable = _variable([1.0])
    optimizer = optimizers.build_optimizer("wgan", 0.1, [variable], "critic_optimizer")
    assert isinstance(optimizer, optimizers.ReleaseRMSprop)
    for gradient, expected in [
        (3.0, 1.0 - 0.1 * 3 / np.sqrt(1.8)),  # mean square 0.9 * 1 + 0.1 * 9
        (1.0, 0.776393 - 0.1 * 1 / np.sqrt(1.72)),  # 0.9 * 1.8 + 0.1
        (-2.0, 0.700144 + 0.1 * 2 / np.sqrt(1.948)),  # 0.9 * 1.72 + 0.4
    ]:
        _apply(optimizer, variable, [gradient])
        _close(variable, [expected])


def test_rmsprop_adds_epsilon_inside_the_root():
    variable = _variable([0.0])
    optimizer = optimizers.ReleaseRMSprop(1.0, "rmsprop")
    optimizer.build([variable])
    optimizer._velocities[0].assign([0.0])
    _apply(optimizer, variable, [1e-6])
    # Outside the root the step would be 3.16: the mean square is 1e-13, far below epsilon.
    _close(variable, [-1e-6 / np.sqrt(1e-13 + 1e-10)])


def test_rmsprop_starts_from_one_and_names_its_slot():
    optimizer = optimizers.build_optimizer("wgan", 0.1, [_variable([[1.0, 2.0]])], "critic")
    slots = {v.path: np.asarray(v) for v in optimizer.variables}
    np.testing.assert_array_equal(slots["critic/weight_velocity"], [[1.0, 1.0]])
    assert set(slots) == {"critic/iteration", "critic/learning_rate", "critic/weight_velocity"}


@pytest.mark.parametrize("objective", ["dcgan", "lsgan", "wgan-gp"])
def test_adam_follows_hand_worked_steps(objective):
    variable = _variable([1.0])
    optimizer = optimizers.build_optimizer(objective, 0.1, [variable], "generator")
    _apply(optimizer, variable, [2.0])  # corrected moments 2 and 4: a whole step
    _close(variable, [0.9])
    slots = {v.path: np.asarray(v) for v in optimizer.variables}  # of a checkpoint
    _close(slots["generator/weight_momentum"], [1.0])
    _close(slots["generator/weight_velocity"], [0.004])
    _apply(optimizer, variable, [-1.0])
    first = (0.5 * 1.0 - 0.5 * 1.0) / (1 - 0.25)  # moments 0.5 m + 0.5 g
    _close(variable, [0.9 - 0.1 * first])
    _apply(optimizer, variable, [1.0])
    first = 0.5 / (1 - 0.125)
    second = (0.999 * (0.999 * 0.004 + 0.001) + 0.001) / (1 - 0.999**3)
    _close(variable, [0.9 - 0.1 * first / np.sqrt(second)])


def test_adam_takes_other_decays():
    variable = _variable([1.0])
    optimizer = optimizers.build_optimizer("dcgan", 0.1, [variable], "generator", betas=(0.9, 0.5))
    _apply(optimizer, variable, [2.0])
    _apply(optimizer, variable, [0.0])
    _close(variable, [0.9 - 0.1 * (0.18 / 0.19) / np.sqrt(1.0 / 0.75)])


def test_gradients_move_only_the_given_variables():
    moved, kept = _variable([1.0]), _variable([1.0])
    optimizer = optimizers.build_optimizer("dcgan", 0.1, [moved], "generator")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.convert_to_tensor(moved) * tf.convert_to_tensor(kept))
    optimizers.apply_gradients(optimizer, tape, loss, [moved])
    _close(moved, [0.9])
    _close(kept, [1.0])


def test_clipping_bounds_every_weight():
    weights = [_variable([-5.0, -0.005, 0.0]), _variable([[0.01, 0.02]])]
    optimizers.clip_weights(weights, 0.01)
    _close(weights[0], [-0.01, -0.005, 0.0])
    _close(weights[1], [[0.01, 0.01]])


def test_rate_halves_after_every_period():
    steps = [tf.constant(done, tf.int64) for done in range(7)]
    rates = [float(optimizers.halved(0.8, done, halve_every=3)) for done in steps]
    _close(rates, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2])


def _named(shape, name):
    return keras.Variable(np.zeros(shape, np.float32), name=name)


@pytest.mark.parametrize("shape", [(3, 3, 8, 6), (4, 10)])
def test_muon_moves_every_direction_of_a_kernel_alike(shape):
    kernel = _named(shape, "kernel")
    optimizer = optimizers.build_optimizer("dcgan", 0.1, [kernel], "generator", by_adam=["output"])
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradient *= 2.0 ** np.arange(shape[-1], dtype=np.float32)
    _apply(optimizer, kernel, gradient)
    moved = -np.asarray(kernel).reshape(-1, shape[-1])
    by_matrix = gradient.reshape(moved.shape)
    assert np.sum(moved * by_matrix) > 0
    # Adam's size, 0.2 of the rate for each weight; Newton and Schulz come within a third.
    sizes = np.linalg.svd(moved, compute_uv=False) / (0.1 * 0.2 * np.sqrt(max(moved.shape)))
    assert sizes.min() > 0.66 and sizes.max() < 1.33
    assert np.linalg.cond(by_matrix) > 10


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((3, 3, 8, 6), "output_kernel"), ((4, 10), "output"), ((6,), "bias"),
        ((7, 6), "bias"), ((7, 4, 6), "kernel"),  # of a layer with weights for each place
    ],
)  # fmt: skip
def test_muon_leaves_biases_and_named_variables_to_adam(shape, name):
    variable = _named(shape, name)
    optimizer = optimizers.build_optimizer(
        "dcgan", 0.1, [variable], "generator", betas=(0.9, 0.5), by_adam=["output"]
    )
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    _apply(optimizer, variable, gradient)
    np.testing.assert_allclose(variable, -0.1 * np.sign(gradient), rtol=1e-4)
    _apply(optimizer, variable, np.zeros(shape, np.float32))
    first, second = 0.09 * gradient / 0.19, np.sqrt(0.25 * gradient**2 / 0.75)
    np.testing.assert_allclose(variable, -0.1 * (np.sign(gradient) + first / second), rtol=1e-3)


def test_muon_goes_on_against_a_smaller_gradient_and_lets_nothing_decay():
    kernel = keras.Variable(np.ones((4, 10), np.float32), name="kernel")
    optimizer = optimizers.build_optimizer("dcgan", 0.1, [kernel], "generator", by_adam=[])
    _apply(optimizer, kernel, np.zeros((4, 10), np.float32))
    _close(kernel, np.ones((4, 10)))
    gradient = np.random.default_rng(0).normal(size=(4, 10)).astype(np.float32)
    _apply(optimizer, kernel, gradient)
    before = np.array(kernel)
    _apply(optimizer, kernel, -0.4 * gradient)  # 0.9 * (0.9 - 0.4) - 0.4 is still positive
    assert np.sum((before - kernel) * gradient) > 0
