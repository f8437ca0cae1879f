"""Which convolutions this machine's library computes faster than Winograd's algorithm does.

A convolution costs what its channels, its tiles and its kernel ask for, so a few small ones stand
for all: classes of channels and tiles, each with a kernel as it is and one prepared.
"""

import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.execution import ConvolutionClass, Execution
from dpig_tf2.io import atomic, processor
from dpig_tf2.io.cache import cache_folder
from dpig_tf2.io.hashes import sha256_of_texts
from dpig_tf2.io.json_files import read_json
from dpig_tf2.ops import matrix_convolutions
from dpig_tf2.ops.implementations import runs_on_cpu_uncompiled

# (channels, tiles), the cheapest first: where time runs out, the costly ones stay as they are.
CLASSES = (
    (128, 32), (256, 8), (128, 128), (512, 2), (256, 32), (512, 8), (128, 512), (256, 128),
    (512, 32),
)  # fmt: skip
_SECONDS = 0.9
_ROUNDS = 4
_UNKNOWN_BATCH = 8
_CLEARLY = 0.9  # of the time; other programs disturb so short a measurement
_BEYOND = 3  # times the tiles of the nearest class: that says nothing of so many any more

Seconds = dict[ConvolutionClass, tuple[float, float]]


def class_of(image_shape, kernel_shape, prepared: bool) -> ConvolutionClass:
    """The nearest class of a convolution; of one far beyond the largest class, one of its own.

    What has no measured class is never left to the library: the more tiles there are, the less do
    Winograd's transforms weigh.

    Args:
        image_shape: [B, H, W, C]; a batch of unknown size counts as one of 8.
        kernel_shape: [3, 3, C, D].
        prepared: whether the kernel is there as Winograd's algorithm needs it.
    """
    batch, height, width, _ = image_shape
    *_, inputs, outputs = kernel_shape
    channels = 2 * inputs * outputs / (inputs + outputs)
    tiles = (batch or _UNKNOWN_BATCH) * height * width / 16
    found = min(
        CLASSES,
        key=lambda each: (abs(math.log(channels / each[0])), abs(math.log(tiles / each[1]))),
    )
    return (found[0], found[1] if tiles < _BEYOND * found[1] else int(tiles), prepared)


def measured_execution(execution: Execution, say: Callable[[str], Any] = print) -> Execution:
    """`execution`, "fast", with the choice that a measurement of this machine suggests.

    It takes a second when this processor first computes in this precision, and stands in the
    user's cache from then on; without a cache that can be written it is repeated. Nothing is
    measured where there is nothing to choose: on GPU, under XLA, in float16, by the reference.

    Args:
        execution: what else is asked for.
        say: is told when a measurement begins.
    """
    nothing_to_choose = execution.implementation == "reference" or not runs_on_cpu_uncompiled(
        execution.jit_compile
    )
    if nothing_to_choose or execution.precision == "mixed_float16":
        return execution
    return dataclasses.replace(
        execution, library=library_classes(seconds(execution.precision, say))
    )


def library_classes(seconds: Seconds) -> tuple[ConvolutionClass, ...]:
    """The classes that the library computes clearly faster."""
    return tuple(
        sorted(
            each for each, (library, winograd) in seconds.items() if library < _CLEARLY * winograd
        )
    )


def seconds(precision: str, say: Callable[[str], Any] = print) -> Seconds:
    """{class: (seconds of the library, of Winograd's algorithm)}, from the cache or measured."""
    machine = _machine(precision)
    digest = sha256_of_texts(f"{name}={value}" for name, value in machine.items())
    path = cache_folder("convolutions") / f"{digest[:16]}.json"
    found = _stored(path, machine)
    if found is None:
        say(f"measuring this machine's convolutions, once for {precision}")
        found = measure(precision)
        rows = [[*each, *taken] for each, taken in sorted(found.items())]
        try:
            atomic.write_json(path, {"machine": machine, "seconds": rows})
        except OSError:
            pass  # measured again next time
    return found


def _machine(precision):
    """What a measurement holds for."""
    return {
        "processor": processor.name(),
        "instructions": " ".join(processor.instructions()),
        "cores": processor.cores(),
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
        "precision": precision,
        "transforms": "gathered",  # what earlier versions stored is of slower ones
    }


def _stored(path: pathlib.Path, machine) -> Seconds | None:
    """What a file of the cache holds; None if it is absent or damaged."""
    known = {(*each, prepared) for each in CLASSES for prepared in (False, True)}
    try:
        content = read_json(path, finite=True)
        if content["machine"] != machine:
            return None
        found = {
            (int(channels), int(tiles), bool(prepared)): (float(library), float(winograd))
            for channels, tiles, prepared, library, winograd in content["seconds"]
        }
    except (OSError, DpigError, KeyError, TypeError, ValueError):
        return None
    return found if found and found.keys() <= known else None


def measure(precision: str, limit: float = _SECONDS) -> Seconds:
    """`seconds` of this moment: the fastest of a few turns, as many as the time allows.

    Args:
        precision: of the products, one of `config.PRECISIONS`.
        limit: seconds, after which nothing more is begun; at least one class is measured.
    """
    dtype = keras.DTypePolicy(precision).compute_dtype
    found: Seconds = {}
    end = time.perf_counter() + limit
    for _ in range(_ROUNDS):  # the first is the warm-up, too
        for each in CLASSES:
            if found and time.perf_counter() > end:
                return found
            library, plain, prepared = (_timed(way) for way in _ways(*each, dtype))
            for key, winograd in (((*each, False), plain), ((*each, True), prepared)):
                now = library, winograd
                found[key] = tuple(map(min, found.get(key, now), now))
    return found


def _ways(channels, tiles, dtype):
    """The library's convolution, Winograd's algorithm, and that with a prepared kernel."""
    side = 8 if tiles >= 4 else 4
    images = tf.ones((tiles * 16 // side**2, side, side, channels), dtype)
    kernel = tf.ones((3, 3, channels, channels), dtype)
    at_points = matrix_convolutions.winograd_kernel(kernel)
    return (
        lambda: tf.nn.conv2d(images, kernel, 1, "SAME"),
        lambda: matrix_convolutions.winograd(images, kernel),
        lambda: matrix_convolutions.winograd_with(images, at_points),
    )


def _timed(way):
    start = time.perf_counter()
    way()[0, 0, 0, 0].numpy()
    return time.perf_counter() - start
