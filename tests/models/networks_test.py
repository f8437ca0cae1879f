import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.execution import IMPLEMENTATIONS, Execution
from dpig_tf2.models import factory, layers
from dpig_tf2.models.discriminator import BatchStatisticsNorm
from dpig_tf2.ops import convolutions

_PRESETS = ("market1501", "deepfashion", "synthetic")
_APPEARANCE = {"market1501": 352, "deepfashion": 224, "synthetic": 352}


def _all_names(model):
    return [name for stage in config.STAGES for name in factory.stage_networks(stage, model)]


@pytest.fixture(scope="module", params=_PRESETS)
def narrow(request):
    """Preset name, model configuration and all its networks, with narrow levels."""
    narrow_widths = {"hidden": 4, "latent": 8, "discriminator_hidden": 4, "pose_hidden": 8}
    full = config.preset(request.param).model
    features = full.discriminator_row * 4 // full.discriminator_hidden
    overrides = narrow_widths | {"discriminator_row": features, "critic_hidden": 8}
    settings = config.preset(request.param).override(
        **{f"model.{name}": value for name, value in overrides.items()}
    )
    model = settings.model
    return request.param, model, factory.build_networks(_all_names(model), model)


@pytest.fixture(scope="module")
def tiny():
    """Networks of 32 x 16 images, small enough to run."""
    settings = config.preset("synthetic").override(
        **{
            "model.height": 32,
            "model.width": 16,
            "model.hidden": 4,
            "model.latent": 8,
            "model.region_size": 8,
            "model.region_levels": 2,
            "model.background_levels": 2,
            "model.generator_levels": 3,
            "model.discriminator_hidden": 4,
            "model.discriminator_row": 64,
        }
    )
    model = settings.model
    return model, factory.build_networks(factory.stage_networks("reconstruction", model), model)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _inputs(name, model):
    """Symbolic call arguments of a network."""
    image = keras.Input((model.height, model.width, 3))
    if name == "appearance_encoder":
        mask = [keras.Input((model.height, model.width, 1))] if model.has_background else []
        return [image, keras.Input((7, 4)), keras.Input((7,)), *mask]
    if name == "generator":
        pose_map = keras.Input((model.height, model.width, 18))
        return [keras.Input((model.appearance_embedding,)), pose_map]
    if name == "discriminator":
        return [image]
    if name == "pose_encoder":
        return [keras.Input((18, 3))]
    factor = "pose" if name == "pose_decoder" else name.rpartition("_")[0]
    return [keras.Input((model.embedding_size(factor),))]


def _shapes(layer):
    return [(v.path, tuple(v.shape), v.dtype) for v in layer.variables]


# ---- all networks at their published resolutions


def test_shapes_for_unknown_batch_size(narrow):
    preset, model, networks = narrow
    shapes = {
        name: networks[name](*_inputs(name, model)).shape
        for name in networks
        if name != "discriminator"
    }
    expected = {
        "appearance_encoder": (None, _APPEARANCE[preset]),
        "generator": (None, model.height, model.width, 3),
        "pose_encoder": (None, 32),
        "pose_decoder": (None, 18, 3),
    }
    for factor in model.factors:
        expected[f"{factor}_mapping"] = (None, model.embedding_size(factor))
        expected[f"{factor}_critic"] = (None,)
    assert shapes == expected


def test_discriminator_logits_per_image(narrow):
    preset, model, networks = narrow
    logits = networks["discriminator"](np.zeros((2, model.height, model.width, 3), np.float32))
    assert logits.shape == ({"market1501": 2, "deepfashion": 16, "synthetic": 2}[preset],)


def test_config_round_trip(narrow):
    _, model, networks = narrow
    for name, network in networks.items():
        described = network.get_config()
        assert json.loads(json.dumps(described)) == described
        copy = type(network).from_config(described)
        assert copy.get_config() == described, name
        copy(*_inputs(name, model))
        assert _shapes(copy) == _shapes(network)


