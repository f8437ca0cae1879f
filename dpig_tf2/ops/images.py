"""The one place that converts between stored pixels and network units."""

import tensorflow as tf


def to_network_range(images) -> tf.Tensor:
    """Pixels in [0, 255] (any dtype) to float32 in [-1, 1]: x / 127.5 - 1."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_pixel_range(images) -> tf.Tensor:
    """Network units to float32 pixels, clipped to [0, 255] and not rounded."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1.0) * 127.5, 0.0, 255.0)


def to_uint8(images) -> tf.Tensor:
    """Network units to uint8 pixels: rounded to the nearest level, clipped to [0, 255]."""
    return tf.cast(tf.round(to_pixel_range(images)), tf.uint8)


def decode_image(encoded) -> tf.Tensor:
    """Encoded JPEG or PNG bytes to uint8 [H, W, 3], equal to what Pillow decodes.

    TensorFlow's default JPEG transform is up to 8 levels off; the accurate one makes a file the
    same image in every program.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are neither a JPEG nor a PNG image.
    """
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(encoded, channels=3),
    )
