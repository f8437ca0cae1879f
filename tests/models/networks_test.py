import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.models import factory, layers
from dpig_tf2.models.discriminator import BatchStatisticsNorm

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


# ---- all networks at their published resolutions


def test_shapes_for_unknown_batch_size(narrow):
    preset, model, networks = narrow
    appearance = _APPEARANCE[preset]
    image = keras.Input((model.height, model.width, 3))
    encoder_inputs = [image, keras.Input((7, 4)), keras.Input((7,))]
    if model.has_background:
        encoder_inputs.append(keras.Input((model.height, model.width, 1)))
    pose_map = keras.Input((model.height, model.width, 18))
    embedding = keras.Input((appearance,))
    pose = keras.Input((32,))
    image_shape = (None, model.height, model.width, 3)
    assert networks["appearance_encoder"](*encoder_inputs).shape == (None, appearance)
    assert networks["generator"](embedding, pose_map).shape == image_shape
    assert networks["pose_encoder"](keras.Input((18, 3))).shape == (None, 32)
    assert networks["pose_decoder"](pose).shape == (None, 18, 3)
    for factor in model.factors:
        noise = keras.Input((model.embedding_size(factor),))
        assert networks[f"{factor}_mapping"](noise).shape == noise.shape
        assert networks[f"{factor}_critic"](noise).shape == (None,)


def test_discriminator_logits_per_image(narrow):
    preset, model, networks = narrow
    logits = networks["discriminator"](np.zeros((2, model.height, model.width, 3), np.float32))
    assert logits.shape == ({"market1501": 2, "deepfashion": 16, "synthetic": 2}[preset],)


def test_config_round_trip(narrow):
    _, model, networks = narrow
    for name, network in networks.items():
        described = network.get_config()
        assert json.loads(json.dumps(described)) == described
        assert type(network).from_config(described).get_config() == described, name
    generator = networks["generator"]
    copy = type(generator).from_config(generator.get_config())
    copy(keras.Input((model.appearance_embedding,)), keras.Input((model.height, model.width, 18)))
    assert [(v.path, v.shape) for v in copy.variables] == [
        (v.path, v.shape) for v in generator.variables
    ]


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


def test_embedding_map_conv_equals_the_plain_convolution():
    """Values and all gradients, up to rounding: borders see fewer taps."""
    embedding, feature_map = tf.constant(_random(2, 5)), tf.constant(_random(2, 7, 6, 3, seed=1))
    layer = layers.EmbeddingMapConv(4)
    layer.build(embedding.shape, feature_map.shape)
    layer.bias.assign(_random(4, seed=2))
    weights = _random(2, 7, 6, 4, seed=3)

    def plain():
        tiled = tf.broadcast_to(embedding[:, None, None], [2, 7, 6, 5])
        joined = tf.concat([tiled, feature_map], axis=-1)
        return tf.nn.relu(tf.nn.conv2d(joined, layer.kernel, 1, "SAME") + layer.bias)

    results = []
    for compute in (plain, lambda: layer(embedding, feature_map)):
        with tf.GradientTape() as tape:
            tape.watch([embedding, feature_map])
            output = compute()
            loss = tf.reduce_sum(output * weights)
        sources = [embedding, feature_map, layer.kernel.value, layer.bias.value]
        results.append([output, *tape.gradient(loss, sources)])
    assert float(tf.reduce_mean(tf.cast(results[0][0] > 0, tf.float32))) > 0.2
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_upsampling_folded_into_a_residual_level_equals_the_plain_level():
    """Values and all gradients, up to rounding: borders see fewer taps."""
    small, skip = tf.constant(_random(2, 3, 4, 2)), tf.constant(_random(2, 6, 8, 3, seed=1))
    layer = layers.UpsampledResidualConv(5)
    layer(small, skip)
    layer.conv_1.bias.assign(_random(5, seed=2))
    weights = _random(2, 6, 8, 5, seed=3)

    def plain():
        doubled = tf.repeat(tf.repeat(small, 2, axis=1), 2, axis=2)
        return layers.ResidualConv.call(layer, tf.concat([doubled, skip], axis=-1))

    results = []
    for compute in (plain, lambda: layer(small, skip)):
        with tf.GradientTape() as tape:
            tape.watch([small, skip])
            output = compute()
            loss = tf.reduce_sum(output * weights)
        sources = [small, skip, *(variable.value for variable in layer.trainable_variables)]
        results.append([output, *tape.gradient(loss, sources)])
    assert all(gradient is not None for gradient in results[1])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def wide():
    """Networks of 32 x 16 images wide enough for every form of a convolution: {form: networks}."""
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
    forms = {
        form: factory.build_networks(names, settings.model, convolution=form)
        for form in layers.CONVOLUTIONS
    }
    for name in names:
        forms["products"][name].set_weights(forms["direct"][name].get_weights())
    return settings.model, forms


