import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2.ops import images


def test_ranges():
    pixels = np.array([0, 51, 127.5, 255])
    np.testing.assert_allclose(images.to_network_range(pixels), [-1, -0.6, 0, 1], atol=1e-7)
    units = np.array([-1.5, -1, 0, 0.5, 1, 2], np.float32)
    np.testing.assert_allclose(images.to_pixel_range(units), [0, 0, 127.5, 191.25, 255, 255])


def test_uint8_round_trip_is_exact():
    levels = np.arange(256, dtype=np.uint8)
    back = images.to_uint8(images.to_network_range(levels))
    assert back.dtype == tf.uint8
    np.testing.assert_array_equal(back, levels)


def test_to_uint8_rounds_to_the_nearest_level():
    units = np.array([10.4, 10.6, -30, 300], np.float32) / 127.5 - 1
    np.testing.assert_array_equal(images.to_uint8(units), [10, 11, 0, 255])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_decoding_equals_pillow(kind):
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (8, 4, 3), np.uint8)
    picture = Image.fromarray(smooth).resize((32, 64), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    picture.save(encoded, kind)
    decoded = images.decode_image(encoded.getvalue()).numpy()
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(encoded)))


def test_refuses_what_is_no_image():
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode_image(b"not an image")


def _encoded(kind, height, width):
    encoded = io.BytesIO()
    Image.new("RGB", (width, height)).save(encoded, kind)
    return encoded.getvalue()


def test_refuses_another_size():
    png = _encoded("PNG", 9, 4)
    assert images.decode_image(png, (9, 4)).shape == (9, 4, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image of the wrong size"):
        images.decode_image(png, (8, 4))
    assert not images.decodes_to(png, np.full((9, 4, 3), 2, np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_refuses_more_pixels_than_are_read(monkeypatch, kind):
    monkeypatch.setattr(images, "MAX_PIXELS", 31)
    monkeypatch.setattr(images, f"_decode_{kind.lower()}", None)  # nothing is decoded
    with pytest.raises(tf.errors.InvalidArgumentError, match="image of the wrong size"):
        images.decode_image(_encoded(kind, 8, 4))


def test_refuses_what_tensorflow_decodes_besides():
    """Where a PNG has its size a GIF has colors, which its author chooses."""
    gif = bytearray(_encoded("GIF", 30, 40))
    gif[16:24] = b"\0\0\0\x20\0\0\0\x40"
    for size in (None, (64, 32)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image of the wrong size"):
            images.decode_image(bytes(gif), size)
