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


def repeated(x, rounds=8):
    return tf.while_loop(
        lambda i, _: i < rounds, lambda i, x: (i + 1, tf.matmul(x, SQUARE)), [tf.constant(0), x]
    )[1]


def repeated_by_python(x):
    for _ in tf.range(2, 18, 2):
        x = tf.matmul(x, SQUARE)
    return x


def repeated_an_uneven_number_of_times(x):
    for _ in tf.range(2, 17, 2):
        x = tf.matmul(x, SQUARE)
    return x


def never_repeated(x):
    return tf.while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, tf.matmul(x, SQUARE)), [tf.constant(9), x]
    )[1]


def kept(x):
    KEPT.assign(tf.matmul(x, SQUARE))


def kept_in_every_round(x):
    for _ in tf.range(8):
        kept(x)


def awaited(x):
    with tf.control_dependencies([tf.matmul(x, SQUARE)]):
        return tf.identity(x)


def of_each_row(x):
    return tf.map_fn(lambda row: tf.matmul(row[tf.newaxis], SQUARE), x)


def twice_repeated(x):
    return tf.while_loop(
        lambda i, _: i < 3, lambda i, x: (i + 1, repeated(x)), [tf.constant(0), x]
    )[1]


def gradient_of_repeated(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = repeated(x)
    return y, tape.gradient(y, x)


SQUARE = tf.eye(5)
ROWS = tf.ones([4, 5])
KEPT = tf.Variable(tf.zeros([4, 5]))
ONE_PRODUCT = 2 * 4 * 5 * 5


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (repeated, 8 * ONE_PRODUCT),
        (repeated_by_python, 8 * ONE_PRODUCT),
        (repeated_an_uneven_number_of_times, 8 * ONE_PRODUCT),
        (never_repeated, 0),
        (awaited, ONE_PRODUCT),
        (kept, ONE_PRODUCT),  # whose result is nobody's, but which has an effect
        (kept_in_every_round, 8 * ONE_PRODUCT),
        (of_each_row, ONE_PRODUCT),
        (twice_repeated, 24 * ONE_PRODUCT),
        # Backward as many rounds as forward.
        (gradient_of_repeated, 16 * ONE_PRODUCT),
    ],
)
def test_products_in_loops_count_for_every_round(function, expected):
    assert operations.count(tf.function(function), ROWS) == expected


def test_loops_of_unknown_length_leave_the_number_open():
    assert operations.count(tf.function(repeated), ROWS, tf.constant(8)) is None

    def until_large(x):
        return tf.while_loop(
            lambda x: tf.reduce_sum(x) < 9.0, lambda x: (tf.matmul(x, SQUARE) + 1.0,), [x]
        )

    assert operations.count(tf.function(until_large), ROWS) is None

    def moving_end(x):
        return tf.while_loop(
            lambda i, end, x: i < end,
            lambda i, end, x: (i + 1, end - 1, tf.matmul(x, SQUARE)),
            [tf.constant(0), tf.constant(8), x],
        )

    assert operations.count(tf.function(moving_end), ROWS) is None


@pytest.mark.parametrize(
    ("condition", "following"),
    [
        (lambda i, j: i <= 8, lambda i, j: (i + 1, j)),
        (lambda i, j: i < 8, lambda i, j: (i * 2, j)),
        (lambda i, j: i < 8, lambda i, j: (i - 1, j)),
        (lambda i, j: i < 8, lambda i, j: (i + -1, j)),
        (lambda i, j: i < 8, lambda i, j: (j + 1, i + 2)),
    ],
)
def test_loops_of_another_kind_leave_the_number_open(condition, following):
    def loop(x):
        return tf.while_loop(
            lambda i, j, _: condition(i, j),
            lambda i, j, x: (*following(i, j), tf.matmul(x, SQUARE)),
            [tf.constant(1), tf.constant(1), x],
        )

    def within(x):
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, loop(x)[2]), [0, x])

    assert operations.count(tf.function(loop), ROWS) is None
    assert operations.count(tf.function(within), ROWS) is None


def test_loops_without_products_do_not_matter():
    def halved(x):
        return tf.while_loop(lambda x: tf.reduce_sum(x) > 1.0, lambda x: (x / 2.0,), [x])

    assert operations.count(tf.function(halved), ROWS) == 0
