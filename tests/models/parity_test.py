"""Every network, loss and gradient against the numbers of the released code."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.execution import IMPLEMENTATIONS, Execution
from dpig_tf2.legacy_tf1 import importer, variable_map
from dpig_tf2.legacy_tf1.checkpoint import Checkpoint
from dpig_tf2.ops import images, keypoints, pose_maps, regions
from dpig_tf2.training import losses
from tests.legacy_tf1.reference import Reference, deviation, person

pytestmark = pytest.mark.numeric  # also run with narrower instructions, see .ci/run

TOLERANCE = 1e-5
# A logit is a small difference of 16,384 products after three batch norms over few pixels: about
# 1e-5 with either of TensorFlow's convolution libraries.
LOGIT_TOLERANCE = 5e-5
RELU_GRADIENT_TOLERANCE = 1e-2  # rounding alone moves the released code's by 3e-3
MODELS = ("m1", "m2", "m3", "m4")
HEIGHT, WIDTH = 128, 64


@pytest.fixture(scope="module")
def reference(shared_dir, tmp_path_factory):
    return Reference(shared_dir, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def image_trainer(reference):
    return reference.trainer("m1")


def _encoder_outputs(network, io):
    source = person(io)
    embedding = network(
        images.to_network_range(source["image"]),
        source["part_boxes"],
        source["part_visibility"],
        source["body_mask"],
    )
    yield "embedding", embedding, io["out/embs"]
    yield "foreground", embedding[:, :224], io["out/fg_embs"]
    yield "background", embedding[:, 224:], io["out/bg_embs"]
    for part in range(7):
        yield f"part {part}", embedding[:, 32 * part : 32 * (part + 1)], io[f"out/fea_{part}"]
    yield "background code", embedding[:, 224:], io["out/fea_7"]


def _generator_outputs(network, io):
    skips = network.encode(io["out/embs"], io["out/pose"])
    code = network.bottleneck(skips)
    yield "bottleneck", code, io["out/G_z"]
    yield "image", network.decode(code, skips), io["out/G_raw"]


def _discriminator_outputs(network, io):
    yield "real", network(io["out/x"]), io["out/D_real_d"]
    yield "fake", network(io["out/G_raw"]), io["out/D_fake_d"]


def _pose_encoder_outputs(network, io):
    pose = keypoints.normalize(person(io)["keypoints"], HEIGHT, WIDTH)
    yield "code", network(pose), io["out/pose_embs"]


def _pose_decoder_outputs(network, io):
    # The pose mapping's graph decodes the mapped noise, the autoencoder's the encoded pose.
    code = io.get("out/sampled_embs_pose", io["out/pose_embs"])
    coordinates, probability = network.decode(code)
    yield "coordinates", tf.reshape(coordinates, [-1, 36]), io["out/pose_coord"]
    yield "probability", probability, io["out/pose_visible_prob"]
    decoded = network(code)
    yield "visibility", decoded[..., 2], io["out/pose_visible"]
    yield "keypoints", decoded, io["out/G_pose_rcv"]


def _mapping_outputs(noise, mapped):
    def outputs(network, io):
        yield "mapped noise", network(io[f"in/{noise}"]), io[f"out/{mapped}"]

    return outputs


def _critic_outputs(factor, real, mapped):
    def outputs(network, io):
        yield "real", network(io[f"out/{real}"]), io[f"out/D_real_{factor}"]
        yield "fake", network(io[f"out/{mapped}"]), io[f"out/D_fake_{factor}"]

    return outputs


# Each network is fed the released code's own input, so that one fault is not blamed on the next.
NETWORK_OUTPUTS = {
    ("m1", "appearance_encoder"): _encoder_outputs,
    ("m1", "generator"): _generator_outputs,
    ("m1", "discriminator"): _discriminator_outputs,
    ("m2", "pose_encoder"): _pose_encoder_outputs,
    ("m2", "pose_decoder"): _pose_decoder_outputs,
    ("m3", "appearance_encoder"): _encoder_outputs,
    ("m3", "generator"): _generator_outputs,
    ("m3", "foreground_mapping"): _mapping_outputs("noise_fg", "sampled_embs_fg"),
    ("m3", "foreground_critic"): _critic_outputs("fg", "fg_embs", "sampled_embs_fg"),
    ("m3", "background_mapping"): _mapping_outputs("noise_bg", "sampled_embs_bg"),
    ("m3", "background_critic"): _critic_outputs("bg", "bg_embs", "sampled_embs_bg"),
    ("m4", "appearance_encoder"): _encoder_outputs,
    ("m4", "pose_encoder"): _pose_encoder_outputs,
    ("m4", "pose_decoder"): _pose_decoder_outputs,
    ("m4", "pose_mapping"): _mapping_outputs("noise_pose", "sampled_embs_pose"),
    ("m4", "pose_critic"): _critic_outputs("pose", "pose_embs", "sampled_embs_pose"),
}


def _worst(outputs):
    return max(deviation(found, expected) for _, found, expected in outputs)


@pytest.mark.parametrize("model", MODELS)
def test_pose_maps_masks_and_boxes_are_exact(reference, model):
    io = reference.numbers(model, "io")
    for suffix in ("_0", "_1"):
        pose = person(io, suffix=suffix)["keypoints"]
        for name, radius in (("mask_r4", 4), ("mask_r6", 7)):
            mask = pose_maps.body_mask(pose, HEIGHT, WIDTH, radius)
            np.testing.assert_array_equal(mask, io[f"in/{name}{suffix}"])
        boxes, visibility = regions.part_boxes(pose, HEIGHT, WIDTH, "market1501", parts=37)
        np.testing.assert_array_equal(boxes, io[f"in/part_bbox{suffix}"])
        np.testing.assert_array_equal(visibility, io[f"in/part_vis{suffix}"])
    drawn = pose_maps.pose_map(person(io)["keypoints"], HEIGHT, WIDTH)
    np.testing.assert_array_equal(drawn, io["out/pose"])


@pytest.mark.parametrize(("model", "name"), NETWORK_OUTPUTS)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_network_outputs(reference, model, name, implementation):
    io = reference.numbers(model, "io")
    execution = Execution(implementation=implementation)
    network = reference.loaded_network(model, name, execution=execution)
    tolerance = LOGIT_TOLERANCE if name == "discriminator" else TOLERANCE
    for what, found, expected in NETWORK_OUTPUTS[model, name](network, io):
        assert deviation(found, expected) < tolerance, what


@pytest.mark.parametrize("model", ("m1", "m3", "m4"))
@pytest.mark.parametrize(
    ("implementation", "jit_compile"), [("reference", False), ("fast", False), ("fast", True)]
)
def test_region_crops(reference, model, implementation, jit_compile):
    io = reference.numbers(model, "io")
    source = person(io)
    encoder = reference.loaded_network(model, "appearance_encoder")
    stem = encoder.stem(images.to_network_range(source["image"]))
    background = stem * (1.0 - source["body_mask"])
    assert deviation(background, io["out/bg_branch_in"]) < TOLERANCE
    features = stem * source["body_mask"]
    crops = regions.crop_regions(features, source["part_boxes"], 48, implementation, jit_compile)
    for part in (1, 4, 6):
        assert deviation(crops[:, part - 1], io[f"out/roi_part{part}_in"]) < TOLERANCE


@pytest.mark.parametrize(("model", "code"), [("m2", "pose_embs"), ("m4", "sampled_embs_pose")])
def test_decoded_poses_are_drawn_where_the_release_draws_them(reference, model, code):
    io = reference.numbers(model, "io")
    decoder = reference.loaded_network(model, "pose_decoder")
    pose = keypoints.denormalize(decoder(io[f"out/{code}"]), HEIGHT, WIDTH).numpy()
    centers = np.full([len(pose), HEIGHT, WIDTH, 18], -1.0, np.float32)
    for person_index, keypoint in zip(*np.nonzero(pose[..., 2]), strict=True):
        row, column = pose[person_index, keypoint, :2].astype(int)
        centers[person_index, row, column, keypoint] = 1.0
    np.testing.assert_array_equal(centers, io["out/G_pose_channels"])
    if model == "m4":
        drawn = pose_maps.pose_map(pose, HEIGHT, WIDTH)
        np.testing.assert_array_equal(drawn, io["in/G_pose_inflated"])


def test_images_of_sampled_codes(reference):
    io = reference.numbers("m3", "io")
    generator = reference.loaded_network("m3", "generator")
    image = generator(io["out/app_embs"], io["out/pose"])
    assert deviation(image, io["out/G_raw_sampled"]) < TOLERANCE
    assert deviation(images.to_pixel_range(image), io["out/G"]) < TOLERANCE
    io = reference.numbers("m4", "io")
    generator = reference.loaded_network("m4", "generator")
    image = generator(io["out/embs"], io["in/G_pose_inflated"])
    assert deviation(image, io["out/G_raw"]) < TOLERANCE


def test_image_losses_and_gradients(reference, image_trainer):
    io, trainer = reference.numbers("m1", "io"), image_trainer
    batch = {"source": person(io)}
    real = images.to_network_range(batch["source"]["image"])
    with tf.GradientTape(persistent=True) as tape:
        fake = trainer.reconstruct(batch["source"])
        total, logs = trainer.generator_loss(real, fake, batch)
        discriminator_loss = trainer.objective.discriminator_loss(*trainer.logits(real, [fake]))
    found = {
        "g_loss": total,
        "g_loss_only": logs["loss/generator"],
        "L1Loss": logs["loss/reconstruction"],
        "PoseMaskLoss": logs["loss/masked_reconstruction"],
        "d_loss": discriminator_loss,
    }
    _check_losses(reference, "m1", io, tape, found, trainer, RELU_GRADIENT_TOLERANCE)


def test_pose_loss_and_gradients(reference):
    io, trainer = reference.numbers("m2", "io"), reference.trainer("m2")
    pose = keypoints.normalize(person(io)["keypoints"], HEIGHT, WIDTH)
    with tf.GradientTape(persistent=True) as tape:
        error = losses.squared_error(trainer.decoder(trainer.encoder(pose)), pose)
    found = {"reconstruct_loss": error}
    _check_losses(reference, "m2", io, tape, found, trainer, TOLERANCE)


@pytest.mark.parametrize(
    ("model", "factor", "code", "suffix"),
    [
        ("m3", "foreground", "fg", "_fg"),
        ("m3", "background", "bg", "_bg"),
        ("m4", "pose", "pose", ""),
    ],
)
def test_mapping_losses_and_gradients(reference, model, factor, code, suffix):
    io, trainer = reference.numbers(model, "io"), reference.trainer(model)
    mapping, critic = (trainer.networks[f"{factor}_{k}"] for k in ("mapping", "critic"))
    real = io[f"out/{code}_embs"]
    with tf.GradientTape(persistent=True) as tape:
        fake = critic(mapping(io[f"in/noise_{code}"]))
        found = {
            f"g_loss_embs{suffix}": trainer.objective.generator(fake),
            f"d_loss_embs{suffix}": trainer.objective.discriminator_loss(critic(real), [fake]),
        }
    _check_losses(reference, model, io, tape, found, trainer, TOLERANCE)


def _check_losses(reference, model, io, tape, found, trainer, gradient_tolerance):
    """Compares losses {release's name: value} and every stored gradient of them."""
    sources = reference.source_names(model)
    for name, loss in found.items():
        assert deviation(loss, io[f"out/{name}"]) < TOLERANCE, name
        variables = {
            source: variable
            for network in trainer.networks.values()
            for variable in network.variables
            if f"grad/{name}/{(source := sources[variable.path])}" in io
        }
        assert variables, f"no stored gradient of {name}"
        gradients = tape.gradient(loss, list(variables.values()))
        for source, gradient in zip(variables, gradients, strict=True):
            expected = io[f"grad/{name}/{source}"]
            if expected.any():
                assert deviation(gradient, expected) < gradient_tolerance, (name, source)
            else:  # the critic's last bias cancels out of its loss
                np.testing.assert_allclose(gradient, expected, atol=1e-6)


def _swapped(tensors, names):
    by_shape = {}
    for name in names:
        other = by_shape.setdefault(tensors[name].shape, name)
        if other != name:
            return {name: tensors[other], other: tensors[name]}
    raise AssertionError("no two tensors of equal shape")


def _transposed(tensors, names):
    square = next(n for n in names if tensors[n].ndim > 1 and len(set(tensors[n].shape[-2:])) == 1)
    return {square: np.swapaxes(tensors[square], -1, -2)}


def _channels_last(tensors, names):
    """The discriminator's output kernel as a channels-last flattening would order its rows."""
    name = next(n for n in names if n.endswith("Output.W"))
    return {name: tensors[name].reshape(512, 8, 4).transpose(1, 2, 0).reshape(-1, 1)}


# Each network once; stage II checkpoints carry copies of the stage-I networks.
ONE_CASE_EACH = list({name: (model, name) for model, name in reversed(NETWORK_OUTPUTS)}.values())


@pytest.mark.parametrize(("model", "name"), ONE_CASE_EACH)
def test_parity_notices_values_in_the_wrong_place(reference, model, name):
    tensors = reference.checkpoint(model).tensors
    io = reference.numbers(model, "io")
    names = list(variable_map.network_table(name, reference.config(model).model))
    other_order = _channels_last if name == "discriminator" else _transposed  # it has no square one
    for mutate in (_swapped, other_order):
        network = reference.loaded_network(model, name, tensors | mutate(tensors, names))
        assert _worst(NETWORK_OUTPUTS[model, name](network, io)) > 10 * LOGIT_TOLERANCE, (
            mutate.__name__
        )


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), [("m1", "generator"), ("m4", "pose_critic")])
def test_parity_notices_a_variable_left_at_its_initial_value(reference, model, name):
    tensors = dict(reference.checkpoint(model).tensors)
    sizes = reference.config(model).model
    source, target = next(iter(variable_map.network_table(name, sizes).items()))
    del tensors[source]
    incomplete = Checkpoint("incomplete", tensors)
    trainer = reference.new_trainer(model)
    imported = importer.import_stage(incomplete, trainer, strict=False)
    assert source in imported.report["skipped"]["missing"]
    network = reference.loaded_network(model, name, tensors | {source: imported.arrays[target]})
    io = reference.numbers(model, "io")
    assert _worst(NETWORK_OUTPUTS[model, name](network, io)) > 10 * LOGIT_TOLERANCE


