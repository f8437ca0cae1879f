"""Signatures as functions equal the sampler where an export is not compared to it."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.io.images import encode_png
from dpig_tf2.serving import photos, verification
from dpig_tf2.serving.signatures import available_signatures

pytestmark = pytest.mark.slow  # traces


def _called(signature, **inputs):
    found = signature.trace()(*(tf.constant(inputs[name]) for name in signature.inputs))
    return {name: tensor.numpy() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def persons(sampler):
    return verification.synthetic_persons(sampler.config.model, 2)


def test_keypoints_of_large_photos_are_moved_with_them(sampler, persons):
    """Also beside margins: photos of the model's own size would stay where they are."""
    model = sampler.config.model
    size = 3 * model.height, 4 * model.width
    large = tf.image.resize(persons["images"], size).numpy().astype(np.uint8)
    files = [encode_png(image) for image in large]
    given = persons["keypoints"] * np.float32((3, 4, 1))
    target = np.roll(given, -1, axis=0)
    encoded = available_signatures(sampler.model)[0]["transfer_encoded"]
    found = _called(encoded, image_bytes=files, keypoints=given, target_keypoints=target)
    images, scale, offset = photos.letterbox(tf.constant(files), model.height, model.width)
    moved = [photos.move(each, scale, offset).numpy() for each in (given, target)]
    assert (offset.numpy() > 0).any()
    expected = sampler.transfer(images.numpy(), *moved)
    drawn = np.stack([tf.io.decode_png(file).numpy() for file in found["image_bytes"]])
    assert np.abs(drawn.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("factor", ["foreground", "background", "pose"])
def test_given_noise_replaces_its_factor(sampler, persons, factor):
    signature = available_signatures(sampler.model, portable=True)[0][f"sample_{factor}"]
    one = {name: array[:1] for name, array in persons.items()}
    noise = sampler.draw_noise(1, factor, seed=3)
    found = _called(signature, **one, **{f"{factor}_noise": noise})
    expected = sampler.sample(1, [factor], one["images"], one["keypoints"], seed=3)
    np.testing.assert_allclose(found["appearance"], expected.appearance, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["keypoints"], expected.keypoints, rtol=1e-4, atol=1e-3)
    scale = sampler.config.model.noise_scale
    assert signature.inputs[f"{factor}_noise"].meaning.endswith(f"standard deviation {scale}")
