"""Whether 16 bits save time on this machine."""

import time

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution

MOST_SLOWDOWN = 5.0  # nobody wants to train so by accident; float16 on a CPU takes 3 times as long
_ROUNDS = 6


def slowdown(execution: Execution) -> float:
    """How many times as long a training step takes as in float32, by a small part of one.

    A convolution with its gradients is timed in turns, half a second in all. Processors without
    bfloat16 instructions compute the gradients of such convolutions one number at a time.

    Args:
        execution: its precision, and whether XLA compiles.
    """
    if execution.precision == "float32":
        return 1.0
    types = tf.float32, tf.as_dtype(keras.DTypePolicy(execution.precision).compute_dtype)
    steps = [_step(dtype, execution.jit_compile) for dtype in types]
    for step in steps:
        step()  # traced and compiled
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for step, taken in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step().numpy()
            taken.append(time.perf_counter() - start)
    return min(seconds[1]) / min(seconds[0])


def _step(dtype, jit_compile):
    images = tf.cast(tf.random.stateless_normal((4, 32, 16, 32), seed=(0, 1)), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, 32, 32), seed=(0, 2)), dtype)

    @tf.function(jit_compile=jit_compile)
    def step():
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            output = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME"))
        return tf.linalg.global_norm(tape.gradient(output, [images, kernel]))

    return step