def test_convolutions_as_products_give_the_same_numbers(wide, monkeypatch):
    """All networks of stage reconstruction and their gradients, with every form in use."""
    model, forms = wide
    used = set()
    choose = layers.convolutions.fastest_form
    monkeypatch.setattr(
        layers.convolutions,
        "fastest_form",
        lambda *shapes: used.add(choose(*shapes)) or choose(*shapes),
    )
    images = _random(2, model.height, model.width, 3)
    boxes = np.tile(np.array([2, 3, 20, 12], np.float32), (2, 7, 1))
    mask = (_random(2, model.height, model.width, 1, seed=1) > 0).astype(np.float32)
    inputs = {
        "appearance_encoder": [images, boxes, np.ones((2, 7), np.float32), mask],
        "generator": [
            _random(2, model.appearance_embedding),
            np.sign(_random(2, model.height, model.width, 18)),
        ],
        "discriminator": [images],
    }
    for name, arguments in inputs.items():
        results = []
        for network in (forms[form][name] for form in layers.CONVOLUTIONS):
            with tf.GradientTape() as tape:
                output = network(*arguments)
            weights = _random(*output.shape, seed=2)
            gradients = tape.gradient(output, network.trainable_variables, weights)
            results.append([output, *gradients])
        for expected, found in zip(*results, strict=True):
            # Batch norm leaves only rounding of the gradient of the biases before it.
            tolerance = 1e-5 * max(np.abs(expected).max(), 0.1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name)
    assert used == {"direct", "winograd", "single_product"}


def test_frozen_networks_compute_from_the_weights_of_then(wide):
    model, forms = wide
    generator = forms["products"]["generator"]
    arguments = _random(2, model.appearance_embedding), _random(2, model.height, model.width, 18)
    before = generator(*arguments)
    generator.freeze()
    np.testing.assert_allclose(generator(*arguments), before, rtol=0, atol=1e-5)
    frozen = [
        c for r in generator.residuals for c in (r.conv_1, r.conv_2) if c.frozen_kernel is not None
    ]
    assert frozen, "no convolution of this generator takes Winograd's form"
    weights = generator.get_weights()
    for conv in frozen:
        conv.kernel.assign(tf.zeros_like(conv.kernel))
    np.testing.assert_allclose(generator(*arguments), before, rtol=0, atol=1e-5)
    generator.thaw()
    assert np.abs(generator(*arguments) - before).max() > 0.01
    generator.set_weights(weights)


def test_unknown_form_of_convolutions_is_refused():
    with pytest.raises(ValueError, match=r"must be one of \('direct', 'products'\), got 'fast'"):
        layers.Conv(4, 3, "fast")


@pytest.mark.parametrize(
    "dtype, form", [("float32", "winograd"), ("mixed_bfloat16", "winograd"), ("float16", "direct")]
)
def test_float16_keeps_to_the_library(dtype, form):
    assert layers.Conv(128, 3, "products", dtype=dtype).form((None, 16, 8, 128)) == form


def test_the_fastest_forms_depend_on_device_and_compiler(monkeypatch):
    everywhere = {"crop_method": "matmul", "convolution": "direct"}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    assert factory.fastest_forms() == {"crop_method": "gather", "convolution": "products"}
    assert factory.fastest_forms(jit_compile=True) == everywhere
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert factory.fastest_forms() == everywhere


def test_one_by_one_convolution_commutes_with_upsampling(tiny):
    model, networks = tiny
    generator = networks["generator"]
    skips = generator.encode(
        _random(2, model.appearance_embedding), _random(2, model.height, model.width, 18)
    )
    code = generator.bottleneck(skips)
    x = tf.reshape(generator.bottom_dense(code), [-1, *generator.bottom])
    upsample = keras.layers.UpSampling2D(2, interpolation="nearest")
    for level, residual in enumerate(generator.residuals):
        if level:
            x = generator.ups[level - 1](upsample(x))
        x = layers.ResidualConv.call(residual, tf.concat([x, skips[-1 - level]], axis=-1))
    after = generator.output_conv(x)
    np.testing.assert_allclose(generator.decode(code, skips), after, rtol=1e-5, atol=1e-5)


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
