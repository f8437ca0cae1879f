"""Convolutions as matrix products, on CPU faster than the library's for some shapes.

The pixels that products need are gathered, each with its channels, by one operation; whatever else
is linear is a product, too. Such operations run on all cores at the machine's best speed, backwards
too.
"""

from typing import Any

import numpy as np
import tensorflow as tf


def fastest(image_shape, kernel_shape, stride: int) -> str:
    """The fastest on CPU: "winograd", "single_product" or the "library"'s convolution.

    Args:
        image_shape: [B, H, W, C].
        kernel_shape: [K, K, C, D].
        stride: pixels.
    """
    size = kernel_shape[0]
    if size == 3 and stride == 1 and _winograd_pays(image_shape, kernel_shape):
        return "winograd"
    if size > 1 and _single_product_pays(image_shape, kernel_shape, stride):
        return "single_product"
    return "library"


# ---- Winograd's minimal filtering, F(4x4, 3x3)
#
# A convolution is a product of polynomials, and a polynomial is determined by its values at enough
# points. So tiles of 6x6 inputs and the kernel are evaluated at six points along each axis,
# multiplied there (36 products for 16 outputs instead of 144), and interpolated.

_TILE = 4  # outputs of a tile along an axis
_WINDOW = _TILE + 2  # inputs that they need

# And infinity. Rounding shows half as much as with the customary 0, +-1, +-2, in any precision.
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)

# Below this mean number of channels the transforms cost more than the products that they save.
_FEWEST_CHANNELS = 96

# From here on only images and kernel are kept for the backward pass: their values at the points are
# 9/4 and 4 times as large, and computing them again costs little beside so many products.
_CHANNELS_TO_RECOMPUTE = 256


def _winograd_pays(image_shape, kernel_shape):
    """Whether the sides are whole tiles, and the products saved more than the transforms cost."""
    _, height, width, _ = image_shape
    *_, inputs, outputs = kernel_shape
    channels = 2 * inputs * outputs / (inputs + outputs)
    whole_tiles = height % _TILE == 0 and width % _TILE == 0
    return whole_tiles and channels >= _FEWEST_CHANNELS


def winograd(images, kernel) -> tf.Tensor:
    """`tf.nn.conv2d(images, kernel, 1, "SAME")` with a quarter of the products.

    Equal to rounding: some 3e-6 of the largest output in float32; in bfloat16 1.6 % of the outputs'
    standard deviation, 2 % on processors that truncate products for lack of bfloat16
    instructions, where the library's is 0.3 %.

    Args:
        images: float [B, H, W, C], H and W multiples of 4.
        kernel: [3, 3, C, D], of the same type.

    Returns:
        float [B, H, W, D].

    Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    """
    if images.shape[-1] < _CHANNELS_TO_RECOMPUTE:
        return _winograd(images, kernel)
    return tf.recompute_grad(_winograd)(images, kernel)


def _winograd(images, kernel):
    images_at_points = _images_at_points(images)
    with tf.control_dependencies([images_at_points]):  # all kernels at once would fill memory
        kernel_at_points = winograd_kernel(kernel)
    return _interpolated(tf.matmul(images_at_points, kernel_at_points), images.shape)


def winograd_kernel(kernel) -> tf.Tensor:
    """What `winograd` makes of a kernel [3, 3, C, D], of its type: [36, C, D]."""
    *_, inputs, outputs = kernel.shape
    return tf.reshape(_transformed(_KERNEL_EVALUATION, kernel), [-1, inputs, outputs])


def winograd_with(images, kernel_at_points) -> tf.Tensor:
    """`winograd` with a kernel that `winograd_kernel` has prepared."""
    return _interpolated(tf.matmul(_images_at_points(images), kernel_at_points), images.shape)


def _images_at_points(images):
    """[B, H, W, C] -> [36, tiles, C]."""
    *_, channels = images.shape
    windows = _gathered(images, _WINDOW, _TILE, taps_first=True)
    return tf.reshape(_transformed(_EVALUATION, windows), [_WINDOW**2, -1, channels])


