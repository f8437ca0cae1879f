import pytest
import tensorflow as tf

from dpig_tf2.benchmarks import operations

X = tf.zeros([2, 8, 6, 3])
KERNEL = tf.zeros([3, 3, 3, 5])
ONE_CONVOLUTION = 2 * (2 * 8 * 6 * 5) * (3 * 3 * 3)


def convolution(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def gradients(x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolution(x, kernel)
    return tape.gradient(y, [x, kernel])


def doubled(small, kernel):
    return tf.nn.conv2d_transpose(small, kernel, [2, 8, 6, 5], strides=2)


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (convolution, [X, KERNEL], ONE_CONVOLUTION),
        # Not the forward: no gradient of a convolution needs its result.
        (gradients, [X, KERNEL], 2 * ONE_CONVOLUTION),
        (doubled, [tf.zeros([2, 4, 3, 7]), tf.zeros([4, 4, 5, 7])], 2 * (2 * 4 * 3 * 7) * 80),
        (tf.matmul, [tf.zeros([4, 5]), tf.zeros([5, 6])], 2 * 4 * 5 * 6),
        (
            lambda a, b: tf.matmul(a, b, transpose_b=True),
            [tf.zeros([3, 4, 5]), tf.zeros([3, 6, 5])],
            2 * 3 * 4 * 5 * 6,
        ),
        (
            lambda a, b: tf.matmul(a, b, transpose_a=True),
            [tf.zeros([5, 4]), tf.zeros([5, 6])],
            2 * 4 * 5 * 6,
        ),
        # One matrix for all of a batch.
        (tf.matmul, [tf.zeros([4, 5]), tf.zeros([3, 5, 6])], 2 * 3 * 4 * 5 * 6),
        (
            lambda a, b: tf.einsum("bi,xij->bxj", a, b),
            [tf.zeros([2, 3]), tf.zeros([9, 3, 4])],
            2 * 2 * 9 * 3 * 4,
        ),
        (lambda x: tf.nn.relu(x) + 1.0, [X], 0),
    ],
)
def test_products_are_counted(function, arguments, expected):
    assert operations.count(tf.function(function), *arguments) == expected
