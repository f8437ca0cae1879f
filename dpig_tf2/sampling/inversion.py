"""Noise whose mapped code equals a given code, found by gradient descent."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam


@dataclasses.dataclass(frozen=True)
class InversionSettings:
    """How noise is searched.

    Attributes:
        steps: Adam steps of each restart.
        restarts: searches from different noise; the one with the smallest residual counts.
        learning_rate: of Adam, in standard deviations of the noise; falls to 0 along a cosine.
        prior_weight: of mean((noise / standard deviation) ** 2) beside the squared residual; keeps
            the noise where the mapping network was trained.
        tolerance: largest residual that counts as converged.
    """

    steps: int = 500
    restarts: int = 4
    learning_rate: float = 0.1
    prior_weight: float = 1e-4
    tolerance: float = 0.05

    def __post_init__(self):
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"inversion: {name} must be at least 1")
        for name in ("learning_rate", "tolerance"):
            if getattr(self, name) <= 0:
                raise ValueError(f"inversion: {name} must be positive")
        if self.prior_weight < 0:
            raise ValueError("inversion: prior_weight must not be negative")


@dataclasses.dataclass(frozen=True)
class Inversion:
    """Noise found for the codes of one factor.

    Attributes:
        noise: float32 [B, E], on the scale that the mapping network takes.
        code: float32 [B, E], the noise mapped.
        residual: float32 [B], length of (code - wanted) divided by the length of wanted.
        explained: float32 [B], 1 - residual^2, the share of the wanted code's squared length.
        converged: bool [B], residual <= tolerance.
    """

    noise: np.ndarray
    code: np.ndarray
    residual: np.ndarray
    explained: np.ndarray
    converged: np.ndarray


def invert(
    mapping: Callable,
    codes: np.ndarray,
    noise_scale: float,
    settings: InversionSettings,
    seed: int = 0,
) -> Inversion:
    """Noise z that minimizes |mapping(z) - code|^2 / |code|^2 + prior_weight * mean((z / s)^2).

    Every code is searched on its own, from `restarts` draws of N(0, s^2), with s `noise_scale`.

    Args:
        mapping: float32 [N, E] -> [N, E], differentiable.
        codes: float32 [B, E].
        noise_scale: standard deviation of the noise that the mapping was trained with.
        settings: how to search.
        seed: of the first noise.
    """
    count, size = codes.shape
    draws = np.random.default_rng(seed).standard_normal((settings.restarts, 1, size))
    start = np.broadcast_to(draws, (settings.restarts, count, size)).reshape(-1, size)
    wanted = np.tile(codes, (settings.restarts, 1)).astype(np.float32)
    found = _descend(mapping, start.astype(np.float32), wanted, noise_scale, settings)
    mapped, noise = mapping(found).numpy(), found.numpy()
    length = _length(wanted)
    residual = (_length(mapped - wanted) / length).reshape(settings.restarts, count)
    best = residual.argmin(axis=0) * count + np.arange(count)
    residual = residual.min(axis=0)
    return Inversion(
        noise=noise[best],
        code=mapped[best],
        residual=residual,
        explained=1 - np.square(residual),
        converged=residual <= settings.tolerance,
    )


def explained_variance(found: np.ndarray, wanted: np.ndarray) -> float | None:
    """Share of the variance of codes [B, E] that the found codes explain.

    1 - sum |found - wanted|^2 / sum |mean of wanted - wanted|^2: 1 is everything, 0 no better than
    the average code for everybody. None if the wanted codes are all the same, as one alone is.
    """
    variance = np.square(wanted - wanted.mean(axis=0)).sum()
    return float(1 - np.square(found - wanted).sum() / variance) if variance else None


def concatenate(parts: Sequence[Inversion]) -> Inversion:
    """The inversions of several batches of codes as one."""
    names = [field.name for field in dataclasses.fields(Inversion)]
    return Inversion(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def _descend(mapping, start, wanted, noise_scale, settings):
    """Adam on standardized noise, all searches side by side; float32 [N, E], scaled."""
    weight = 1 / np.square(_length(wanted))

    @tf.function
    def search(z):
        mean, square = tf.zeros_like(z), tf.zeros_like(z)
        for step in tf.range(settings.steps):
            done = tf.cast(step, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(z)
                error = tf.reduce_sum(tf.square(mapping(z * noise_scale) - wanted), axis=-1)
                prior = tf.reduce_mean(tf.square(z), axis=-1)
                loss = tf.reduce_sum(error * weight + settings.prior_weight * prior)
            gradient = tape.gradient(loss, z)
            mean = _BETA1 * mean + (1 - _BETA1) * gradient
            square = _BETA2 * square + (1 - _BETA2) * tf.square(gradient)
            rate = settings.learning_rate * (1 + tf.cos(math.pi * done / settings.steps)) / 2
            direction = mean / (1 - _BETA1 ** (done + 1))
            spread = tf.sqrt(square / (1 - _BETA2 ** (done + 1)))
            z -= rate * direction / (spread + _EPSILON)
        return z * noise_scale

    return search(tf.constant(start))


def _length(vectors):
    """Euclidean lengths, never quite zero so that an all-zero code can be divided by."""
    return np.maximum(np.linalg.norm(vectors, axis=-1), 1e-12)
