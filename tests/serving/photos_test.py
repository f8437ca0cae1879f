import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.io.images import encode_jpeg, encode_png
from dpig_tf2.preparation import photos as prepared
from dpig_tf2.serving import photos

_SIZE = 64, 32


def _photo(height, width):
    image = synthetic.make_images(0, 1, 1)[0]
    return synthetic.render(image.foreground, image.background, image.pose, height, width)


@pytest.mark.parametrize("size", [(64, 32), (200, 100), (90, 120), (300, 61), (20, 10), (1100, 8)])
def test_photos_lie_as_in_records(size):
    """To a level, a few at sharp edges: Pillow clips between its two passes."""
    photo, placement = _photo(*size), prepared.place(size, _SIZE, "letterbox")
    expected = prepared.Photo(Image.fromarray(photo), True, pathlib.Path("photo.png"), b"")
    expected = expected.placed(placement)
    images, scale, offset = photos.letterbox(tf.constant([encode_png(photo)]), *_SIZE)
    assert images.shape == (1, *_SIZE, 3) and images.dtype == tf.uint8
    apart = np.abs(images.numpy()[0].astype(int) - expected)
    assert apart.mean() < 0.3 and (apart > 1).mean() < 0.005 and apart.max() <= 6

    keypoints = np.array([[[10.5, 20.25, 1], [0, 0, 0], [-3, 5, 1]]], np.float32)
    moved = photos.move(tf.constant(keypoints), scale, offset)
    np.testing.assert_allclose(moved[0], placement.keypoints(keypoints[0]), rtol=1e-6, atol=1e-5)


def test_a_batch_may_hold_photos_of_any_size_and_kind():
    encoded = [encode_png(_photo(40, 70)), encode_jpeg(_photo(128, 64))]
    images, scale, offset = photos.letterbox(tf.constant(encoded), *_SIZE)
    alone = [photos.letterbox(tf.constant([each]), *_SIZE)[0] for each in encoded]
    np.testing.assert_array_equal(images, tf.concat(alone, axis=0))
    np.testing.assert_allclose(scale, [32 / 70, 0.5])
    np.testing.assert_array_equal(offset, [[23, 0], [0, 0]])


def test_files_are_known_by_their_first_bytes():
    photo = _photo(*_SIZE)
    files = [encode_png(photo), encode_jpeg(photo), b"", b"GIF89a", b"\xff\xd8"]
    assert photos.are_files(tf.constant(files)).numpy().tolist() == [True, True] + 3 * [False]


def test_pictures_become_png_files():
    images = np.stack([_photo(*_SIZE), 255 - _photo(*_SIZE)])
    decoded = [tf.io.decode_png(file).numpy() for file in photos.encode(images).numpy()]
    np.testing.assert_array_equal(decoded, images)