@pytest.mark.parametrize("name", ["appearance_encoder", "generator", "discriminator"])
def test_networks_are_serialized_by_keras(tiny, name):
    model, _ = tiny
    execution = Execution("mixed_bfloat16", rematerialize=True, jit_compile=True)
    network = factory.build_network(name, model, execution)
    network.trainable = False
    text = json.dumps(keras.saving.serialize_keras_object(network))
    copy = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(copy) is type(network) and copy.get_config() == network.get_config()
    assert copy.execution == execution and not copy.trainable
    copy(*_inputs(name, model))
    assert _shapes(copy) == _shapes(network)
    computed_in = {layer.path: layer.compute_dtype for layer in network._flatten_layers()}
    assert computed_in == {layer.path: layer.compute_dtype for layer in copy._flatten_layers()}
    expected = {"bfloat16", "float32"} if name == "discriminator" else {"bfloat16"}
    assert set(computed_in.values()) == expected  # batch norm keeps to float32


_NARROW = {  # of the modern recipe
    "model.height": 32, "model.width": 16, "model.hidden": 8, "model.region_embedding": 8,
    "model.background_embedding": 32, "model.placed_channels": 4, "model.pose_hidden": 8,
    "model.texels": True,
}  # fmt: skip


@pytest.mark.parametrize("preset", ["synthetic", "modern"])
def test_networks_are_read_from_files_of_keras(tiny, tmp_path, preset):
    model, _ = tiny
    if preset == "modern":
        model = config.preset("modern").override(**_NARROW).model
    names = {name for stage in config.STAGES for name in factory.stage_networks(stage, model)}
    rng = np.random.default_rng(0)
    for name in sorted(names):
        network = factory.build_network(name, model)
        for variable in network.variables:  # nothing is as it was initialized
            variable.assign(variable + rng.normal(size=variable.shape) * 0.01)
        network.save(tmp_path / f"{name}.keras")
        copy = keras.models.load_model(tmp_path / f"{name}.keras")
        assert type(copy) is type(network) and _shapes(copy) == _shapes(network), name
        for found, expected in zip(copy.variables, network.variables, strict=True):
            np.testing.assert_array_equal(found, expected)


_MIXED = Execution("mixed_bfloat16")