@pytest.fixture(scope="module")
def deepfashion_trainer(reference):
    return reference.trainer("m101")


def test_deepfashion_sizes_are_read_from_the_checkpoint(reference):
    sizes = reference.config("m101").model
    assert (sizes.hidden, sizes.latent, sizes.appearance_embedding) == (8, 16, 224)


def test_deepfashion_graph_runs(reference, deepfashion_trainer):
    trainer = deepfashion_trainer
    random = np.random.default_rng(0)
    pose = random.uniform([0, 0, 1], [255, 255, 1], [2, 18, 3]).astype(np.float32)
    boxes, visibility = regions.part_boxes(pose, 256, 256, "deepfashion")
    source = {
        "image": random.integers(0, 256, [2, 256, 256, 3], np.uint8),
        "keypoints": pose,
        "body_mask": np.ones([2, 256, 256, 1], np.float32),
        "part_boxes": boxes,
        "part_visibility": visibility,
    }
    fake = trainer.reconstruct(source)
    real_logits, (fake_logits,) = trainer.logits(images.to_network_range(source["image"]), [fake])
    assert fake.shape == (2, 256, 256, 3) and np.isfinite(fake).all()
    assert real_logits.shape == fake_logits.shape == (16,)  # eight logits per image
    apart = trainer.discriminator(fake)
    assert deviation(apart, fake_logits) > TOLERANCE, "real and fake share batch statistics"
