import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import PersonSampler, config, testing
from dpig_tf2.config import ConfigError
from dpig_tf2.execution import Execution
from dpig_tf2.models import factory, weights
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.body_parts import NUM_REGIONS

_SIZES = {
    "model.hidden": 4, "model.region_embedding": 8, "model.background_embedding": 64,
    "model.placed_channels": 4, "model.pose_hidden": 8, "model.foreground_mapping_hidden": 8,
    "model.background_mapping_hidden": 8, "model.pose_mapping_hidden": 8,
}  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["anchors", "texels"])
def model(request):
    """A small placed model whose weights are all other than 0."""
    sizes = _SIZES | {"model.texels": request.param}
    settings = config.preset("modern").override(**sizes).model
    names = [name for stage in config.STAGES for name in factory.stage_networks(stage, settings)]
    networks = factory.build_networks(names, settings)
    rng = np.random.default_rng(0)
    for network in networks.values():
        for variable in network.trainable_variables:
            variable.assign(variable + rng.normal(scale=0.1, size=variable.shape))
    return PersonModel(settings, networks)


@pytest.fixture(scope="module")
def persons(model):
    return testing.random_person(model.config, 3, seed=2)


def test_there_are_no_adversaries(model):
    assert sorted(model.networks) == [
        "appearance_encoder", "background_mapping", "foreground_mapping", "generator",
        "pose_decoder", "pose_encoder", "pose_mapping",
    ]  # fmt: skip


def test_shapes(model, persons):
    embedding = model.encode_person(persons)
    assert embedding.shape == (3, 7 * 8 + 64)
    assert model.pictures(embedding, persons["keypoints"]).shape == (3, 128, 64, 3)
    assert model.sample(2, 0)["images"].shape == (2, 128, 64, 3)


def test_graphs_are_small(model):
    """Making them is most of what a program that draws one picture waits for."""
    maps = [tf.TensorSpec([None, *shape]) for shape in ((128, 64, 3), (18, 3), (120,))]
    more = 250 if model.config.texels else 0
    for verb, specs, most in (
        (model.encode_appearance, [maps[0], maps[1]], 1000 + more),
        (model.pictures, [maps[2], maps[1]], 900 + more),
    ):
        graph = tf.function(verb, autograph=False).get_concrete_function(*specs).graph
        assert len(graph.get_operations()) < most, verb


def test_networks_are_built_without_a_graph(model, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a graph was made")

    monkeypatch.setattr(tf, "function", refused)
    for name, network in model.networks.items():
        built = factory.build_network(name, model.config)
        paths = [(v.path, v.shape) for v in network.variables]
        assert [(v.path, v.shape) for v in built.variables] == paths


def test_a_description_of_each_network_builds_it_again(model):
    for name, network in model.networks.items():
        described = network.get_config()
        assert json.loads(json.dumps(described)) == described
        copy = type(network).from_config(described)
        assert copy.get_config() == described, name


def test_the_foreground_sees_nothing_around_the_mask(model, persons):
    around = tf.cast(1 - persons["body_mask"], tf.uint8)
    changed = persons | {"image": persons["image"] * (1 - around) + 7 * around}
    codes = [model.split_appearance(model.encode_person(p)) for p in (persons, changed)]
    np.testing.assert_array_equal(codes[0]["foreground"], codes[1]["foreground"])
    assert np.abs(codes[0]["background"] - codes[1]["background"]).max() > 1e-3


def test_the_background_sees_nothing_of_the_person(model, persons):
    mask = tf.cast(persons["body_mask"], tf.uint8)
    changed = persons | {"image": persons["image"] * (1 - mask) + 7 * mask}
    codes = [model.split_appearance(model.encode_person(p)) for p in (persons, changed)]
    np.testing.assert_array_equal(codes[0]["background"], codes[1]["background"])
    assert np.abs(codes[0]["foreground"] - codes[1]["foreground"]).max() > 1e-3


def test_an_unseen_region_has_no_code(model, persons):
    keypoints = persons["keypoints"].numpy()
    keypoints[:, [5, 6, 7]] = 0  # the left arm
    code = model.split_appearance(model.encode_appearance(persons["image"], keypoints))
    regions = code["foreground"].numpy().reshape(3, NUM_REGIONS, -1)
    assert not regions[:, 3].any() and regions[:, 1].any()


def test_figure_and_scene_are_drawn_apart(model, persons):
    generator = model.network("generator")
    embedding, keypoints = model.encode_person(persons), persons["keypoints"]
    figure, scene = generator.layers_of(embedding, keypoints)
    coverage = figure[..., 3:].numpy()
    assert (coverage >= 0).all() and (coverage <= 1).all()
    together = coverage * figure[..., :3] + (1 - coverage) * scene
    np.testing.assert_allclose(model.generate(embedding, keypoints), together, atol=1e-5)
    other = tf.concat([embedding[:, :56], embedding[:, 56:] + 1], axis=1)
    moved = tf.reverse(keypoints, axis=[0])
    changed_figure, changed_scene = generator.layers_of(other, keypoints)
    np.testing.assert_array_equal(changed_figure, figure)
    assert np.abs(changed_scene - scene).max() > 1e-3
    np.testing.assert_array_equal(generator.layers_of(embedding, moved)[1], scene)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model.variant": "appearance"}, "model.architecture"),
        ({"model.width": 40}, "model.width"),
        ({"model.background_embedding": 33}, "model.background_embedding"),
        ({"model.architecture": "other"}, None),
    ],
)
def test_what_cannot_be_placed_is_refused(changes, field):
    with pytest.raises(ConfigError) as refused:
        config.preset("modern").override(**changes)
    assert refused.value.field == field


