"""Stored pixels to network units and back, the one place of it; encoded images in a graph."""

import functools

import numpy as np
import tensorflow as tf

from dpig_tf2.io.images import MAX_PIXELS

# How such files begin; the former as for `tf.io.is_jpeg`.
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


def to_network_range(images) -> tf.Tensor:
    """Pixels in [0, 255] (any dtype) to float32 in [-1, 1]: x / 127.5 - 1."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_pixel_range(images) -> tf.Tensor:
    """Network units to float32 pixels, clipped to [0, 255] and not rounded."""
    return tf.clip_by_value((tf.cast(images, tf.float32) + 1.0) * 127.5, 0.0, 255.0)


def to_uint8(images) -> tf.Tensor:
    """Network units to uint8 pixels: rounded to the nearest level, clipped to [0, 255]."""
    return tf.cast(tf.round(to_pixel_range(images)), tf.uint8)


def encoded_size(encoded) -> tf.Tensor:
    """Rows and columns, int32 [2], that the header of a JPEG or PNG image promises; else 0 x 0.

    Raises:
        tf.errors.InvalidArgumentError: if the header of a JPEG image is damaged.
    """

    def png_size():
        # The first chunk, which tells the size, begins at byte 8; big-endian columns, rows.
        header = tf.strings.join([tf.strings.substr(encoded, 0, 24), 24 * "\0"])
        stored = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
        # TensorFlow decodes other formats, too, whose headers tell other things here.
        is_png = tf.equal(tf.strings.substr(header, 0, len(_PNG)), _PNG)
        return tf.where(is_png, tf.reverse(tf.ensure_shape(stored, [2]), [0]), 0)

    return tf.cond(tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2], png_size)


def decode_image(encoded, size: tuple[int, int] | None = None) -> tf.Tensor:
    """Encoded JPEG or PNG bytes to uint8 [H, W, 3], equal to what Pillow decodes.

    TensorFlow's default JPEG transform is up to 8 levels off; the accurate one makes a file the
    same image in every program. Nothing is decoded if the header promises another size.

    Args:
        encoded: string [], the file.
        size: rows and columns that it must have; None admits up to `MAX_PIXELS` pixels.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes are neither a JPEG nor a PNG image, or one of
            another size.
    """
    promised = encoded_size(encoded)
    if size is None:
        sides = tf.cast(promised, tf.int64)
        fits = tf.reduce_all(sides > 0) & (tf.reduce_prod(sides) <= MAX_PIXELS)
    else:
        fits = tf.reduce_all(promised == size)
    refusal = tf.raw_ops.Assert(condition=fits, data=["image of the wrong size", promised])
    with tf.control_dependencies([] if refusal is None else [refusal]):
        encoded = tf.identity(encoded)
    return tf.cond(
        tf.io.is_jpeg(encoded), lambda: _decode_jpeg(encoded), lambda: _decode_png(encoded)
    )


def _decode_jpeg(encoded):
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_png(encoded):
    return tf.io.decode_png(encoded, channels=3)


def decodes_to(encoded: bytes, pixels) -> bool:
    """Whether `decode_image` gives these pixels, [H, W, 3]; outside graphs only.

    The decoders of two libraries may round otherwise, and fill what damage cut out otherwise.
    """
    # Not a graph, which other threads would run: for small pictures the change takes longer.
    decode = _decode_jpeg if encoded.startswith(_JPEG) else _decode_png
    try:
        decoded = decode(encoded).numpy()
    except _REFUSALS:
        return False
    pixels = np.asarray(pixels)
    if decoded.shape != pixels.shape:
        return False
    return bool(np.abs(decoded - pixels.astype(np.int16)).mean() < 1)


def is_decodable(encoded: bytes, size: tuple[int, int] | None = None) -> bool:
    """Whether `decode_image` decodes the bytes; outside graphs only."""
    try:
        _decoder(size)(encoded)
    except _REFUSALS:
        return False
    return True


# TensorFlow's messages may hold bytes of the image, at which its own Python side fails.
_REFUSALS = (tf.errors.OpError, UnicodeDecodeError)


@functools.lru_cache(maxsize=16)
def _decoder(size):
    """`decode_image` for one size, traced once."""
    return tf.function(
        functools.partial(decode_image, size=size),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
