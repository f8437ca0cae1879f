"""Keypoints drawn as images: pose maps for the generator, body masks for the appearance encoder."""

import functools
import itertools

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.ops.drawing import CLOSING_SIZE
from dpig_tf2.ops.implementations import is_reference
from dpig_tf2.ops.keypoints import FAR_OUTSIDE, LIMBS, NUM_KEYPOINTS

POSE_MAP_RADIUS = 4


def pose_map(
    keypoints,
    height: int,
    width: int,
    radius: int = POSE_MAP_RADIUS,
    implementation: str = "fast",
) -> tf.Tensor:
    """One channel per keypoint, +1 inside a disc around it and -1 elsewhere.

    Args:
        keypoints: float [B, 18, 3], pixels (row, column, visibility). Coordinates are truncated
            toward zero; the disc is clipped at the border; invisible keypoints draw nothing.
        height, width: size of the map in pixels.
        radius: disc radius in pixels (inclusive).
        implementation: "reference" sets one pixel for each keypoint and dilates it by shifted
            copies; "fast" is one distance test, with equal results.

    Returns:
        float32 [B, H, W, 18] in {-1, +1}.

    Raises:
        DpigError: if radius < 1.
    """
    _check_radius(radius)
    draw = _dilated_pixels if is_reference(implementation) else _distance_test
    return draw(tf.cast(keypoints, tf.float32), height, width, radius)


def _dilated_pixels(keypoints, height, width, radius):
    row, column, visibility = tf.unstack(keypoints, axis=-1)

    def marks(values, length):
        padded = tf.one_hot(tf.cast(values, tf.int32) + radius, length + 2 * radius, axis=1)
        return padded * tf.cast(visibility > 0.5, tf.float32)[:, None]

    drawn = marks(row, height)[:, :, None] * marks(column, width)[:, None]
    copies = [
        drawn[:, y : y + height, x : x + width]
        for y, x in itertools.product(range(2 * radius + 1), repeat=2)
        if (y - radius) ** 2 + (x - radius) ** 2 <= radius**2
    ]
    return 2.0 * functools.reduce(tf.maximum, copies) - 1.0


def _distance_test(keypoints, height, width, radius):
    row, column, visibility = tf.unstack(keypoints, axis=-1)
    # Truncated coordinates are small integers, so float32 squared distances are exact.
    row_distance = tf.range(height, dtype=tf.float32)[:, None] - _truncate(row)[:, None, :]
    column_distance = tf.range(width, dtype=tf.float32)[:, None] - _truncate(column)[:, None, :]
    # An invisible keypoint is moved out of reach before the squares are combined: no extra mask.
    row_squared = tf.square(row_distance) + tf.where(visibility > 0.5, 0.0, np.inf)[:, None, :]
    # Squares are whole numbers and radius^2 + 0.5 is not: the difference is never zero, and its
    # sign is the map. On lines [W * 18] it runs along memory; broadcasting both terms would not.
    room = tf.tile(radius**2 + 0.5 - row_squared, [1, 1, width])
    taken = tf.reshape(tf.square(column_distance), [-1, 1, width * NUM_KEYPOINTS])
    return tf.reshape(tf.sign(room - taken), [-1, height, width, NUM_KEYPOINTS])


def body_mask(
    keypoints,
    height: int,
    width: int,
    radius: int,
    implementation: str = "reference",
    portable: bool = False,
) -> tf.Tensor:
    """Silhouette estimate from keypoints: thick limbs, then a 5x5 morphological closing.

    Discs are set at both ends of every limb whose two ends are visible, and along it every
    `length / int(length / radius)` pixels. Points are interpolated before truncation, in float64
    because a rounded coordinate would move a disc by a pixel. Coordinates more than one image size
    outside are first moved to there, which bounds the discs on a limb.

    Args:
        keypoints: float [B, 18, 3], pixels (row, column, visibility).
        height, width: size of the mask in pixels.
        radius: disc radius in pixels; the published masks use 4, 7, 8 and 10.
        implementation: "reference" convolves a map of disc centers; "fast" adds up where the rows
            of discs begin and end, with equal results in a tenth of the time.
        portable: computes without float64, scattering and sizes that depend on the keypoints, as
            ONNX and LiteRT can; equal but where float64 rounds a whole coordinate down, which moves
            one disc in a thousand by a pixel.

    Returns:
        float32 [B, H, W, 1] in {0, 1}.

    Raises:
        DpigError: if radius < 1.
    """
    _check_radius(radius)
    if portable:
        centers = _portable_disc_centers(tf.cast(keypoints, tf.float32), height, width, radius)
        return _closed_discs(centers, height, width, radius)
    found = _disc_centers(tf.cast(keypoints, tf.float64), height, width, radius)
    draw = _convolved_centers if is_reference(implementation) else _added_runs
    return draw(*found, tf.shape(keypoints)[0], height, width, radius)


