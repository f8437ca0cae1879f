"""The options of the pose autoencoder that are not in the paper."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.keypoints import normalize
from dpig_tf2.training import trainers

MISSING = 4  # the keypoint that no pose of the batch shows


def poses(config, count=8):
    rng = np.random.default_rng(0)
    size = [config.model.height, config.model.width, 1]
    keypoints = (rng.uniform(0.1, 0.9, (count, 18, 3)) * size).astype(np.float32)
    keypoints[..., 2] = 1.0
    keypoints[:, MISSING] = 0.0
    return keypoints


def trainer_with(config, **options):
    return trainers.build_trainer("pose", config.override(**options))


def loss_with_bias(trainer, keypoints, index, value):
    """Loss of a step with the decoder's bias for one coordinate of a keypoint set to a value."""
    bias = trainer.decoder.coordinates_dense.bias
    bias.assign(tf.tensor_scatter_nd_update(tf.zeros_like(bias), [[2 * index]], [value]))
    return float(trainer.train_step({"keypoints": keypoints})["loss/reconstruction"])


@pytest.mark.parametrize(("learned", "keypoint"), [(True, MISSING), (False, MISSING), (False, 0)])
def test_only_a_free_missing_coordinate_has_no_error(tiny_config, learned, keypoint):
    options = {"pose.code_noise": 0.0, "pose.learning_rate": 1e-9}
    options["model.pose_learns_missing"] = learned
    trainer = trainer_with(tiny_config, **options)
    far, farther = (
        loss_with_bias(trainer, poses(tiny_config), keypoint, value) for value in (100.0, 200.0)
    )
    free = not learned and keypoint == MISSING
    assert farther == pytest.approx(far, rel=1e-3) if free else farther > 3 * far


@pytest.mark.parametrize("learned", [True, False])
def test_a_missing_keypoint_is_decoded_to_zeros_where_its_place_was_not_learned(
    tiny_config, learned
):
    trainer = trainer_with(tiny_config, **{"model.pose_learns_missing": learned})
    trainer.decoder.visibility_dense.bias.assign(np.where(np.arange(18) == MISSING, -99.0, 99.0))
    trainer.decoder.coordinates_dense.bias.assign(tf.ones(36) * 0.5)
    code = tf.zeros([1, tiny_config.model.pose_embedding])
    decoded = PersonModel(trainer.config.model, trainer.networks).decode_pose(code).numpy()[0]
    height, width = tiny_config.model.height, tiny_config.model.width
    place = np.float32([0.75 * height, 0.75 * width, 1.0])
    np.testing.assert_allclose(decoded[0], place)
    np.testing.assert_allclose(decoded[MISSING], place * [1, 1, 0] if learned else [0, 0, 0])


def test_code_noise_is_a_share_of_the_codes_spread(tiny_config):
    trainer = trainer_with(tiny_config, **{"pose.code_noise": 0.3})
    keypoints = poses(tiny_config, 4000)
    code = trainer.encoder(normalize(keypoints, tiny_config.model.height, tiny_config.model.width))
    decoder, received = trainer.decoder, []

    def recording_decoder(codes):
        received.append(codes)
        return decoder(codes)

    trainer.decoder = recording_decoder
    initial = [tf.identity(variable) for variable in trainer.encoder.variables]
    for step in (0, 0, 1):
        trainer.step.assign(step)
        trainer.train_step({"keypoints": keypoints})
        for variable, value in zip(trainer.encoder.variables, initial, strict=True):
            variable.assign(value)
    noise = (received[0] - code).numpy()
    np.testing.assert_allclose(noise.std(axis=0) / code.numpy().std(axis=0), 0.3, rtol=0.05)
    np.testing.assert_array_equal(received[0], received[1])
    assert np.abs(received[2] - received[0]).max() > 0, "every step has noise of its own"


def test_codes_have_no_gradient_through_the_size_of_their_noise(tiny_config):
    trainer = trainer_with(tiny_config, **{"pose.code_noise": 0.3})
    code = tf.random.normal([20, tiny_config.model.pose_embedding], seed=0)
    with tf.GradientTape() as tape:
        tape.watch(code)
        noisy = trainer._with_noise(code)
    np.testing.assert_array_equal(tape.gradient(noisy, code), tf.ones_like(code))