@pytest.mark.parametrize(
    "block, inputs",
    [
        (layers.Conv(4, 3, 2, "relu", "he_uniform", _MIXED), (6, 6, 3)),
        (layers.ResidualConv(4, _MIXED), (6, 6, 4)),
        (layers.ConvPyramid(4, 2, _MIXED), (6, 6, 4)),
        (layers.ResidualDense(5, _MIXED), (5,)),
        (layers.DenseTrunk(5, False, _MIXED), (3,)),
        (BatchStatisticsNorm(), (6, 6, 3)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_blocks_are_serialized_by_keras(block, inputs):
    outputs = tf.nest.flatten(block(keras.Input(inputs)))
    described = keras.saving.serialize_keras_object(block)
    assert described["registered_name"] == f"dpig_tf2>{type(block).__name__}"
    copy = keras.saving.deserialize_keras_object(json.loads(json.dumps(described)))
    assert copy.get_config() == block.get_config()
    again = tf.nest.flatten(copy(keras.Input(inputs)))
    assert [(x.shape, x.dtype) for x in again] == [(x.shape, x.dtype) for x in outputs]
    assert _shapes(copy) == _shapes(block)


def test_paths_are_unique_and_start_with_the_network(narrow):
    _, _, networks = narrow
    paths = [v.path for network in networks.values() for v in network.variables]
    assert len(set(paths)) == len(paths)
    for name, network in networks.items():
        assert all(v.path.startswith(f"{name}/") for v in network.variables)


def test_unknown_network_is_refused():
    model = config.preset("deepfashion").model
    with pytest.raises(config.ConfigError, match="no network is called 'background_mapping'"):
        factory.build_network("background_mapping", model)
    for name in ("pose_critic", "discriminator"):
        with pytest.raises(config.ConfigError, match=f"no network is called '{name}'"):
            factory.build_network(name, config.preset("modern").model)


_SCOPES = {  # listing of the released stage, its scope -> our network
    ("m1", "Encoder/G_encoder/"): "appearance_encoder",
    ("m1", "ID_AE/G/"): "generator",
    ("m1", "Discriminator."): "discriminator",
    ("m2", "PoseAE/G_Pose_Encoder/"): "pose_encoder",
    ("m2", "PoseAE/G_Pose_Decoder/"): "pose_decoder",
    ("m3", "Gaussian_FC_Fg/G_FC/"): "foreground_mapping",
    ("m3", "Fg_FCDis_Discriminator."): "foreground_critic",
    ("m3", "Gaussian_FC_Bg/G_FC/"): "background_mapping",
    ("m3", "Bg_FCDis_Discriminator."): "background_critic",
    ("m4", "PoseGaussian/G_FC/"): "pose_mapping",
    ("m4", "Pose_emb_Discriminator."): "pose_critic",
    ("m101", "Encoder/G_encoder/"): "appearance_encoder",
    ("m101", "ID_AE/G/"): "generator",
    ("m101", "Discriminator."): "discriminator",
    ("m102", "PoseAE/G_Pose_Encoder/"): "pose_encoder",
    ("m102", "PoseAE/G_Pose_Decoder/"): "pose_decoder",
    ("m103", "Gaussian_FC/G_FC/"): "appearance_mapping",
    ("m103", "FCDis_Discriminator."): "appearance_critic",
    ("m104", "PoseGaussian/G_FC/"): "pose_mapping",
    ("m104", "Pose_emb_Discriminator."): "pose_critic",
}


@pytest.mark.parametrize("listing, scope", _SCOPES)
def test_published_shapes_and_parameter_count(shared_dir, listing, scope):
    """Every weight of the full-width network has a counterpart of its shape, and no other."""
    text = (shared_dir / "fixtures" / "tf1" / f"{listing}_variables.json").read_text()
    moved = [v for v in json.loads(text)["full"]["variables"] if v["trainable"]]
    released = [tuple(v["shape"]) for v in moved if v["name"].startswith(scope)]
    model = config.preset("deepfashion" if len(listing) == 4 else "market1501").model
    # Variables without values: at full width they would fill gigabytes.
    with keras.StatelessScope(initialize_variables=False):
        network = factory.build_network(_SCOPES[listing, scope], model)
    shapes = [tuple(variable.shape) for variable in network.variables]
    assert sum(map(math.prod, shapes)) == sum(map(math.prod, released))
    assert sorted(shapes) == sorted(released)


# ---- blocks


@pytest.fixture(scope="module")
def wide():
    """Networks of 32 x 16 images wide enough for every algorithm: {implementation: networks}."""
    settings = config.preset("synthetic").override(
        **{
            "model.height": 32,
            "model.width": 16,
            "model.hidden": 48,
            "model.region_size": 16,
            "model.region_levels": 3,
            "model.background_levels": 3,
            "model.generator_levels": 3,
            "model.discriminator_hidden": 16,
            "model.discriminator_row": 256,
        }
    )
    names = factory.stage_networks("reconstruction", settings.model)
    keras.utils.set_random_seed(0)  # the same weights in every run
    built = {
        implementation: factory.build_networks(
            names, settings.model, Execution(implementation=implementation)
        )
        for implementation in IMPLEMENTATIONS
    }
    for name in names:
        built["fast"][name].set_weights(built["reference"][name].get_weights())
    return settings.model, built


def _assert_same_gradients(networks, arguments, name):
    results = []
    for network in networks:
        with tf.GradientTape() as tape:
            output = network(*arguments)
        weights = _random(*output.shape, seed=2)
        results.append([output, *tape.gradient(output, network.trainable_variables, weights)])
    for expected, found in zip(*results, strict=True):
        # Batch norm leaves only rounding of the gradient of the biases before it.
        tolerance = 1e-5 * max(np.abs(expected).max(), 0.1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name)


def test_both_implementations_give_the_same_numbers(wide, monkeypatch):
    """All networks of stage reconstruction and their gradients, with every algorithm in use."""
    model, built = wide
    used = set()
    choose = convolutions.choose_algorithm
    monkeypatch.setattr(
        convolutions, "choose_algorithm", lambda *a: used.add(choose(*a)) or choose(*a)
    )
    boxes = np.tile(np.array([2, 3, 20, 12], np.float32), (2, 7, 1))

    def inputs(seed):
        images = _random(2, model.height, model.width, 3, seed=seed)
        mask = (_random(2, model.height, model.width, 1, seed=seed + 1) > 0).astype(np.float32)
        return {
            "appearance_encoder": [images, boxes, np.ones((2, 7), np.float32), mask],
            "generator": [
                _random(2, model.appearance_embedding, seed=seed),
                np.sign(_random(2, model.height, model.width, 18, seed=seed)),
            ],
            "discriminator": [images],
        }

    for name in inputs(0):
        networks = [each[name] for each in built.values()]
        # Threads round in any order. Now and then that moves an activation across the kink of its
        # ReLU, and the gradients by percents: from run to run of either implementation, too. Other
        # inputs are near other kinks.
        for attempt in range(4):
            try:
                _assert_same_gradients(networks, inputs(10 * attempt)[name], name)
                break
            except AssertionError:
                if attempt == 3:
                    raise
    assert used == {"library", "winograd", "single_product"}


def test_frozen_networks_compute_from_the_weights_of_then(wide):
    model, built = wide
    generator = built["fast"]["generator"]
    arguments = _random(2, model.appearance_embedding), _random(2, model.height, model.width, 18)
    before = generator(*arguments)
    generator.freeze()
    np.testing.assert_allclose(generator(*arguments), before, rtol=0, atol=1e-5)
    frozen = [
        c for r in generator.residuals for c in (r.conv_1, r.conv_2) if c.frozen_kernel is not None
    ]
    assert frozen, "no convolution of this generator takes Winograd's algorithm"
    assert {conv.image_shape[0] for conv in frozen} == {None}, "frozen for batches of any size"
    weights = generator.get_weights()
    for conv in frozen:
        conv.kernel.assign(tf.zeros_like(conv.kernel))
    np.testing.assert_allclose(generator(*arguments), before, rtol=0, atol=1e-5)
    generator.thaw()
    assert np.abs(generator(*arguments) - before).max() > 0.01
    generator.set_weights(weights)


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_frozen_graphs_hold_kernels_as_constants_where_that_pays(monkeypatch, onednn):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    conv = layers.Conv(5, 3, execution=Execution("mixed_bfloat16"))
    x = tf.constant(_random(2, 4, 6, 3))
    before = conv(x)
    conv.freeze()

    @tf.function
    def graph(x):
        return conv(x)

    kernels = [
        op.inputs[1].op.type
        for op in graph.get_concrete_function(x).graph.get_operations()
        if op.type == "Conv2D"
    ]
    assert kernels == ["Const" if onednn == "1" else "Cast"]
    np.testing.assert_allclose(tf.cast(graph(x), "float32"), tf.cast(before, "float32"), atol=0.05)
    conv.kernel.assign(tf.zeros_like(conv.kernel))
    assert np.any(graph(x)) == (onednn == "1")
    conv.thaw()
    assert not np.any(conv(x))


def test_residual_levels_activate_both_convolutions_but_not_the_sum():
    layer = layers.ResidualConv(2)
    x = _random(1, 4, 4, 2)
    output = layer(x).numpy()
    first = tf.nn.relu(tf.nn.conv2d(x, layer.conv_1.kernel, 1, "SAME"))
    second = tf.nn.relu(tf.nn.conv2d(first, layer.conv_2.kernel, 1, "SAME"))
    np.testing.assert_allclose(output, x + second, rtol=1e-5, atol=1e-6)
    assert (output < 0).any()


def test_batch_norm_uses_the_batch_and_its_offset():
    norm = BatchStatisticsNorm()
    x = 3.0 + 2.0 * _random(4, 5, 5, 2)
    norm.build(x.shape)
    norm.scale.assign([1.0, 2.0])
    norm.offset.assign([0.0, -1.0])
    y = norm(x).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), [0, -1], atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), [1, 2], rtol=1e-4)
    assert len(norm.variables) == 2  # no moving averages


