"""The fast convolutions of joined maps equal what the reference writes, values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.benchmarks import operations
from dpig_tf2.execution import Execution
from dpig_tf2.ops import convolutions, matrix_convolutions

pytestmark = pytest.mark.numeric  # also run with narrower instructions, see .ci/run


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _values_and_gradients(compute, *sources):
    sources = [tf.constant(source) for source in sources]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        result = compute(*sources)
    upstream = _random(*result.shape, seed=9)
    gradients = tape.gradient(result, sources, output_gradients=upstream)
    assert all(gradient is not None for gradient in gradients)
    return [result, *gradients]


def _assert_equal(compute, *sources):
    """`compute(implementation, *sources)` is the same in both implementations."""
    expected, found = (
        _values_and_gradients(lambda *s, i=implementation: compute(i, *s), *sources)
        for implementation in ("reference", "fast")
    )
    for wanted, one in zip(expected, found, strict=True):
        assert one.shape == wanted.shape
        np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.fixture
def algorithms(monkeypatch):
    """Every algorithm that is chosen."""
    chosen, choose = [], convolutions.choose_algorithm
    monkeypatch.setattr(
        convolutions,
        "choose_algorithm",
        lambda *a, **k: chosen.append(choose(*a, **k)) or chosen[-1],
    )
    return chosen


@pytest.mark.parametrize("height, width", [(7, 6), (1, 2)])
def test_convolution_of_a_vector_at_every_pixel(height, width):
    """Borders see fewer taps."""

    def compute(implementation, vector, images, kernel):
        everywhere = convolutions.broadcast(vector, images, implementation)
        joined = convolutions.concat(everywhere, images)
        assert tuple(joined.shape) == (2, height, width, 8)
        return convolutions.convolve(joined, kernel, 1, Execution(implementation=implementation))

    _assert_equal(
        compute, _random(2, 5), _random(2, height, width, 3, seed=1), _random(3, 3, 8, 4, seed=2)
    )


# Few channels: the doubling is folded into a transposed convolution. Many: Winograd saves more.
@pytest.mark.parametrize("channels, algorithm", [(5, "library"), (96, "winograd")])
def test_convolution_of_an_upsampled_map(algorithms, channels, algorithm):
    def compute(implementation, small, images, kernel):
        joined = convolutions.concat(convolutions.upsample(small, implementation), images)
        assert tuple(joined.shape) == (2, 8, 12, channels)
        return convolutions.convolve(joined, kernel, 1, Execution(implementation=implementation))

    small, images = _random(2, 4, 6, 2), _random(2, 8, 12, channels - 2, seed=1)
    _assert_equal(compute, small, images, _random(3, 3, channels, channels, seed=2))
    assert algorithms == ["library", algorithm]


@pytest.mark.parametrize("join", [convolutions.broadcast, convolutions.upsample])
def test_what_is_repeated_is_convolved_once(join):
    repeated = tf.zeros([2, 64] if join is convolutions.broadcast else [2, 8, 8, 64])
    images, kernel = tf.zeros([2, 16, 16, 8]), tf.zeros([3, 3, 72, 16])

    def work(implementation):
        def convolve(repeated, images, kernel):
            arguments = [images] if join is convolutions.broadcast else []
            joined = convolutions.concat(join(repeated, *arguments, implementation), images)
            execution = Execution(implementation=implementation)
            return convolutions.convolve(joined, kernel, 1, execution)

        return operations.count(tf.function(convolve), repeated, images, kernel)

    assert work("fast") < 0.6 * work("reference")


def test_a_doubled_map_is_a_repeated_one_made_by_few_operations():
    images = _random(2, 3, 4, 5)
    repeated = lambda x: tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)  # noqa: E731
    pairs = zip(
        *(_values_and_gradients(way, images) for way in (convolutions.doubled, repeated)),
        strict=True,
    )
    for found, expected in pairs:
        np.testing.assert_array_equal(found, expected)
    shape = tf.TensorSpec([None, 3, 4, 5])
    graph = tf.function(convolutions.doubled).get_concrete_function(shape).graph
    assert len(graph.get_operations()) <= 15


def test_a_joined_upsampled_map_is_that_of_keras():
    small, images = _random(2, 3, 4, 2), _random(2, 6, 8, 3, seed=1)
    doubled = keras.layers.UpSampling2D(2, interpolation="nearest")(small)
    expected = np.concatenate([doubled, images], axis=-1)
    for implementation in ("reference", "fast"):
        joined = convolutions.concat(convolutions.upsample(small, implementation), images)
        np.testing.assert_array_equal(convolutions.pixels(joined), expected)


def test_what_sees_single_pixels_runs_before_the_doubling():
    """A 1x1 convolution with its activation, joined to another map as in the decoder."""
    sizes = []

    def compute(implementation, small, images, kernel):
        def up(x):
            sizes.append(x.shape[1])
            return tf.nn.relu(
                convolutions.convolve(x, kernel, 1, Execution(implementation=implementation))
            )

        x = convolutions.pointwise(up, convolutions.upsample(small, implementation))
        return convolutions.pixels(convolutions.concat(x, images))

    _assert_equal(
        compute, _random(2, 3, 4, 5), _random(2, 6, 8, 3, seed=1), _random(1, 1, 5, 4, seed=2)
    )
    assert sizes == [6, 3]


def test_a_prepared_kernel_is_taken(algorithms):
    images, kernel = _random(2, 8, 8, 96), _random(3, 3, 96, 96, seed=1)
    prepared = convolutions.prepare_kernel(images.shape, kernel, 1, Execution())
    np.testing.assert_array_equal(prepared, matrix_convolutions.winograd_kernel(kernel))
    found = convolutions.convolve(images, tf.zeros_like(kernel), prepared=prepared)
    expected = tf.nn.conv2d(images, kernel, 1, "SAME")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    reference = Execution(implementation="reference")
    assert convolutions.prepare_kernel(images.shape, kernel, 1, reference) is None


_LARGE = (None, 16, 8, 128), (3, 3, 128, 128), 1


@pytest.mark.parametrize(
    "dtype, algorithm", [("float32", "winograd"), ("bfloat16", "winograd"), ("float16", "library")]
)
def test_float16_keeps_to_the_library(dtype, algorithm):
    assert convolutions.choose_algorithm(*_LARGE, dtype) == algorithm


def test_the_algorithm_depends_on_device_and_compiler(monkeypatch):
    def choose(**options):
        return convolutions.choose_algorithm(*_LARGE, "float32", Execution(**options))

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert choose() == "winograd"
    assert choose(jit_compile=True) == choose(implementation="reference") == "library"
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert choose() == "library"


@pytest.mark.parametrize("implementation", ["reference", "fast"])
def test_no_rows_give_no_rows_of_the_right_shape(implementation):
    """Networks are built so; on processors with AVX-512 the library's convolution fails at it."""
    execution = Execution(implementation=implementation)
    images, kernel = tf.zeros((0, 7, 6, 3)), tf.zeros((3, 3, 3, 5))
    assert convolutions.convolve(images, kernel, 1, execution).shape == (0, 7, 6, 5)
    assert convolutions.convolve(images, kernel, 2, execution).shape == (0, 4, 3, 5)
    vector = convolutions.broadcast(tf.zeros((0, 4)), images, implementation)
    joined = convolutions.concat(vector, images)
    assert convolutions.convolve(joined, tf.zeros((3, 3, 7, 5)), 1, execution).shape == (0, 7, 6, 5)


def test_unknown_implementation_is_refused():
    images = _random(1, 4, 4, 2)
    for compute in (
        lambda: convolutions.upsample(images, "plain"),
        lambda: convolutions.broadcast(images[:, 0, 0], images, "plain"),
    ):
        with pytest.raises(ValueError, match="one of reference, fast; got 'plain'"):
            compute()
