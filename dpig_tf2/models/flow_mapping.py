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


@layers.serializable
class FlowMapping(layers.Network):
    """Integrates dx/dt = v(x, t) from noise at t = 0 to a code at t = 1.

    Takes the place of `MappingNetwork`. Noise and code are as long, and every noise has one code; v
    works on codes of mean 0 and deviation 1, whose statistics the network keeps. The layers add to
    the velocity that Gaussian codes would have: what they do not know, as directions beyond their
    width, stays Gaussian, and an untrained flow gives back its noise. Where few codes were seen the
    layers know no velocity, and may lead ever farther away: the way is kept within `reach`.

    Args:
        hidden: units of the dense layers.
        embedding: length of noise and code.
        noise_scale: standard deviation of the noise.
        execution: how it computes.

    Call argument: float32 [B, embedding], drawn from N(0, noise_scale ** 2).
    Returns: float32 [B, embedding].
    Source: Liu et al., "Flow Straight and Fast", ICLR 2023; in the place of paper section 3.2.
    """

    BLOCKS = 4

    def __init__(
        self,
        hidden: int,
        embedding: int,
        noise_scale: float = 1.0,
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.embedding = embedding
        self.noise_scale = noise_scale
        self.input_dense = self._dense(hidden, "input")
        self.time_dense = self._dense(hidden, "time", "silu")
        # Half again as far from the mean as noise of this length ever is (root mean square). The
        # codes of 1 % of photos' scenes are beyond, of their figures hardly any.
        self.reach = 1.5 * (1.0 + 3.0 / math.sqrt(embedding))
        self.norms = [
            keras.layers.LayerNormalization(dtype=self.dtype_policy, name=f"norm_{i}")
            for i in range(self.BLOCKS)
        ]
        self.widen = [self._dense(hidden, f"dense_{i}_1", "silu") for i in range(self.BLOCKS)]
        self.back = [self._dense(hidden, f"dense_{i}_2") for i in range(self.BLOCKS)]
        self.output_dense = self._dense(embedding, "output", kernel_initializer="zeros")

    def _dense(self, units, name, activation=None, **options):
        return keras.layers.Dense(
            units, activation=activation, dtype=self.dtype_policy, name=name, **options
        )

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "embedding": self.embedding,
            "noise_scale": self.noise_scale,
        }

    def build(self, noise_shape):
        def statistic(name, initializer):
            return self.add_weight(
                shape=(self.embedding,), initializer=initializer, name=name, trainable=False
            )

        self.code_mean = statistic("code_mean", "zeros")
        self.code_deviation = statistic("code_deviation", "ones")
        # Creates the layers' variables; a call would trace its steps to do so.
        self.velocity(tf.zeros((0, self.embedding)), tf.zeros((0,)))

    def call(self, noise):
        x = tf.cast(noise, tf.float32) / self.noise_scale
        step = 1.0 / _STEPS
        velocity = tf.function(self.velocity, autograph=False)  # traced once, not in every step
        for i in range(_STEPS):
            time = tf.fill(tf.shape(x)[:1], i * step)
            middle = x + 0.5 * step * velocity(x, time)
            x = self._within_reach(x + step * velocity(middle, time + 0.5 * step))
        return x * self.code_deviation + self.code_mean

    def _within_reach(self, x):
        distance = tf.sqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True))
        return x * (self.reach / tf.maximum(distance, self.reach))

    def velocity(self, x, time):
        """v of normalized codes [B, embedding] at times [B] in [0, 1], float32 [B, embedding]."""
        frequencies = tf.constant(math.pi * 2.0 ** np.linspace(0, 6, _FREQUENCIES), tf.float32)
        angles = time[:, None] * frequencies
        when = self.time_dense(tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1))
        h = self.input_dense(x)
        for norm, widen, back in zip(self.norms, self.widen, self.back, strict=True):
            h += back(widen(norm(h) + when))
        # What E[code - noise | x] is where both are Gaussian.
        share = ((2.0 * time - 1.0) / (time**2 + (1.0 - time) ** 2))[:, None]
        return share * x + tf.cast(self.output_dense(tf.nn.silu(h)), tf.float32)

    def normalize(self, codes):
        """Codes [B, embedding] as `velocity` knows them."""
        return (codes - self.code_mean) / self.code_deviation