def _disc_centers(keypoints, height, width, radius):
    """Pose [N] and place [N, 2] of every disc that may reach into the image, int32.

    Places are pixels (row, column) of the image with a border of `radius`.
    """
    start, stop, drawn = _limb_ends(keypoints, height, width)
    length = tf.sqrt(tf.reduce_sum(tf.square(stop - start), axis=-1))
    count = tf.where(drawn, tf.cast(length / radius, tf.int32), 0)

    # Steps 0 and n are the two ends; a limb shorter than the radius has only these.
    index = tf.range(tf.maximum(tf.reduce_max(count), 1) + 1)  # [S]
    last = tf.maximum(count, 1)[..., None]
    fraction = tf.cast(index, tf.float64) / tf.cast(last, tf.float64)  # [B, L, S]
    points = start[:, :, None, :] + (stop - start)[:, :, None, :] * fraction[..., None]
    points = tf.where((index == last)[..., None], stop[:, :, None, :], points)
    points = tf.cast(points, tf.int32) + radius  # truncation toward zero, then the padding

    padded = tf.constant([height + 2 * radius, width + 2 * radius])
    inside = tf.reduce_all((points >= 0) & (points < padded), axis=-1)
    used = tf.where(drawn[..., None] & (index <= last) & inside)  # [N, 3]: pose, limb, step
    return tf.cast(used[:, 0], tf.int32), tf.gather_nd(points, used)


def _convolved_centers(pose, place, count, height, width, radius):
    where = tf.concat([pose[:, None], place], axis=-1)
    shape = tf.stack([count, height + 2 * radius, width + 2 * radius])
    hits = tf.scatter_nd(where, tf.ones(tf.shape(where)[:1]), shape)
    return _closed_discs(tf.cast(hits > 0, tf.float32)[..., None], height, width, radius)


def _closed_discs(centers, height, width, radius):
    """The mask of disc centers, float32 [B, H + 2 radius, W + 2 radius, 1] in {0, 1}."""
    # VALID on the padded map brings the result back to H x W, with outside discs reaching in.
    discs = tf.nn.conv2d(centers, _disc(radius)[:, :, None, None], strides=1, padding="VALID")
    mask = tf.cast(discs > 0.5, tf.float32)
    # max_pool2d ignores what lies outside: 0 for the dilation, 1 for the erosion.
    dilated = tf.nn.max_pool2d(mask, CLOSING_SIZE, strides=1, padding="SAME")
    closed = -tf.nn.max_pool2d(-dilated, CLOSING_SIZE, strides=1, padding="SAME")
    # Of no rows oneDNN's convolution has the shape of its input.
    return tf.reshape(closed, [-1, height, width, 1])


def _added_runs(pose, place, count, height, width, radius):
    offset = np.arange(-radius, radius + 1, dtype=np.int32)
    reach = np.sqrt(radius**2 - offset**2).astype(np.int32)
    row = place[:, :1] - radius + offset  # [N, 2 radius + 1]
    column = place[:, 1:] - radius
    first = tf.maximum(column - reach, 0)
    behind = tf.minimum(column + reach, width - 1) + 1
    drawn = (row >= 0) & (row < height) & (first < behind)
    line = (pose[:, None] * height + row) * (width + 1)
    begun, ended = (tf.boolean_mask(line + edge, drawn) for edge in (first, behind))
    changes = tf.concat([tf.ones_like(begun), -tf.ones_like(ended)], axis=0)
    cells = tf.reshape(count * height * (width + 1), [1])
    runs = tf.scatter_nd(tf.concat([begun, ended], axis=0)[:, None], changes, cells)
    runs = tf.reshape(runs, [-1, height, width + 1])
    mask = tf.cumsum(runs, axis=2)[:, :, :width] > 0
    outside = tf.logical_not(_dilated(mask, height, width))
    closed = tf.logical_not(_dilated(outside, height, width))
    return tf.cast(closed, tf.float32)[..., None]