def test_an_untaught_velocity_is_that_of_gaussian_codes():
    settings = config.preset("modern").override(**_SIZES).model
    flow = factory.build_network("pose_mapping", settings)
    x = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    velocity = flow.velocity(x, np.array([0.0, 0.5, 1.0], np.float32))
    np.testing.assert_allclose(velocity, [-x[0], 0 * x[1], x[2]], atol=1e-6)


def test_an_untaught_flow_gives_back_its_noise():
    settings = config.preset("modern").override(**_SIZES).model
    flow = factory.build_network("pose_mapping", settings)
    flow.code_mean.assign(tf.fill([32], 3.0))
    flow.code_deviation.assign(tf.fill([32], 2.0))
    noise = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    np.testing.assert_allclose(flow(noise), 3 + 2 * noise, atol=2e-3)  # of the integration
    np.testing.assert_allclose(flow.normalize(flow(noise)), noise, atol=2e-3)


def test_averages_stand_for_their_variables():
    dense = keras.layers.Dense(2, name="dense")
    dense.build((None, 3))
    averages = weights.averages_of(dense.variables)
    assert [a.path for a in averages] == ["average/dense/kernel", "average/dense/bias"]
    averages[1].assign([5.0, 6.0])
    arrays = weights.averaged(weights.collect([*dense.variables, *averages]))
    np.testing.assert_array_equal(arrays["dense/bias"], [5, 6])
    np.testing.assert_array_equal(arrays["dense/kernel"], dense.kernel)


def test_graphs_are_optimized_without_a_complaint(model, persons, capfd):
    """TensorFlow for oneDNN gives a graph up where it fuses what it has no kernel for."""
    tf.function(model.encode_person, autograph=False)(persons)
    assert "Relu" not in capfd.readouterr().err


@pytest.mark.slow
def test_shipped_weights_draw_what_they_drew(shipped_preset):
    """Mean colors of eight parts of a sampled person, and of that person encoded and drawn again.

    Another formula in a network would leave the weights that ship without the use they have.
    """
    sampler = PersonSampler.from_preset(shipped_preset, execution=Execution())
    drawn = sampler.draw(sampler.seed_codes(1, 1))
    again = sampler.reconstruct(drawn.images, drawn.keypoints)
    found = [x[0].reshape(4, 32, 2, 32, 3).mean(axis=(1, 3)) for x in (drawn.images, again)]
    expected = [
        [[109, 118, 137], [106, 124, 155]], [[138, 126, 123], [115, 125, 135]],
        [[134, 123, 108], [118, 110, 90]], [[144, 122, 107], [133, 111, 97]],
    ], [
        [[108, 116, 135], [106, 124, 154]], [[136, 125, 121], [115, 125, 136]],
        [[134, 124, 108], [118, 110, 91]], [[144, 122, 106], [133, 110, 95]],
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1.5)
