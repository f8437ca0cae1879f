"""Losses: pure functions, means over the batch, weights left to the trainers.

Logits and critic scores are float32 [N], unbounded; losses are float32 scalars.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from dpig_tf2.ops import replicas


def absolute_error(predicted, target) -> tf.Tensor:
    """Mean of |predicted - target| over all elements."""
    return tf.reduce_mean(tf.abs(predicted - target))


def squared_error(predicted, target) -> tf.Tensor:
    """Mean of (predicted - target) ** 2 over all elements."""
    return tf.reduce_mean(tf.square(predicted - target))


def cross_entropy(logits, label: float) -> tf.Tensor:
    """Mean binary cross-entropy of logits against one label for all, 0 or 1."""
    labels = tf.fill(tf.shape(logits), label)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


@dataclasses.dataclass(frozen=True)
class Objective:
    """An adversarial objective as three terms of logits.

    discriminator loss = scale * (real(real logits) + mean over fakes of fake(fake logits));
    generator loss = generator(fake logits).
    """

    real: Callable[[tf.Tensor], tf.Tensor]
    fake: Callable[[tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor], tf.Tensor]
    scale: float

    def discriminator_loss(self, real_logits, fake_logits: Sequence) -> tf.Tensor:
        """Loss over one real and one or more fake sources.

        With two fake sources (the triplet pairing) dcgan weighs 0.5 real, 0.25 and 0.25 fake.
        """
        fake = tf.add_n([self.fake(logits) for logits in fake_logits]) / len(fake_logits)
        return self.scale * (self.real(real_logits) + fake)


_WASSERSTEIN = Objective(
    real=lambda scores: -tf.reduce_mean(scores),
    fake=tf.reduce_mean,
    generator=lambda scores: -tf.reduce_mean(scores),
    scale=1.0,
)
OBJECTIVES = {
    "dcgan": Objective(
        real=lambda logits: cross_entropy(logits, 1.0),
        fake=lambda logits: cross_entropy(logits, 0.0),
        generator=lambda logits: cross_entropy(logits, 1.0),
        scale=0.5,
    ),
    "lsgan": Objective(
        real=lambda logits: squared_error(logits, 1.0),
        fake=lambda logits: squared_error(logits, 0.0),
        generator=lambda logits: squared_error(logits, 1.0),
        scale=0.5,
    ),
    "wgan": _WASSERSTEIN,
    "wgan-gp": _WASSERSTEIN,  # plus `gradient_penalty`
}


def gradient_penalty(critic, real, fake, mix) -> tf.Tensor:
    """Mean of (|gradient of the critic at a point between real and fake| - 1) ** 2.

    Args:
        critic: callable, float32 [B, ...] -> [N].
        real, fake: float32 [B, ...].
        mix: float32 [B], uniform in [0, 1): share of the real example.

    Source: Gulrajani et al. 2017, equation 3.
    """
    mix = tf.reshape(mix, [-1] + [1] * (len(real.shape) - 1))
    between = mix * real + (1.0 - mix) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = critic(between)
    squares = tf.square(tape.gradient(scores, between))
    # The small constant keeps the root differentiable where the gradient vanishes.
    norm = tf.sqrt(tf.reduce_sum(squares, axis=list(range(1, len(squares.shape)))) + 1e-12)
    return tf.reduce_mean(tf.square(norm - 1.0))


def weighted_absolute_error(predicted, target, weights) -> tf.Tensor:
    """Mean of |predicted - target| with weights [B, H, W, 1] of pixels, which need not sum to 1."""
    return _weighted_mean(tf.abs(predicted - target), weights)


def weighted_squared_error(predicted, target, weights) -> tf.Tensor:
    """Mean of (predicted - target) ** 2 with weights [..., 1], which need not sum to 1."""
    return _weighted_mean(tf.square(predicted - target), weights)


def _weighted_mean(errors, weights):
    weights = tf.broadcast_to(weights, tf.shape(errors))
    # All replicas' weights, so that the mean of their losses is that of the global batch.
    total = replicas.mean(tf.reduce_sum(weights))
    return tf.reduce_sum(weights * errors) / tf.maximum(total, 1.0)


_SSIM_WINDOW = 7
_SSIM_CONSTANTS = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # of images that span 2


def structural_dissimilarity(predicted, target) -> tf.Tensor:
    """Mean of 1 - SSIM of images float32 [B, H, W, C] in [-1, 1] units, windows of 7 x 7 pixels.

    Source: Wang et al. 2004, with box windows.
    """

    # All means at once and one axis after the other: a pooling of few channels and its gradient are
    # slow, and a window of two axes has 49 numbers to add instead of twice 7.
    x, y = predicted, target
    means = tf.concat([x, y, tf.square(x) + tf.square(y), x * y], axis=-1)
    for window in ((_SSIM_WINDOW, 1), (1, _SSIM_WINDOW)):
        means = tf.nn.avg_pool2d(means, window, 1, "VALID")
    x, y, power, product = tf.split(means, 4, axis=-1)
    c1, c2 = _SSIM_CONSTANTS
    squares = tf.square(x) + tf.square(y)
    variances, covariance = power - squares, product - x * y
    ssim = (2 * x * y + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return 1.0 - tf.reduce_mean(ssim)
