"""Noise whose mapped code equals a given code: by gradient descent, from a flow run backward."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.models.flow_mapping import FlowMapping
from dpig_tf2.sampling.checks import check_code
from dpig_tf2.sampling.person_codes import PersonCodes

if TYPE_CHECKING:
    from dpig_tf2.sampling.sampler import PersonSampler

# Adam. Gradients fall by orders of magnitude during the search; with the usual 0.999 their squares
# would be remembered so long that the last steps stay too small.
_BETA1, _BETA2, _EPSILON = 0.95, 0.95, 1e-8
_SHORTEST = 1e-12  # length below which a code counts as this long
_SEARCH_STEPS = 1000
# A flow run backward gives noise that is near already: longer steps would lead away from it.
_FLOW_STEPS, _FLOW_RATE = 100, 0.02
_STEPS_AT_ONCE = 5  # between them interruptions are answered and progress is shown


@dataclasses.dataclass(frozen=True)
class InversionSettings:
    """How noise is searched.

    A `FlowMapping` needs no candidates and no restarts: run backward it gives one start, near the
    end already.

    Attributes:
        candidates: random noises of which every search starts from one that is near already.
        restarts: searches from different candidates; the one with the smallest residual counts.
        steps: Adam steps of each search; None: 1000, or 100 of a flow.
        learning_rate: of Adam, in standard deviations of the noise; of a flow a fiftieth of it.
            Falls to 0 along a cosine.
        prior_weight: of mean((noise / standard deviation) ** 2) beside the squared residual; keeps
            the noise where the mapping network was trained.
        tolerance: largest residual that counts as converged.
    """

    candidates: int = 4096
    restarts: int = 4
    steps: int | None = None
    learning_rate: float = 0.3
    prior_weight: float = 1e-4
    tolerance: float = 0.05

    def __post_init__(self):
        for name in ("steps", "restarts"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise DpigError(f"inversion: {name} must be at least 1")
        if self.candidates < self.restarts:
            raise DpigError("inversion: candidates must be at least as many as restarts")
        for name in ("learning_rate", "tolerance"):
            if not 0 < getattr(self, name) < math.inf:
                raise DpigError(f"inversion: {name} must be positive and finite")
        if not 0 <= self.prior_weight < math.inf:
            raise DpigError("inversion: prior_weight must not be negative, and finite")

    def steps_for(self, mapping: Callable) -> int:
        """Adam steps of each search through this mapping."""
        return self.steps or (_FLOW_STEPS if isinstance(mapping, FlowMapping) else _SEARCH_STEPS)


@dataclasses.dataclass(frozen=True)
class Inversion:
    """Noise found for the codes of one factor.

    Attributes:
        noise: float32 [B, E], on the scale that the mapping network takes.
        code: float32 [B, E], the noise mapped.
        residual: float32 [B], length of (code - wanted) divided by the length of wanted.
        explained: float32 [B], 1 - residual^2, the share of the wanted code's squared length.
        converged: bool [B], residual <= tolerance.
        spread: float32 [B], root mean square of the noise in its standard deviations: near 1 where
            the mapping network was trained, more where it had to be stretched.
    """

    noise: np.ndarray
    code: np.ndarray
    residual: np.ndarray
    explained: np.ndarray
    converged: np.ndarray
    spread: np.ndarray


def invert(
    sampler: "PersonSampler",
    codes: PersonCodes,
    factors: Sequence[str] | None = None,
    settings: InversionSettings = InversionSettings(),
    seed: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Inversion]:
    """Noise of each factor whose mapped code is as close as possible to a given code.

    Args:
        sampler: with the mapping networks; encodes poses given as keypoints.
        codes: any number of persons.
        factors: those to invert, all by default.
        settings: of the search.
        seed: of the noise from which the search starts.
        report: called with (done, total) Adam steps, those of every person and factor counted.

    Source: paper section 4.4, inverse interpolation: gradient descent on the noise.
    """
    model = sampler.config.model
    factors = model.known_factors(factors)
    if "pose" in factors:
        codes = sampler.encode_poses(codes)
    mappings = {factor: sampler.model.network(f"{factor}_mapping") for factor in factors}
    total = len(codes) * sum(map(settings.steps_for, mappings.values()))
    done = 0

    def count_steps(steps):
        nonlocal done
        done += steps
        if report:
            report(done, total)

    count_steps(0)
    found = {}
    for factor, mapping in mappings.items():
        wanted = check_code(model, f"{factor} code", codes.code(factor), factor)
        chunks = [
            find_noise(
                mapping,
                wanted[i : i + sampler.batch_size],
                model.noise_scale,
                settings,
                seed,
                count_steps,
            )
            for i in range(0, len(wanted), sampler.batch_size)
        ]
        found[factor] = concatenate(chunks)
    return found


def find_noise(
    mapping: Callable,
    codes: np.ndarray,
    noise_scale: float,
    settings: InversionSettings = InversionSettings(),
    seed: int = 0,
    moved: Callable[[int], None] | None = None,
) -> Inversion:
    """Noise z that minimizes |mapping(z) - code|^2 / |code|^2 + prior * mean((z / s)^2).

    Every code is searched on its own: from the noise that a flow gives when it is run backward,
    through other mappings from those of many draws of N(0, s^2) that are mapped nearest to it. The
    search is traced once for a mapping and settings, and can be interrupted between its steps.

    Args:
        mapping: float32 [N, E] -> [N, E], differentiable.
        codes: float32 [B, E].
        noise_scale: s, the standard deviation of the noise that the mapping was trained with.
        settings: how to search.
        seed: decides from where the searches start; a flow draws nothing.
        moved: called after some steps with their number, those of every code counted.
    """
    count = len(codes)
    rate = settings.learning_rate
    if isinstance(mapping, FlowMapping):
        start = mapping.noise_of(codes).numpy() / noise_scale
        rate *= _FLOW_RATE
    else:
        start = _nearest(mapping, codes, noise_scale, settings, seed)
    searches = len(start) // count
    wanted = tf.constant(np.tile(codes, (searches, 1)), tf.float32)
    steps = settings.steps_for(mapping)
    state = (tf.constant(start), tf.zeros_like(wanted), tf.zeros_like(wanted))
    for first in range(0, steps, _STEPS_AT_ONCE):
        last = min(first + _STEPS_AT_ONCE, steps)
        span = tf.constant((first, last))
        state = _descend(
            mapping, noise_scale, settings.prior_weight, rate, steps, span, state, wanted
        )
        if moved:
            moved((last - first) * count)
    noise = state[0] * noise_scale
    mapped, noise = mapping(noise).numpy(), noise.numpy()
    residual = (_length(mapped - wanted) / _length(wanted)).reshape(searches, count)
    best = residual.argmin(axis=0) * count + np.arange(count)
    residual = residual.min(axis=0)
    return Inversion(
        noise=noise[best],
        code=mapped[best],
        residual=residual,
        explained=1 - np.square(residual),
        converged=residual <= settings.tolerance,
        spread=np.sqrt(np.square(noise[best] / noise_scale).mean(axis=1)),
    )


def _nearest(mapping, codes, noise_scale, settings, seed):
    """Standard noise mapped nearest: float32 [restarts * B, E], the best of each code first."""
    shape = (settings.candidates, codes.shape[1])
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    mapped = mapping(tf.constant(noise) * noise_scale).numpy()
    # |mapped - code|^2 without |code|^2, which does not change the order.
    distance = np.square(mapped).sum(axis=1) - 2 * codes @ mapped.T
    ranked = np.argsort(distance, axis=1, kind="stable")[:, : settings.restarts]
    return noise[ranked.T.ravel()]


@tf.function(reduce_retracing=True)
def _descend(mapping, noise_scale, prior_weight, fastest, steps, span, state, wanted):
    """Adam steps of a span [first, last) of all `steps`, all searches side by side.

    The state is standard noise [N, E] and the moving means of gradients and of their squares.
    """
    z, mean, square = state
    weight = 1 / tf.maximum(tf.reduce_sum(tf.square(wanted), axis=-1), _SHORTEST**2)
    for step in tf.range(span[0], span[1]):
        done = tf.cast(step, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(z)
            mapped = mapping(z * noise_scale)
            error = tf.reduce_sum(tf.square(mapped - wanted), axis=-1)
            prior = tf.reduce_mean(tf.square(z), axis=-1)
            loss = tf.reduce_sum(error * weight + prior_weight * prior)
        gradient = tape.gradient(loss, z)
        mean = _BETA1 * mean + (1 - _BETA1) * gradient
        square = _BETA2 * square + (1 - _BETA2) * tf.square(gradient)
        rate = fastest * (1 + tf.cos(math.pi * done / steps)) / 2
        direction = mean / (1 - _BETA1 ** (done + 1))
        spread = tf.sqrt(square / (1 - _BETA2 ** (done + 1)))
        z -= rate * direction / (spread + _EPSILON)
    return z, mean, square


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


def _length(vectors):
    """Euclidean lengths, never quite zero so that an all-zero code can be divided by."""
    return np.maximum(np.linalg.norm(vectors, axis=-1), _SHORTEST)
