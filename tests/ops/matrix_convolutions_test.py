import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.benchmarks import operations
from dpig_tf2.ops import matrix_convolutions
from dpig_tf2.ops.matrix_convolutions import fastest, single_product, winograd


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _plain(images, kernel, stride=1):
    return tf.nn.conv2d(images, kernel, stride, "SAME")


def _with_gradients(convolve, images, kernel, *stride):
    """Result, gradient by the images, gradient by the kernel, for random output gradients."""
    images, kernel = tf.convert_to_tensor(images), tf.convert_to_tensor(kernel)
    with tf.GradientTape() as tape:
        tape.watch([images, kernel])
        result = convolve(images, kernel, *stride)
    upstream = _random(*result.shape, seed=9)
    return [result, *tape.gradient(result, [images, kernel], output_gradients=upstream)]


def _assert_equal(convolve, images, kernel, *stride, plain=_plain):
    expected = _with_gradients(plain, images, kernel, *stride)
    results = _with_gradients(convolve, images, kernel, *stride)
    for found, wanted in zip(results, expected, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("height, width", [(4, 4), (12, 16), (32, 4), (20, 8)])
def test_winograd_equals_the_plain_convolution(height, width):
    _assert_equal(winograd, _random(2, height, width, 5), _random(3, 3, 5, 7, seed=1))


def test_winograd_that_keeps_little_for_the_backward_pass_is_equal(monkeypatch):
    monkeypatch.setattr(matrix_convolutions, "_CHANNELS_TO_RECOMPUTE", 5)
    monkeypatch.setattr(tf, "recompute_grad", _counting(tf.recompute_grad, calls := []))
    _assert_equal(winograd, _random(2, 8, 4, 5), _random(3, 3, 5, 7, seed=1))
    _assert_equal(winograd, _random(2, 8, 4, 4), _random(3, 3, 4, 7, seed=1))
    assert len(calls) == 1


def _counting(function, calls):
    return lambda *arguments: calls.append(arguments) or function(*arguments)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("height, width", [(8, 4), (7, 3), (1, 2)])
def test_a_single_product_equals_the_plain_convolution(size, stride, height, width):
    kernel = _random(size, size, 5, 7, seed=1)
    _assert_equal(single_product, _random(2, height, width, 5), kernel, stride)


def test_of_a_single_product_only_the_gradients_are_products():
    images, kernel = _random(2, 8, 4, 5), _random(3, 3, 5, 7, seed=1)
    graph = tf.function(lambda *both: _with_gradients(single_product, *both, 2), autograph=False)
    np.testing.assert_array_equal(graph(images, kernel)[0], _plain(images, kernel, 2))
    operations = graph.get_concrete_function(images, kernel).graph.get_operations()
    assert [each.type for each in operations if each.type.startswith("Conv")] == ["Conv2D"]


@pytest.mark.parametrize("convolve", [winograd, lambda *both: single_product(*both, 1)])
def test_gradients_of_gradients_are_those_of_the_plain_convolution(convolve):
    """As a penalty of gradients needs them."""
    images, kernel = _random(2, 8, 4, 5), _random(3, 3, 5, 7, seed=1)

    def penalty(convolve):
        def squared_gradients(images, kernel):
            with tf.GradientTape() as tape:
                tape.watch(images)
                activations = tf.tanh(convolve(images, kernel))
            return tf.square(tape.gradient(activations, images))

        return squared_gradients

    _assert_equal(penalty(convolve), images, kernel, plain=penalty(_plain))


def test_any_batch_size():
    kernel = tf.constant(_random(3, 3, 5, 7))
    signature = [tf.TensorSpec([None, 8, 4, 5])]
    tiled = tf.function(lambda x: winograd(x, kernel), signature)
    product = tf.function(lambda x: single_product(x, kernel, 1), signature)
    for batch in (1, 3):
        images = _random(batch, 8, 4, 5, seed=batch)
        expected = _plain(images, kernel)
        np.testing.assert_allclose(tiled(images), expected, atol=1e-4)
        np.testing.assert_allclose(product(images), expected, atol=1e-4)


def test_the_documented_rounding(monkeypatch):
    """At the size of a decoder level; the largest output is some five standard deviations.

    In bfloat16, of 8 significant bits, Winograd's algorithm rounds the results of four products and
    the numbers of its fixed matrices. The spread of that error is the one of exact products rounded
    to nearest, computed here: 1.6 % of the outputs' standard deviation. Processors without bfloat16
    instructions truncate instead: the spread is the same, and each result shrinks by at most 2**-8.
    """
    images, kernel = _random(2, 32, 16, 192), _random(3, 3, 192, 192, seed=1)
    exact = _plain(images.astype(np.float64), kernel.astype(np.float64)).numpy()

    def error(convolve, dtype):
        found = tf.cast(convolve(tf.cast(images, dtype), tf.cast(kernel, dtype)), tf.float64)
        return found.numpy() - exact

    def deviation(convolve):
        return error(convolve, tf.bfloat16).std() / exact.std()

    products, matmul = [], tf.matmul

    def round_to_nearest(a, b):
        products.append(1)
        return tf.cast(matmul(tf.cast(a, tf.float64), tf.cast(b, tf.float64)), a.dtype)

    with monkeypatch.context() as patch:
        patch.setattr(tf, "matmul", round_to_nearest)
        spread = deviation(winograd)
    assert len(products) == 4
    assert 0.015 < spread < 0.017
    assert deviation(winograd) < np.hypot(spread, 4 * 2**-8)
    assert deviation(_plain) < 0.005
    assert np.abs(error(winograd, tf.float32)).max() < 5e-6 * np.abs(exact).max()


def test_winograd_needs_a_quarter_of_the_products_and_the_transforms():
    images, kernel = tf.zeros([8, 16, 8, 128]), tf.zeros([3, 3, 128, 128])
    plain, tiled = (
        operations.count(tf.function(convolve), images, kernel) for convolve in (_plain, winograd)
    )
    assert 0.25 < tiled / plain < 0.4


@pytest.mark.parametrize(
    "image, kernel, stride, algorithm",
    [
        ((8, 64, 32, 128), (3, 3, 128, 128), 1, "winograd"),
        ((8, 64, 32, 128), (3, 3, 128, 128), 2, "library"),
        ((8, 64, 32, 128), (5, 5, 128, 128), 1, "library"),
        ((8, 66, 32, 512), (3, 3, 512, 512), 1, "library"),  # no whole tiles
        ((8, 128, 64, 128), (3, 3, 128, 128), 1, "winograd"),  # however long the sides
        ((8, 128, 64, 64), (3, 3, 64, 64), 1, "library"),  # too few channels
        ((8, 128, 64, 256), (3, 3, 256, 3), 1, "library"),  # few outputs: nothing to save
        ((8, 8, 4, 16), (3, 3, 16, 16), 1, "library"),
        ((None, 8, 4, 160), (3, 3, 160, 160), 1, "winograd"),
        ((8, 16, 8, 256), (5, 5, 256, 512), 2, "single_product"),
        ((56, 3, 3, 160), (3, 3, 160, 160), 1, "single_product"),
        ((8, 32, 16, 128), (5, 5, 128, 256), 2, "single_product"),  # eight outputs in a row
        ((8, 32, 24, 128), (5, 5, 128, 128), 2, "single_product"),  # twelve
        ((8, 32, 25, 128), (5, 5, 128, 128), 2, "library"),
        ((8, 32, 24, 128), (5, 5, 128, 127), 2, "library"),  # too few channels
        ((8, 8, 4, 256), (1, 1, 256, 256), 1, "library"),  # a product already
    ],
)
def test_the_fastest_algorithm_follows_the_shape(image, kernel, stride, algorithm):
    assert fastest(image, kernel, stride) == algorithm
