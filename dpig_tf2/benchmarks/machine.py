"""What the machine can do at best, the measure of what the networks reach."""

import os
import platform

import keras
import tensorflow as tf

from dpig_tf2.benchmarks.measure import Way, in_turns, wait_for
from dpig_tf2.io import processor

_MATRIX_SIZES = (1024, 2048)
# [B, H, W, C] of the 3x3 convolutions; the networks' larger ones at published width.
_CONVOLUTIONS = ((8, 64, 32, 128), (8, 32, 16, 256), (8, 16, 8, 512))
_REPETITIONS = 2


def describe() -> dict:
    """The machine and the versions that the figures belong to."""
    return {
        "processor": processor.name(),
        "cores": os.cpu_count(),
        "bfloat16": [each for each in processor.instructions() if "bf16" in each],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def limits(precision: str, runs: int) -> dict[str, float]:
    """Best GFLOP/s of a matrix product and of a 3x3 convolution, {"matmul": ..., "conv": ...}.

    Args:
        precision: one of `config.PRECISIONS`; mixed ones are measured in their 16-bit type.
        runs: how often each is tried; the fastest counts.
    """
    dtype = keras.dtype_policies.get(precision).compute_dtype
    return {
        "matmul": max(_best(*_matrix_product(size, dtype), runs) for size in _MATRIX_SIZES),
        "conv": max(_best(*_convolution(shape, dtype), runs) for shape in _CONVOLUTIONS),
    }


def faster(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """The better of two measurements of `limits`, one by one."""
    return {name: max(first[name], second[name]) for name in first}


def _matrix_product(size, dtype):
    a, b = _random((size, size), dtype), _random((size, size), dtype)
    return (lambda: tf.matmul(a, b)), 2 * size**3


def _convolution(shape, dtype):
    batch, height, width, channels = shape
    x, kernel = _random(shape, dtype), _random((3, 3, channels, channels), dtype)
    operations = 2 * batch * height * width * 9 * channels**2
    return (lambda: tf.nn.conv2d(x, kernel, strides=1, padding="SAME")), operations


def _best(compute, operations, runs):
    """GFLOP/s of the fastest run."""
    graph = tf.function(compute)
    way = Way(lambda: wait_for(graph()), repetitions=_REPETITIONS)
    return operations / min(in_turns({"": way}, runs)[""]) / 1e9


def _random(shape, dtype):
    return tf.Variable(tf.cast(tf.random.stateless_normal(shape, [0, 0]), dtype))
