"""Convolutions as matrix products, on CPU faster than the library's for some shapes.

What a convolution gathers along an axis (tiles, windows, with SAME padding) is a product with a
fixed matrix over the whole axis. Such products run at the machine's best speed, backwards too; the
zeros in them cost little while the axes are short.
"""

import functools

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
_ROWS_AT_A_TIME = 4  # of tiles, at most

# And infinity. Rounding shows half as much as with the customary 0, +-1, +-2, in any precision.
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)

# Below this mean number of channels the transforms cost more than the products that they save.
_FEWEST_CHANNELS = 96

# From here on only images and kernel are kept for the backward pass: their values at the points are
# 9/4 and 4 times as large, and computing them again costs little beside so many products.
_CHANNELS_TO_RECOMPUTE = 256


def _winograd_pays(image_shape, kernel_shape):
    """Whether the sides are whole tiles, and the products saved more than the transforms cost.

    The transforms cost as many channels as a side has pixels.
    """
    _, height, width, _ = image_shape
    *_, inputs, outputs = kernel_shape
    channels = 2 * inputs * outputs / (inputs + outputs)
    whole_tiles = height % _TILE == 0 and width % _TILE == 0
    return whole_tiles and channels >= max(2 * height, 2 * width, _FEWEST_CHANNELS)


def winograd(images, kernel) -> tf.Tensor:
    """`tf.nn.conv2d(images, kernel, 1, "SAME")` with a quarter of the products.

    Equal to rounding: some 3e-6 of the largest output in float32; in bfloat16 1.7 % of the outputs'
    standard deviation, 2.3 % on processors that truncate products for lack of bfloat16
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
    taps = tf.reshape(kernel, [9, inputs * outputs])
    at_points = tf.matmul(tf.constant(_kernel_evaluation(), kernel.dtype), taps)
    return tf.reshape(at_points, [_WINDOW**2, inputs, outputs])


def winograd_with(images, kernel_at_points) -> tf.Tensor:
    """`winograd` with a kernel that `winograd_kernel` has prepared."""
    return _interpolated(tf.matmul(_images_at_points(images), kernel_at_points), images.shape)


def _images_at_points(images):
    """[B, H, W, C] -> [36, tiles, C]."""
    _, height, width, channels = images.shape
    rows, columns = height // _TILE, width // _TILE
    x = _along_axes(_evaluation(height), _evaluation(width), images)
    x = tf.reshape(x, [-1, _WINDOW, rows, _WINDOW, columns * channels])
    return tf.reshape(tf.transpose(x, [1, 3, 0, 2, 4]), [_WINDOW**2, -1, channels])


def _interpolated(at_points, image_shape):
    """[36, tiles, D] -> [B, H, W, D]."""
    _, height, width, _ = image_shape
    channels = at_points.shape[-1]
    rows, columns = height // _TILE, width // _TILE
    # Tiles' outputs do not overlap, so a few rows of tiles are interpolated at a time: this keeps
    # the interpolated axis, and with it the matrix, short.
    rows = max(count for count in range(1, _ROWS_AT_A_TIME + 1) if rows % count == 0)
    x = tf.reshape(at_points, [_WINDOW, _WINDOW, -1, rows, columns * channels])
    x = tf.transpose(x, [2, 0, 3, 1, 4])
    x = tf.reshape(x, [-1, _WINDOW * rows, _WINDOW * columns, channels])
    x = _along_axes(_interpolation(_TILE * rows), _interpolation(width), x)
    return tf.reshape(x, [-1, height, width, channels])


def _values(coefficients):
    """Matrix [6, coefficients]: from a polynomial's coefficients to its values at the points."""
    at_infinity = np.eye(coefficients)[-1:]
    return np.concatenate([np.vander(_POINTS, coefficients, increasing=True), at_infinity])


@functools.cache
def _evaluation(length):
    """[6 * tiles, length]: the tiles of an axis at each point."""
    inside = _windows(length, _WINDOW, _TILE, before=1)
    return np.einsum("pk,ktl->ptl", np.linalg.inv(_values(_WINDOW)).T, inside).reshape(-1, length)


@functools.cache
def _kernel_evaluation():
    """[36, 9]: a kernel at the points of both axes."""
    return np.kron(_values(3), _values(3))


@functools.cache
def _interpolation(length):
    """[length, 6 * tiles]: from the values at the points to the outputs of an axis."""
    place = _windows(length, _TILE, _TILE, before=0)
    return np.einsum("pk,ktl->lpt", _values(_TILE), place).reshape(length, -1)


# ---- Convolution as one product


def _single_product_pays(image_shape, kernel_shape, stride):
    """Whether there are few outputs in a row, along which the library works, of many channels.

    Gathering the windows costs as many channels as a side has pixels.
    """
    _, height, width, _ = image_shape
    return width <= 4 * stride and kernel_shape[-1] >= 4 * max(height, width)


def single_product(images, kernel, stride: int) -> tf.Tensor:
    """`tf.nn.conv2d(images, kernel, stride, "SAME")`: all windows times the kernel.

    Args:
        images: float [B, H, W, C].
        kernel: [K, K, C, D], of the same type.
        stride: between windows, pixels.

    Returns:
        float [B, H / stride, W / stride, D], sides rounded up.
    """
    _, height, width, inputs = images.shape
    size, _, _, outputs = kernel.shape
    rows, columns = -(-height // stride), -(-width // stride)
    x = _along_axes(*(_same_windows(length, size, stride) for length in (height, width)), images)
    x = tf.reshape(x, [-1, size, rows, size, columns, inputs])
    x = tf.reshape(tf.transpose(x, [0, 2, 4, 1, 3, 5]), [-1, size * size * inputs])
    x = tf.matmul(x, tf.reshape(kernel, [-1, outputs]))
    return tf.reshape(x, [-1, rows, columns, outputs])


@functools.cache
def _same_windows(length, size, stride):
    """[size * windows, length]: the pixels of an axis that each tap meets, with SAME padding."""
    count = -(-length // stride)
    padding = max((count - 1) * stride + size - length, 0)
    return _windows(length, size, stride, before=padding // 2).reshape(-1, length)


# ---- What both share


def _along_axes(row_matrix, column_matrix, images):
    """[B, H, W, C] -> [B, H', W', C] by a matrix [H', H] for rows and one [W', W] for columns."""
    _, height, width, channels = images.shape
    row_matrix, column_matrix = (tf.constant(m, images.dtype) for m in (row_matrix, column_matrix))
    x = tf.matmul(row_matrix, tf.reshape(images, [-1, height, width * channels]))
    x = tf.matmul(column_matrix, tf.reshape(x, [-1, width, channels]))
    return tf.reshape(x, [-1, row_matrix.shape[0], column_matrix.shape[0], channels])


def _windows(length, size, stride, before):
    """[size, windows, length] in {0, 1}: which pixel is the k-th of a window; none in the padding.

    Args:
        length: pixels of the axis.
        size: pixels of a window.
        stride: from window to window.
        before: padding before the first pixel.
    """
    pixel = stride * np.arange(-(-length // stride)) + np.arange(size)[:, None] - before
    return (pixel[..., None] == np.arange(length)).astype(np.float64)
