"""Losses against hand-worked numbers.

softplus of 0, 1, 2, -1 is 0.693147, 1.313262, 2.126928, 0.313262; the cross-entropy of logit x is
softplus(-x) against label 1 and softplus(x) against label 0.
"""

import numpy as np
import pytest
import tensorflow as tf
from skimage.metrics import structural_similarity

from dpig_tf2.training import losses

_REAL = tf.constant([2.0, 0.0])
_FAKE = tf.constant([0.0, 2.0, -1.0])
_OTHER = tf.constant([1.0])


def _close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_errors_are_means_over_all_elements():
    predicted, target = tf.constant([[1.0, -2.0], [0.5, 0.0]]), tf.zeros([2, 2])
    _close(losses.absolute_error(predicted, target), 0.875)
    _close(losses.squared_error(predicted, target), 1.3125)


def test_weighted_errors_are_means_by_weight():
    predicted, target = np.array([[[1.0, 3.0], [5.0, 5.0]]]), np.array([[[0.0, 1.0], [0.0, 0.0]]])
    weights = np.array([[[1.0], [0.0]]])
    assert float(losses.weighted_absolute_error(predicted, target, weights)) == 1.5
    assert float(losses.weighted_squared_error(predicted, target, weights)) == 2.5
    # Where nothing counts, as where no texel is seen, there is no error.
    assert float(losses.weighted_squared_error(predicted, target, 0 * weights)) == 0


def test_structural_dissimilarity_is_that_of_box_windows():
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (3, 20, 13, 3)).astype(np.float32)
    noise = rng.normal(size=target.shape) * np.float32([0, 0.1, 1])[:, None, None, None]
    predicted = (target + noise).astype(np.float32)
    options = {"win_size": 7, "channel_axis": -1, "data_range": 2, "use_sample_covariance": False}
    expected = [
        1 - structural_similarity(*pair, **options) for pair in zip(predicted, target, strict=True)
    ]
    assert expected[0] == 0 and expected[2] > 0.5
    predicted = tf.constant(predicted)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        found = losses.structural_dissimilarity(predicted, target)
    _close(found, np.mean(expected))
    # A step down the gradient brings images nearer.
    moved = predicted - 3.0 * tape.gradient(found, predicted)
    assert losses.structural_dissimilarity(moved, target) < found - 0.01


@pytest.mark.parametrize("shape", [[4], [2, 2]])
def test_cross_entropy_in_vector_and_patch_shape(shape):
    logits = tf.reshape(tf.constant([0.0, 1.0, 2.0, -1.0]), shape)
    _close(losses.cross_entropy(logits, 1.0), (0.693147 + 0.313262 + 0.126928 + 1.313262) / 4)
    _close(losses.cross_entropy(logits, 0.0), (0.693147 + 1.313262 + 2.126928 + 0.313262) / 4)


def test_cross_entropy_of_large_logits_stays_finite():
    _close(losses.cross_entropy(tf.constant([-200.0]), 1.0), 200.0)


_EXPECTED = {  # generator, discriminator (pair), discriminator (triplet)
    "dcgan": (
        0.711112,  # (.693147 + .126928 + 1.313262) / 3
        0.727242,  # 0.5 * .410038 + 0.5 * 1.044446
        0.794446,  # 0.5 * .410038 + 0.25 * 1.044446 + 0.25 * 1.313262
    ),
    "lsgan": (
        2.0,  # (1 + 1 + 4) / 3
        1.333333,  # 0.5 * (1 + 1) / 2 + 0.5 * (0 + 4 + 1) / 3
        1.166667,  # 0.5 * 1 + 0.25 * 5 / 3 + 0.25 * 1
    ),
    "wgan": (
        -0.333333,
        -0.666667,  # 1 / 3 - 1
        -0.333333,  # (1 / 3 + 1) / 2 - 1
    ),
}
_EXPECTED["wgan-gp"] = _EXPECTED["wgan"]


@pytest.mark.parametrize("name", losses.OBJECTIVES)
def test_objectives(name):
    objective = losses.OBJECTIVES[name]
    generator, pair, triplet = _EXPECTED[name]
    _close(objective.generator(_FAKE), generator)
    _close(objective.discriminator_loss(_REAL, [_FAKE]), pair)
    _close(objective.discriminator_loss(_REAL, [_FAKE, _OTHER]), triplet)


def test_penalty_of_a_linear_critic_is_that_of_its_slope():
    slope = tf.constant([3.0, 4.0])
    points = tf.constant([[1.0, 2.0], [0.0, -1.0]])
    penalty = losses.gradient_penalty(
        lambda x: tf.linalg.matvec(x, slope), points, -points, tf.constant([0.3, 0.8])
    )
    _close(penalty, (5.0 - 1.0) ** 2)


@pytest.mark.parametrize("mix, expected", [(1.0, 16.0), (0.5, 2.25), (0.0, 1.0)])
def test_penalty_is_taken_between_real_and_fake(mix, expected):
    """The gradient of |x|^2 / 2 is x: its length tells where the penalty was taken."""
    real, fake = tf.constant([[3.0, 4.0]]), tf.zeros([1, 2])
    penalty = losses.gradient_penalty(
        lambda x: tf.reduce_sum(x * x, axis=1) / 2, real, fake, tf.constant([mix])
    )
    _close(penalty, expected)


def test_penalty_of_images_takes_the_length_over_all_pixels():
    real = tf.ones([2, 4, 3, 2])
    penalty = losses.gradient_penalty(
        lambda x: tf.reduce_sum(x, axis=[1, 2, 3]), real, tf.zeros_like(real), tf.constant([0.2, 1])
    )
    _close(penalty, (np.sqrt(24) - 1) ** 2)


def test_penalty_teaches_the_critic():
    """Its gradient reaches the critic's weights, and stays finite where the critic is flat."""
    slope = tf.Variable([0.0, 0.0])
    flat, steep = [], []
    for value, gradients in (([0.0, 0.0], flat), ([3.0, 4.0], steep)):
        slope.assign(value)
        with tf.GradientTape() as tape:
            penalty = losses.gradient_penalty(
                lambda x: tf.linalg.matvec(x, slope),
                tf.ones([1, 2]),
                tf.zeros([1, 2]),
                tf.ones([1]),
            )
        gradients.append(tape.gradient(penalty, slope))
    assert np.isfinite(flat[0]).all()
    _close(steep[0], [4.8, 6.4])  # 2 * (5 - 1) * slope / 5
