"""PersonModel: a row's numbers do not depend on the batch; composed functions are their parts."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.config import STAGES, ConfigError
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import ROWS_AT_ONCE, PersonModel

_COUNT = 2 * ROWS_AT_ONCE + 5
_SEED = 3


@pytest.fixture(scope="module")
def model(tiny_config):
    names = [n for stage in STAGES for n in factory.stage_networks(stage, tiny_config.model)]
    networks = factory.build_networks(names, tiny_config.model)
    rng = np.random.default_rng(0)
    for variable in (v for network in networks.values() for v in network.variables):
        variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    return PersonModel(tiny_config.model, networks)


def _keypoints(model, count, seed=0):
    rng = np.random.default_rng(seed)
    coordinates = rng.uniform(0, 1, (count, 18, 2)) * (model.config.height, model.config.width)
    return np.concatenate([coordinates, np.ones((count, 18, 1))], axis=-1).astype(np.float32)


def _images(model, count):
    shape = (count, model.config.height, model.config.width, 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("verb", ["encode_pose", "decode_pose", "foreground", "background", "pose"])
def test_a_row_has_the_same_bits_in_any_batch_and_place(model, verb):
    if verb == "encode_pose":
        rows, function = _keypoints(model, _COUNT), model.encode_pose
    elif verb == "decode_pose":
        rows, function = model.draw_noise(_COUNT, "pose", _SEED).numpy() * 5, model.decode_pose
    else:
        rows = model.draw_noise(_COUNT, verb, _SEED).numpy()
        function = lambda noise: model.map_noise(noise, verb)  # noqa: E731
    graph = tf.function(function).get_concrete_function(tf.TensorSpec([None, *rows.shape[1:]]))
    together = graph(tf.constant(rows)).numpy()
    assert len(np.unique(together.reshape(_COUNT, -1), axis=0)) == _COUNT
    for count in (1, 2, 3, ROWS_AT_ONCE, ROWS_AT_ONCE + 1):
        np.testing.assert_array_equal(graph(tf.constant(rows[:count])), together[:count])
    for shift in (1, 5, 11):
        moved = graph(tf.constant(np.roll(rows, shift, axis=0)))
        np.testing.assert_array_equal(moved, np.roll(together, shift, axis=0))


def test_codes_and_poses_of_nobody(model):
    codes = model.encode_pose(_keypoints(model, 0))
    assert codes.shape == model.draw_noise(0, "pose", _SEED).shape
    assert model.decode_pose(codes).shape == (0, 18, 3)
    assert model.sample(0, _SEED)["images"].shape == _images(model, 0).shape


def test_rows_have_gradients(model):
    noise = model.draw_noise(3, "background", _SEED)
    network = model.network("background_mapping")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(noise)
        found, expected = model.map_noise(noise, "background"), network(noise)
    gradient = tape.gradient(expected, noise).numpy()
    np.testing.assert_allclose(tape.gradient(found, noise), gradient, rtol=1e-4, atol=1e-5)
    assert np.abs(gradient).max() > 0


def test_the_small_networks_are_compiled_by_xla(model):
    keypoints = _keypoints(model, 3)
    compiled = tf.function(model.encode_pose, jit_compile=True)(tf.constant(keypoints))
    np.testing.assert_allclose(compiled, model.encode_pose(keypoints), rtol=1e-5, atol=1e-5)


def test_a_sample_is_mapped_noise_drawn(model):
    found = model.sample(2, _SEED)
    noise = {f: model.draw_noise(2, f, _SEED) for f in model.config.factors}
    codes = {f: model.map_noise(values, f) for f, values in noise.items()}
    keypoints = model.decode_pose(codes["pose"])
    appearance = model.join_appearance(codes)
    np.testing.assert_array_equal(found["appearance"], appearance)
    np.testing.assert_array_equal(found["keypoints"], keypoints)
    np.testing.assert_array_equal(found["images"], model.pictures(appearance, keypoints))
    again = model.draw({"background": 0 * codes["background"]}, noise)  # noise has precedence
    np.testing.assert_array_equal(again["appearance"], appearance)


@pytest.mark.parametrize("factor", ["foreground", "background", "pose"])
def test_a_sampled_factor_leaves_the_others(model, factor):
    images, keypoints = _images(model, 2), _keypoints(model, 2)
    found = model.sample_factor(factor, images, keypoints, _SEED)
    codes = model.split_appearance(found["appearance"].numpy())
    held = model.split_appearance(model.encode_appearance(images, keypoints).numpy())
    for name, code in codes.items():
        assert np.array_equal(code, held[name]) == (name != factor)
    assert np.array_equal(found["keypoints"], keypoints) == (factor != "pose")


def test_a_person_of_a_batch_is_encoded_with_its_parts(model):
    images, keypoints = _images(model, 2), _keypoints(model, 2)
    boxes, visibility = model.part_boxes(keypoints)
    person = {
        "image": images,
        "keypoints": keypoints,
        "body_mask": tf.cast(model.body_mask(keypoints), tf.uint8),
        "part_boxes": boxes,
        "part_visibility": visibility,
    }
    expected = model.encode_appearance(images, keypoints)
    np.testing.assert_array_equal(model.encode_person(person), expected)
    unseen = model.encode_person(person | {"part_visibility": tf.zeros_like(visibility)})
    assert not unseen[:, : model.config.foreground_embedding].numpy().any()


def test_names_the_network_that_is_missing(model):
    with pytest.raises(ConfigError, match="no trained generator") as caught:
        PersonModel(model.config, {}).network("generator")
    assert caught.value.field == "generator"