def _interpolated(at_points, image_shape):
    """[36, tiles, D] -> [B, H, W, D]."""
    _, height, width, _ = image_shape
    channels = at_points.shape[-1]
    x = _transformed(_INTERPOLATION, at_points)
    x = tf.reshape(x, [_TILE, _TILE, -1, height // _TILE, width // _TILE, channels])
    return tf.reshape(tf.transpose(x, [2, 3, 0, 4, 1, 5]), [-1, height, width, channels])


def _transformed(matrix, x):
    """A matrix [M, N] times N numbers along both axes, what is theirs in rows: [M * M, rest]."""
    both = np.kron(matrix, matrix)
    return tf.matmul(tf.constant(both, x.dtype), tf.reshape(x, [both.shape[1], -1]))


def _values(coefficients):
    """Matrix [6, coefficients]: from a polynomial's coefficients to its values at the points."""
    at_infinity = np.eye(coefficients)[-1:]
    return np.concatenate([np.vander(_POINTS, coefficients, increasing=True), at_infinity])


_KERNEL_EVALUATION = _values(3)
_EVALUATION = np.linalg.inv(_values(_WINDOW)).T
_INTERPOLATION = _values(_TILE).T


# ---- Convolution whose gradients are single products


def _single_product_pays(image_shape, kernel_shape, stride):
    """Whether there are few outputs in a row, along which the library works, of many channels."""
    return -(-image_shape[2] // stride) <= 12 and kernel_shape[-1] >= 128


def single_product(images, kernel, stride: int) -> tf.Tensor:
    """`tf.nn.conv2d(images, kernel, stride, "SAME")`, its gradients those of one product.

    That is all windows times the kernel. Forwards the library's convolution is as fast; its
    gradients take up to twice as long.

    Args:
        images: float [B, H, W, C].
        kernel: [K, K, C, D], of the same type.
        stride: between windows, pixels.

    Returns:
        float [B, H / stride, W / stride, D], sides rounded up.
    """

    @tf.custom_gradient
    def convolve(images, kernel) -> Any:
        def gradient(of_outputs):
            with tf.GradientTape() as tape:
                tape.watch((images, kernel))
                outputs = _product(images, kernel, stride)  # graphs leave its product out
            return tape.gradient(outputs, (images, kernel), of_outputs)

        return tf.nn.conv2d(images, kernel, stride, "SAME"), gradient

    return convolve(images, kernel)


def _product(images, kernel, stride):
    """The convolution as one product; arguments and result as of `single_product`."""
    _, height, width, inputs = images.shape
    size, _, _, outputs = kernel.shape
    windows = tf.reshape(_gathered(images, size, stride), [-1, size * size * inputs])
    x = tf.matmul(windows, tf.reshape(kernel, [-1, outputs]))
    return tf.reshape(x, [-1, -(-height // stride), -(-width // stride), outputs])


# ---- What both share


def _gathered(images, size, stride, taps_first=False):
    """The pixels of all windows, with SAME padding: [B * windows * size * size, C].

    Args:
        images: [B, H, W, C].
        size: pixels of a window along an axis.
        stride: from window to window, pixels.
        taps_first: the order is that of a window's pixels, then of images and windows; else of
            images, windows, a window's pixels.
    """
    _, height, width, channels = images.shape
    rows, above = _same_windows(height, size, stride)
    columns, beside = _same_windows(width, size, stride)
    padded = tf.pad(images, [(0, 0), above, beside, (0, 0)])
    height, width = height + sum(above), width + sum(beside)
    inside = rows[:, None, :, None] * width + columns[:, None, :]  # [K, K, rows, columns]
    first = tf.range(tf.shape(images)[0]) * (height * width)
    if taps_first:
        index = inside[:, :, None] + first[:, None, None]
    else:
        index = inside.transpose(2, 3, 0, 1) + first[:, None, None, None, None]
    return tf.gather(tf.reshape(padded, [-1, channels]), tf.reshape(index, [-1]))


def _same_windows(length, size, stride):
    """Pixels of an axis' windows, [size, windows], where SAME padding puts some before and behind.

    Returns:
        int32 pixels of the padded axis; how many are put before and behind.
    """
    starts = np.arange(0, length, stride, dtype=np.int32)
    padding = max(int(starts[-1]) + size - length, 0)
    pixels = np.arange(size, dtype=np.int32)[:, None] + starts
    return pixels, (padding // 2, padding - padding // 2)