def test_discriminator_flattens_channels_first(tiny):
    """The weight of row (channel, row, column) is found at that index of the output layer."""
    _, networks = tiny
    discriminator = networks["discriminator"]
    images = _random(3, 32, 16, 3)
    features = layers.leaky_relu(discriminator.convs[0](images))
    for conv, norm in zip(discriminator.convs[1:], discriminator.norms, strict=True):
        features = layers.leaky_relu(norm(conv(features)))
    _, rows, columns, channels = features.shape
    picked = np.zeros((64, 1), np.float32)
    picked[np.ravel_multi_index((5, 1, 0), (channels, rows, columns))] = 1.0
    kernel = discriminator.output_dense.kernel
    before = kernel.numpy()
    kernel.assign(picked)
    np.testing.assert_allclose(discriminator(images), features[:, 1, 0, 5], rtol=1e-5, atol=1e-6)
    kernel.assign(before)


# ---- what the encoder separates


@pytest.fixture
def encoder_inputs(tiny):
    model, _ = tiny
    boxes = np.tile(np.array([2, 3, 20, 12], np.float32), (1, 7, 1))
    mask = np.zeros((1, model.height, model.width, 1), np.float32)
    mask[:, 4:28, 4:12] = 1.0
    return [_random(1, model.height, model.width, 3), boxes, np.ones((1, 7), np.float32), mask]


