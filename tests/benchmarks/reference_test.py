"""The reference gives the same numbers, so that the benchmark's ratios compare equal work."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import testing
from dpig_tf2.benchmarks import reference
from dpig_tf2.execution import Execution
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainer import split_updates


@pytest.fixture
def eager():
    """Compiled functions run eagerly: tracing a training step takes longer than the step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# Batch norm takes these biases out again: their gradients are rounding noise.
WITHOUT_EFFECT = ("conv_2_bias", "conv_3_bias", "conv_4_bias")


def build(config, names, execution=Execution()):
    """Networks, the same at each call, with biases that are not zero."""
    keras.utils.set_random_seed(0)
    networks = factory.build_networks(names, config.model, execution)
    rng = np.random.default_rng(0)
    for network in networks.values():
        for variable in network.variables:
            if len(variable.shape) == 1:
                variable.assign_add(rng.normal(0, 0.02, variable.shape))
    return networks


def assert_same_state(trainer, expected):
    """Same gradients, as the optimizers' moments keep them, relative to each variable's largest.

    A velocity holds the gradient's square, whose relative error is twice the gradient's.
    """
    for name, optimized in expected.optimized.items():
        found = trainer.optimized[name].optimizer.variables
        for a, b in zip(found, optimized.optimizer.variables, strict=True):
            if name == "discriminator" and any(bias in a.path for bias in WITHOUT_EFFECT):
                continue
            b = np.asarray(b)
            tolerance = 2e-5 if a.path.endswith("_velocity") else 1e-5
            np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max(), err_msg=a.path)


def test_sampled_pictures_are_equal(tiny_config):
    model = tiny_config.model
    noise = np.random.default_rng(1).normal(size=(2, model.appearance_embedding))
    embedding, keypoints = tf.constant(noise, tf.float32), testing.random_keypoints(model, 2)
    fast, slow = (build(tiny_config, ["generator"], e) for e in (Execution(), reference.EXECUTION))
    pictures = PersonModel(model, fast).generate(embedding, keypoints)
    expected = reference.ReferencePersonModel(model, slow).generate(embedding, keypoints)
    assert float(tf.math.reduce_std(expected)) > 0.01
    np.testing.assert_allclose(pictures, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_reconstruction_step_is_equal(tiny_config, eager):
    """Losses and gradients of both updates, the second against the discriminator just moved."""
    trainer, expected = (
        kind(tiny_config, build(tiny_config, ReconstructionTrainer.NETWORKS, execution))
        for kind, execution in (
            (ReconstructionTrainer, Execution()),
            (reference.ReferenceReconstructionTrainer, reference.EXECUTION),
        )
    )
    batch = {"source": testing.random_person(tiny_config.model, 4)}
    logs, expected_logs = trainer.train_step(batch), expected.run_step(batch)
    for name, value in expected_logs.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)
    assert_same_state(trainer, expected)


@pytest.mark.slow
def test_a_mapping_step_is_equal(tiny_config, eager):
    """Embeddings computed once, against the frozen encoder run for every critic update."""
    config = tiny_config.override(
        **{"appearance_mapping.critic_updates": 1, "appearance_mapping.objective": "wgan"}
    )
    model = config.model
    encoder = PersonModel(model, build(config, ["appearance_encoder"], reference.EXECUTION))
    names = factory.stage_networks("appearance_mapping", model)
    trainer = MappingTrainer(config, "appearance_mapping", build(config, names))
    expected = reference.ReferenceMappingTrainer(config, build(config, names), encoder)
    photos = testing.random_person(model, 4 * trainer.updates_per_step)
    noise = testing.random_noise(model, trainer.factors, 4 * trainer.updates_per_step)
    pieces = split_updates(photos, trainer.updates_per_step)
    embedding = tf.concat(
        [encoder.encode_appearance(piece.pop("image"), **piece) for piece in pieces], axis=0
    )
    logs = trainer.train_step({"embedding": encoder.split_appearance(embedding), "noise": noise})
    expected_logs = expected.run_step({"source": photos, "noise": noise})
    for name, value in expected_logs.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert_same_state(trainer, expected)
