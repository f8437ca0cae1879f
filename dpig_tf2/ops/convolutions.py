"""Convolutions of joined maps: the paper's expressions, and equal ones that take less work.

Networks write what the paper says, `convolve(concat(upsample(x), skip), kernel)`. With
implementation "reference" every function computes just that. With "fast", `broadcast` and
`upsample` only note what is to be repeated, and `concat` keeps it apart from the other map:
repeated pixels would be convolved again and again, and `convolve` knows how to convolve them once.
A convolution that repeats nothing goes by its shape: `choose_algorithm`.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.ops import convolution_speed, matrix_convolutions
from dpig_tf2.ops.implementations import is_reference, runs_on_cpu_uncompiled

# ---- joined maps


class Broadcast(NamedTuple):
    """A vector, the same at every pixel: [B, E] stands for [B, H, W, E]."""

    vector: tf.Tensor


class Upsampled(NamedTuple):
    """A map doubled to nearest: [B, H / 2, W / 2, C] stands for [B, H, W, C]."""

    small: tf.Tensor


class BroadcastConcat(NamedTuple):
    """[vector at every pixel | images]."""

    vector: tf.Tensor
    images: tf.Tensor

    @property
    def shape(self):
        return (*self.images.shape[:-1], sum(part.shape[-1] for part in self))


class UpsampledConcat(NamedTuple):
    """[small map doubled to nearest | images], also as what it stands for, `pixels`."""

    small: tf.Tensor
    images: tf.Tensor
    pixels: tf.Tensor

    @property
    def shape(self):
        return self.pixels.shape


def broadcast(vector, images, implementation: str = "fast") -> tf.Tensor | Broadcast:
    """A vector [B, E] at every pixel of a map [B, H, W, C]: [B, H, W, E]."""
    if is_reference(implementation):
        return tf.tile(vector[:, None, None, :], [1, *images.shape[1:3], 1])
    return Broadcast(vector)


def upsample(images, implementation: str = "fast") -> tf.Tensor | Upsampled:
    """A map [B, H, W, C] doubled to nearest: [B, 2 H, 2 W, C]."""
    return doubled(images) if is_reference(implementation) else Upsampled(images)


def concat(first, images) -> tf.Tensor | BroadcastConcat | UpsampledConcat:
    """Two maps of one size joined along channels; the first one may be broadcast or upsampled."""
    if isinstance(first, Broadcast):
        return BroadcastConcat(first.vector, images)
    if isinstance(first, Upsampled):
        joined = tf.concat([doubled(first.small), images], axis=-1)
        return UpsampledConcat(first.small, images, joined)
    return tf.concat([first, images], axis=-1)


def pixels(x) -> tf.Tensor:
    """The map [B, H, W, C] itself, of a tensor or an `UpsampledConcat`."""
    return x.pixels if isinstance(x, UpsampledConcat) else x


def pointwise(function, x) -> tf.Tensor | Upsampled:
    """`function(x)`, of a function that computes each pixel from that pixel alone.

    Such a function, a 1x1 convolution for one, commutes with nearest upsampling: it runs on the
    small map, a quarter of the work.
    """
    return Upsampled(function(x.small)) if isinstance(x, Upsampled) else function(x)


def joined_shape(shape) -> tuple:
    """Shape [B, H, W, C] of a joined map, from the shapes of its parts in their place."""
    if isinstance(shape, Upsampled):
        return tuple(shape.small)
    if isinstance(shape, BroadcastConcat):
        return (*shape.images[:-1], shape.vector[-1] + shape.images[-1])
    return tuple(shape.pixels if isinstance(shape, UpsampledConcat) else shape)


def doubled(images) -> tf.Tensor:
    """A map [B, H, W, C] doubled to nearest: [B, 2 H, 2 W, C].

    `tf.repeat` gives the same by many small operations, which take time when graphs are made.
    """
    _, height, width, channels = images.shape
    rows = tf.tile(tf.reshape(images, [-1, width * channels]), [1, 2])
    columns = tf.tile(tf.reshape(rows, [-1, channels]), [1, 2])
    return tf.reshape(columns, [-1, 2 * height, 2 * width, channels])


# ---- convolution


def convolve(
    x,
    kernel,
    stride: int = 1,
    execution: Execution = Execution(),
    prepared=None,
) -> tf.Tensor:
    """`tf.nn.conv2d(x, kernel, stride, "SAME")`.

    Args:
        x: float [B, H, W, C], or what `concat` makes, with stride 1 and a 3x3 kernel.
        kernel: [K, K, C, D], of the same type.
        stride: pixels.
        execution: implementation "reference" is the library's convolution. "fast" is equal to
            rounding: 5e-6 of the largest output in float32.
        prepared: what `prepare_kernel` made of the kernel for these arguments, or None.

    Returns:
        float [B, H / stride, W / stride, D], sides rounded up.
    """
    if x.shape[0] == 0:  # oneDNN would return the shape of its input
        sides = [-(-side // stride) for side in x.shape[1:3]]
        return tf.zeros((0, *sides, kernel.shape[-1]), kernel.dtype)
    if isinstance(x, BroadcastConcat):
        return _convolve_broadcast(x.vector, x.images, kernel)
    algorithm = choose_algorithm(
        x.shape, kernel.shape, stride, kernel.dtype, execution, prepared is not None
    )
    if algorithm == "winograd":
        if prepared is None:
            return matrix_convolutions.winograd(pixels(x), kernel)
        return matrix_convolutions.winograd_with(pixels(x), prepared)
    if isinstance(x, UpsampledConcat):
        return _convolve_upsampled(x.small, x.images, kernel)
    if algorithm == "single_product":
        return matrix_convolutions.single_product(x, kernel, stride)
    return tf.nn.conv2d(x, kernel, stride, "SAME")


def prepare_kernel(image_shape, kernel, stride: int, execution: Execution) -> tf.Tensor | None:
    """What `convolve` computes from the kernel alone, for `prepared`; None if that is nothing."""
    algorithm = choose_algorithm(
        image_shape, kernel.shape, stride, kernel.dtype, execution, prepared=True
    )
    return matrix_convolutions.winograd_kernel(kernel) if algorithm == "winograd" else None


def choose_algorithm(
    image_shape,
    kernel_shape,
    stride: int,
    dtype,
    execution: Execution = Execution(),
    prepared: bool = False,
) -> str:
    """How images are convolved: "winograd", "single_product" or "library".

    Args:
        image_shape: [B, H, W, C].
        kernel_shape: [K, K, C, D].
        stride: pixels.
        dtype: of images and kernel. Between its transforms Winograd's algorithm needs a wider range
            than float16 has, which keeps to the library.
        execution: "reference" keeps to the library, and so does what XLA compiles, which convolves
            best by itself, as GPUs do, and what `Execution.library` names.
        prepared: whether the kernel is prepared for that algorithm.
    """
    if is_reference(execution.implementation) or tf.as_dtype(dtype) == tf.float16:
        return "library"
    if not runs_on_cpu_uncompiled(execution.jit_compile):
        return "library"
    fastest = matrix_convolutions.fastest(tuple(image_shape), tuple(kernel_shape), stride)
    if fastest == "winograd" and execution.library:
        if convolution_speed.class_of(image_shape, kernel_shape, prepared) in execution.library:
            return "library"
    return fastest


def _convolve_broadcast(vector, images, kernel):
    """3x3 convolution of [vector at every pixel | images].

    The vector's part of the convolution is one dense product for each of the nine kernel taps; SAME
    padding only decides which taps a border pixel sums.
    """
    from_vector, from_images = tf.split(kernel, [vector.shape[-1], images.shape[-1]], axis=2)
    taps = tf.einsum("be,yxec->byxc", vector, from_vector)
    rows, columns = (
        tf.constant(_taps_inside(length), images.dtype) for length in images.shape[1:3]
    )
    everywhere = tf.einsum("wx,byxc->bywc", columns, taps)
    everywhere = tf.einsum("hy,bywc->bhwc", rows, everywhere)
    return tf.nn.conv2d(images, from_images, 1, "SAME") + everywhere


def _taps_inside(length):
    """[length, 3] in {0, 1}: which taps of a 3-wide SAME kernel fall inside the axis."""
    source = np.arange(length)[:, None] + np.arange(-1, 2)[None, :]
    return ((source >= 0) & (source < length)).astype(np.float32)


def _convolve_upsampled(small, images, kernel):
    """3x3 convolution of [small map doubled to nearest | images].

    Three rows of the doubled map are only two of the small one, so its part is a transposed
    convolution of the small map with a 4x4 kernel of summed taps: 4/9 of the products.
    """
    from_small, from_images = tf.split(kernel, [small.shape[-1], images.shape[-1]], axis=2)
    shape = [tf.shape(images)[0], *images.shape[1:3], kernel.shape[-1]]
    of_small = tf.nn.conv2d_transpose(small, _doubling_kernel(from_small), shape, strides=2)
    return tf.nn.conv2d(images, from_images, 1, "SAME") + of_small


# Which taps [3] of a plain kernel reach the taps [4] of the transposed one, along an axis: pixel i
# of the small map adds to the outputs 2i - 1 ... 2i + 2 through the taps 2, 1 + 2, 0 + 1 and 0.
_DOUBLED_TAPS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)


def _doubling_kernel(kernel):
    """Kernel [4, 4, D, C] of the transposed convolution, from the plain one's, [3, 3, C, D]."""
    # One product for all taps: large kernels are summed in one pass over memory.
    _, _, inputs, channels = kernel.shape
    taps = tf.reshape(tf.transpose(kernel, [0, 1, 3, 2]), [9, channels * inputs])
    summed = tf.matmul(tf.cast(np.kron(_DOUBLED_TAPS, _DOUBLED_TAPS), kernel.dtype), taps)
    return tf.reshape(summed, [4, 4, channels, inputs])
