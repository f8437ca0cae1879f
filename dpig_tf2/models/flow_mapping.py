"""Mapping network as a flow: noise is moved to a code along a learned velocity."""

import math

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers

# Steps of the midpoint rule, each of two evaluations. More change codes by less than their noise.
_STEPS = 8
_FREQUENCIES = 16  # of the sines that tell the time
_SMALLEST_DEVIATION = 1e-3
# Of flows of places. Poses, of one place, only become less like true ones (docs/recipe.md).
_GUIDANCE = 1.4


@layers.serializable
class FlowMapping(layers.Network):
    """Integrates dx/dt = v(x, t) from noise at t = 0 to a code at t = 1.

    Takes the place of `MappingNetwork`. Noise and code are as long, and every noise has one code; v
    works on codes of mean 0 and deviation 1, whose statistics the network keeps. The layers add to
    the velocity that Gaussian codes would have: what they do not know, as directions beyond their
    width, stays Gaussian, and an untrained flow gives Gaussian codes. Where few codes were seen the
    layers know no velocity, and may lead ever farther away: the way is kept within `reach`.

    A code may be of several places, the regions of a body or the cells of a scene, and then holds
    the numbers of one after those of the other. Each place has features of its own, in layers that
    all places share but the first and the last, and in every block the places are mixed. The
    Gaussian codes that such a flow begins with are correlated as the true ones are, and a call is
    guided away from them: what the layers have learned beyond counts more than they were taught,
    without which clothes and scenes fade into others.

    Args:
        hidden: units of the dense layers, of each place.
        embedding: length of noise and code.
        places: that the code is of; they share its length evenly.
        noise_scale: standard deviation of the noise.
        execution: how it computes.

    Call argument: float32 [B, embedding], drawn from N(0, noise_scale ** 2).
    Returns: float32 [B, embedding].
    Source: Liu et al., "Flow Straight and Fast", ICLR 2023; for places Tolstikhin et al.,
        "MLP-Mixer", NeurIPS 2021; for guidance Karras et al., "Guiding a Diffusion Model with a
        Bad Version of Itself", NeurIPS 2024. In the place of paper section 3.2.
    """

    BLOCKS = 4
    MIXED = 3  # features of a mixing layer for each place

    def __init__(
        self,
        hidden: int,
        embedding: int,
        places: int = 1,
        noise_scale: float = 1.0,
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.hidden = hidden
        self.embedding = embedding
        self.places = places
        self.noise_scale = noise_scale
        # Half again as far from the mean as noise of this length ever is (root mean square). The
        # codes of 1 % of photos' scenes are beyond, of their figures hardly any.
        self.reach = 1.5 * (1.0 + 3.0 / math.sqrt(embedding))
        self.guidance = _GUIDANCE if places > 1 else 1.0
        self.input_dense = self._dense_of_places(hidden, "input")
        self.time_dense = self._dense(hidden, "time", "silu")
        blocks = range(self.BLOCKS)
        self.norms = [self._norm(f"norm_{i}") for i in blocks]
        self.widen = [self._dense(hidden, f"dense_{i}_1", "silu") for i in blocks]
        self.back = [self._dense(hidden, f"dense_{i}_2") for i in blocks]
        if places > 1:
            wide = self.MIXED * places
            self.mixed_norms = [self._norm(f"mixed_norm_{i}") for i in blocks]
            self.mix = [self._dense(wide, f"mix_{i}_1", "silu") for i in blocks]
            self.mix_back = [self._dense(places, f"mix_{i}_2") for i in blocks]
        self.output_dense = self._dense_of_places(
            embedding // places, "output", kernel_initializer="zeros"
        )

    def _dense(self, units, name, activation=None, **options):
        return keras.layers.Dense(
            units, activation=activation, dtype=self.dtype_policy, name=name, **options
        )

    def _dense_of_places(self, units, name, **options):
        """A dense layer on [B, places, features] whose weights are each place's own."""
        if self.places == 1:
            return self._dense(units, name, **options)
        return keras.layers.EinsumDense(
            "bpi,pio->bpo",
            (self.places, units),
            bias_axes="po",
            dtype=self.dtype_policy,
            name=name,
            **options,
        )

    def _norm(self, name):
        return keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "embedding": self.embedding,
            "places": self.places,
            "noise_scale": self.noise_scale,
        }

    def get_build_config(self):
        return {"noise_shape": (None, self.embedding)}

    def build_from_config(self, config):
        self.build(config["noise_shape"])

    def build(self, noise_shape):
        def statistic(name, initializer, *shape):
            return self.add_weight(shape=shape, initializer=initializer, name=name, trainable=False)

        length = self.embedding
        self.code_mean = statistic("code_mean", "zeros", length)
        self.code_deviation = statistic("code_deviation", "ones", length)
        if self.places > 1:  # of the codes with deviation 1: principal axes, in columns
            self.code_axes = statistic("code_axes", "identity", length, length)
            self.axis_variance = statistic("axis_variance", "ones", length)
        # Creates the layers' variables; a call would trace its steps to do so.
        self.velocity(tf.zeros((0, length)), tf.zeros((0,)))

    def adapt(self, codes: np.ndarray) -> None:
        """Takes the statistics of codes [N, embedding], as training does before its first step."""
        codes = np.asarray(codes, np.float64)
        mean = codes.mean(axis=0)
        deviation = np.maximum(codes.std(axis=0), _SMALLEST_DEVIATION)
        self.code_mean.assign(mean)
        self.code_deviation.assign(deviation)
        if self.places > 1:
            normalized = (codes - mean) / deviation
            variance, axes = np.linalg.eigh(normalized.T @ normalized / len(codes))
            self.code_axes.assign(axes)
            self.axis_variance.assign(np.maximum(variance, _SMALLEST_DEVIATION**2))

    def call(self, noise):
        x = tf.cast(noise, tf.float32) / self.noise_scale
        length = 1.0 / _STEPS

        def step(i, x):
            return i + 1, self._within_reach(self._moved(x, i, length))

        # A loop of the graph: with every step written out, exports would take minutes more.
        _, x = tf.while_loop(lambda i, _: i < _STEPS, step, (0, x))
        return x * self.code_deviation + self.code_mean

    def noise_of(self, codes) -> tf.Tensor:
        """The noise that a call moves to about these codes: the same way, gone backward.

        Exact as far as the steps are short. Codes out of reach count as the nearest within.

        Args:
            codes: float32 [N, embedding].

        Returns:
            float32 [N, embedding], on the scale that a call takes.
        """
        length = 1.0 / _STEPS

        def step(i, x):
            return i - 1, self._moved(self._within_reach(x), i, -length)

        x = self.normalize(tf.cast(codes, tf.float32))
        _, x = tf.while_loop(lambda i, _: i > 0, step, (_STEPS, x))
        return x * self.noise_scale

    def _moved(self, x, i, length):
        """x after one step of the midpoint rule, of this signed length, from the i-th time on."""
        time = tf.fill(tf.shape(x)[:1], tf.cast(i, tf.float32) / _STEPS)
        middle = x + 0.5 * length * self.velocity(x, time, self.guidance)
        return x + length * self.velocity(middle, time + 0.5 * length, self.guidance)

    def _within_reach(self, x):
        distance = tf.sqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True))
        return x * (self.reach / tf.maximum(distance, self.reach))

    def velocity(self, x, time, guidance=1.0) -> tf.Tensor:
        """v of normalized codes [B, embedding] at times [B] in [0, 1], float32 [B, embedding].

        The layers' correction of what Gaussian codes would do counts `guidance` times.
        """
        frequencies = tf.constant(math.pi * 2.0 ** np.linspace(0, 6, _FREQUENCIES), tf.float32)
        angles = time[:, None] * frequencies
        when = self.time_dense(tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1))[:, None]
        h = self.input_dense(tf.reshape(x, [-1, self.places, self.embedding // self.places]))
        for i in range(self.BLOCKS):
            if self.places > 1:
                of_features = tf.transpose(self.mixed_norms[i](h) + when, [0, 2, 1])
                h += tf.transpose(self.mix_back[i](self.mix[i](of_features)), [0, 2, 1])
            h += self.back[i](self.widen[i](self.norms[i](h) + when))
        learned = tf.cast(self.output_dense(tf.nn.silu(h)), tf.float32)
        correction = guidance * tf.reshape(learned, [-1, self.embedding])
        return self._gaussian_velocity(x, time[:, None]) + correction

    def _gaussian_velocity(self, x, time):
        """What E[code - noise | x] is where both are Gaussian."""
        if self.places == 1:
            return x * (2.0 * time - 1.0) / (time**2 + (1.0 - time) ** 2)
        signal, noise = time * self.axis_variance, 1.0 - time
        share = (signal - noise) / (time * signal + noise**2)
        return tf.matmul(tf.matmul(x, self.code_axes) * share, self.code_axes, transpose_b=True)

    def normalize(self, codes) -> tf.Tensor:
        """Codes [B, embedding] as `velocity` knows them."""
        return (codes - self.code_mean) / self.code_deviation