def test_invisible_regions_have_zero_codes(tiny, encoder_inputs):
    model, networks = tiny
    encoder_inputs[2][0, 3] = 0.0
    code = networks["appearance_encoder"](*encoder_inputs).numpy()[0]
    regions = code[: model.foreground_embedding].reshape(7, -1)
    assert not regions[3].any()
    assert np.delete(regions, 3, axis=0).any(axis=1).all()


def test_regions_share_weights(tiny, encoder_inputs):
    model, networks = tiny
    code = networks["appearance_encoder"](*encoder_inputs).numpy()[0]
    regions = code[: model.foreground_embedding].reshape(7, -1)
    np.testing.assert_allclose(regions, np.tile(regions[:1], (7, 1)), rtol=1e-5, atol=1e-6)


def test_background_code_does_not_see_the_body(tiny, encoder_inputs):
    """Pixels deep inside the mask, out of reach of the stem's three convolutions, do not matter."""
    model, networks = tiny
    encoder = networks["appearance_encoder"]
    before = encoder(*encoder_inputs).numpy()[0]
    encoder_inputs[0][:, 12:20, 7:9] += 3.0
    after = encoder(*encoder_inputs).numpy()[0]
    split = model.foreground_embedding
    np.testing.assert_array_equal(after[split:], before[split:])
    assert not np.allclose(after[:split], before[:split])


# ---- pose decoder


def test_visibility_is_rounded_and_still_learns(narrow):
    _, _, networks = narrow
    decoder = networks["pose_decoder"]
    code = tf.constant(3.0 * _random(6, 32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(code)
        rounded = tf.reduce_sum(decoder(code)[..., 2], axis=0)
        probability = tf.reduce_sum(decoder.decode(code)[1], axis=0)
    assert set(np.unique(decoder(code)[..., 2].numpy())) == {0.0, 1.0}
    gradient = tape.gradient(rounded, code)
    np.testing.assert_allclose(gradient, tape.gradient(probability, code), rtol=1e-5)
    assert np.abs(gradient).max() > 0