def _dilated(mask, height, width):
    """A mask bool [B, H, W] with every True grown to a square of `CLOSING_SIZE`."""
    border = CLOSING_SIZE // 2
    padded = tf.pad(mask, [[0, 0], [border, border], [0, 0]])
    rows = [padded[:, shift : shift + height] for shift in range(CLOSING_SIZE)]
    padded = tf.pad(functools.reduce(tf.logical_or, rows), [[0, 0], [0, 0], [border, border]])
    columns = [padded[:, :, shift : shift + width] for shift in range(CLOSING_SIZE)]
    return functools.reduce(tf.logical_or, columns)


def _portable_disc_centers(keypoints, height, width, radius):
    """`_disc_centers` with as many steps for each limb as the longest possible one has."""
    start, stop, drawn = _limb_ends(keypoints, height, width)
    longest = (1 + 2 * FAR_OUTSIDE) * np.hypot(height, width)
    steps = np.arange(max(int(longest / radius), 1) + 1, dtype=np.float32)  # [S]
    vector = stop - start
    squared_length = tf.reduce_sum(tf.square(vector), axis=-1, keepdims=True)
    reached = squared_length >= tf.constant(np.square(steps[1:] * radius))
    last = tf.maximum(tf.reduce_sum(tf.cast(reached, tf.float32), axis=-1, keepdims=True), 1.0)

    start, stop, vector = start[:, :, None], stop[:, :, None], vector[:, :, None]  # [B, L, 1, 2]
    count, index = last[..., None], tf.constant(steps[:, None])
    nearest = tf.round(start + vector * index / count)  # [B, L, S, 2]
    # Rounding may have crossed a whole number. This has its sign without a division, exactly where
    # keypoints lie on whole, half or quarter pixels.
    beyond = (start - nearest) * count + vector * index
    crossed = tf.cast(nearest * beyond < 0.0, tf.float32)
    points = tf.where(tf.equal(index, count), _truncate(stop), nearest - tf.sign(nearest) * crossed)
    used = tf.cast(drawn[..., None] & (steps <= last), tf.float32)

    def marks(places, length):
        along = tf.constant(np.arange(-radius, length + radius, dtype=np.float32))
        marked = tf.cast(tf.equal(places[..., None], along), tf.float32) * used[..., None]
        return tf.reshape(marked, [-1, len(LIMBS) * len(steps), length + 2 * radius])

    rows, columns = marks(points[..., 0], height), marks(points[..., 1], width)
    hits = tf.matmul(rows, columns, transpose_a=True)
    return tf.cast(hits > 0.5, tf.float32)[..., None]


def _limb_ends(keypoints, height, width):
    """Both ends [B, L, 2] of every limb, pixels, and whether it is drawn, bool [B, L]."""
    size = np.array([height, width], keypoints.dtype.as_numpy_dtype)
    places = tf.clip_by_value(keypoints[..., :2], -FAR_OUTSIDE * size, (1 + FAR_OUTSIDE) * size)
    keypoints = tf.concat([places, keypoints[..., 2:]], axis=-1)
    ends = tf.gather(keypoints, tf.constant(LIMBS), axis=1)  # [B, L, 2, 3]
    return ends[:, :, 0, :2], ends[:, :, 1, :2], tf.reduce_all(ends[..., 2] > 0.5, axis=-1)


def _disc(radius):
    offset = np.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).astype(np.float32)


def _truncate(values):
    return tf.cast(tf.cast(values, tf.int32), tf.float32)


def _check_radius(radius):
    if radius < 1:
        raise DpigError(f"radius must be at least 1 pixel, got {radius}")
