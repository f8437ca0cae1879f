"""Encoded photos of any size in the graph of a SavedModel: decoded, and brought to the model's."""

from typing import Any

import tensorflow as tf

from dpig_tf2.ops import images as image_ops

_GRAY = 128  # of margins, as `preparation.photos` has them


def letterbox(encoded, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Photos with their proportions kept, and gray margins.

    As `preparation.photos` places them with "letterbox", to a level, a few at sharp edges. A photo
    is taken as it is stored: without the orientation that a camera noted.

    Args:
        encoded: string [B], JPEG or PNG files.
        height, width: of the result, pixels.

    Returns:
        images: uint8 [B, height, width, 3].
        scale: float32 [B], pixels of the result in one pixel of the photo.
        offset: float32 [B, 2], rows and columns above and left of the photo.
    """
    kinds: Any = (
        tf.TensorSpec([height, width, 3], tf.uint8),
        tf.TensorSpec([]),
        tf.TensorSpec([2]),
    )
    return tf.map_fn(lambda photo: _place(photo, height, width), encoded, fn_output_signature=kinds)


def move(keypoints, scale, offset) -> tf.Tensor:
    """Keypoints [B, 18, 3] of photos in the pixels of `letterbox`; missing ones stay (0, 0, 0)."""
    places = keypoints[..., :2] * scale[:, None, None] + offset[:, None, :]
    places = tf.where(keypoints[..., 2:] > 0.5, places, 0.0)
    return tf.concat([places, keypoints[..., 2:]], axis=-1)


def encode(images) -> tf.Tensor:
    """Pictures uint8 [B, H, W, 3] as PNG files, string [B]."""
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)


def are_files(encoded) -> tf.Tensor:
    """Which of the strings [B] begin as JPEG or PNG files do."""
    starts = tf.strings.substr(encoded, 0, 4)
    png = tf.equal(starts, b"\x89PNG")
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    return png | jpeg


def _place(encoded, height, width):
    photo = image_ops.decode_image(encoded)
    size = tf.cast(tf.shape(photo)[:2], tf.float64)
    scale = tf.reduce_min(tf.constant([height, width], tf.float64) / size)
    inner = tf.cast(tf.maximum(tf.round(size * scale), 1.0), tf.int32)
    resized = tf.image.resize(photo, inner, "lanczos3", antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
    top, left = tf.unstack((tf.constant([height, width]) - inner) // 2)
    bottom, right = height - inner[0] - top, width - inner[1] - left
    placed = tf.pad(pixels, [[top, bottom], [left, right], [0, 0]], constant_values=_GRAY)
    offset = tf.cast(tf.stack([top, left]), tf.float32)
    return tf.ensure_shape(placed, [height, width, 3]), tf.cast(scale, tf.float32), offset
