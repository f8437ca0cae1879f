"""Inversion: noise is recovered through mappings whose answer is known."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.models.flow_mapping import FlowMapping
from dpig_tf2.models.mapping_network import MappingNetwork
from dpig_tf2.sampling import inversion
from dpig_tf2.sampling.inversion import (
    InversionSettings,
    concatenate,
    explained_variance,
    find_noise,
)

_SCALE = 0.2
_SETTINGS = InversionSettings(candidates=64, steps=150, restarts=2)


@pytest.fixture(scope="module")
def mapping():
    keras.utils.set_random_seed(0)
    network = MappingNetwork(16, 6)
    network(tf.zeros([1, 6]))
    rng = np.random.default_rng(0)
    for variable in network.variables:
        variable.assign(variable + rng.normal(0.0, 0.05, variable.shape))
    return network


@pytest.fixture(scope="module")
def codes(mapping):
    noise = np.random.default_rng(3).normal(0.0, _SCALE, (5, 6)).astype(np.float32)
    return mapping(noise).numpy()


def test_recovers_the_code_of_noise(mapping, codes):
    found = find_noise(mapping, codes, _SCALE, InversionSettings(candidates=64, steps=400))
    assert found.converged.all()
    assert found.residual.max() < 0.05 and found.explained.min() > 0.98
    np.testing.assert_array_equal(mapping(found.noise).numpy().round(4), found.code.round(4))
    # The noise is as long as that of the training distribution, not merely some solution.
    np.testing.assert_allclose(
        found.spread, np.linalg.norm(found.noise / _SCALE, axis=1) / np.sqrt(6), rtol=1e-5
    )
    assert 0.1 < found.spread.min() and found.spread.max() < 2


def test_a_linear_mapping_gives_the_noise_itself():
    wanted = np.random.default_rng(0).normal(0.0, _SCALE, (3, 4)).astype(np.float32)
    matrix = tf.constant(np.diag([1.0, -2.0, 0.5, 3.0]), tf.float32)
    settings = InversionSettings(steps=400, prior_weight=0.0)
    found = find_noise(lambda z: z @ matrix, wanted @ matrix.numpy(), _SCALE, settings)
    np.testing.assert_allclose(found.noise, wanted, atol=2e-3)
    np.testing.assert_allclose(found.residual, 0.0, atol=2e-3)


@pytest.mark.parametrize(("tolerance", "converged"), [(0.75, False), (0.85, True)])
def test_figures_are_what_they_say(tolerance, converged):
    """A mapping that reaches only the first axis leaves the second one unexplained."""
    codes = np.array([[3.0, 4.0]], np.float32)
    settings = dataclasses.replace(_SETTINGS, steps=400, tolerance=tolerance)
    found = find_noise(lambda z: z * [[1.0, 0.0]], codes, 1.0, settings)
    assert found.residual[0] == pytest.approx(4 / 5, abs=1e-3)
    assert found.explained[0] == pytest.approx(1 - 16 / 25, abs=1e-3)
    assert found.converged[0] == converged


def test_explained_variance_is_measured_against_the_average_code():
    wanted = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert explained_variance(wanted, wanted) == 1
    assert explained_variance(np.array([[2.0, 5.0], [2.0, 5.0]]), wanted) == 0
    assert explained_variance(np.array([[1.0, 5.0], [3.0, 6.0]]), wanted) == 0.5
    assert explained_variance(wanted[:1], wanted[:1]) is None


def test_the_prior_shortens_the_noise(mapping, codes):
    free = find_noise(mapping, codes, _SCALE, dataclasses.replace(_SETTINGS, prior_weight=0.0))
    bound = find_noise(mapping, codes, _SCALE, dataclasses.replace(_SETTINGS, prior_weight=1.0))
    assert np.linalg.norm(bound.noise) < 0.9 * np.linalg.norm(free.noise)
    assert bound.residual.mean() > free.residual.mean()


def test_the_prior_weighs_the_same_whatever_the_length_of_codes():
    codes = np.array([[1.0, 2.0, -1.0]], np.float32)
    settings = dataclasses.replace(_SETTINGS, prior_weight=1.0)
    short, long = (
        find_noise(lambda z, n=length: n * z, length * codes, 1.0, settings) for length in (1, 100)
    )
    np.testing.assert_allclose(short.noise, long.noise, atol=1e-3)
    # Least of |z - code|^2 / 6 + |z|^2 / 3.
    np.testing.assert_allclose(short.noise, codes / 3, atol=0.03)


def test_a_code_of_no_length_has_a_residual():
    settings = dataclasses.replace(_SETTINGS, steps=5)
    found = find_noise(lambda z: z, np.zeros((1, 2), np.float32), 1.0, settings)
    assert np.isfinite(found.noise).all() and np.isfinite(found.residual).all()


def test_the_seed_decides_where_a_search_starts():
    still = InversionSettings(candidates=4, restarts=1, steps=1, learning_rate=1e-9)
    first, again, other = (
        find_noise(lambda z: z, np.ones((1, 6), np.float32), 1.0, still, seed).noise
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_more_restarts_are_never_worse(mapping, codes):
    one = find_noise(mapping, codes, _SCALE, dataclasses.replace(_SETTINGS, steps=30, restarts=1))
    many = find_noise(mapping, codes, _SCALE, dataclasses.replace(_SETTINGS, steps=30, restarts=4))
    assert (many.residual <= one.residual + 1e-5).all()
    assert many.residual.sum() < one.residual.sum()
    # What is given is what the residual is of.
    error = np.linalg.norm(many.code - codes, axis=1) / np.linalg.norm(codes, axis=1)
    np.testing.assert_allclose(many.residual, error, rtol=1e-4)
    np.testing.assert_allclose(mapping(many.noise), many.code, atol=1e-5)


def test_a_search_starts_from_the_nearest_candidates(mapping, codes):
    """With steps too short to move, more candidates alone come nearer."""
    still = InversionSettings(restarts=1, steps=1, learning_rate=1e-9)
    few, many = (
        find_noise(mapping, codes, _SCALE, dataclasses.replace(still, candidates=candidates))
        for candidates in (1, 256)
    )
    assert (many.residual < few.residual).all()


def test_each_code_is_searched_on_its_own(mapping, codes):
    parts = (codes, codes[:2], codes[2:])
    together, *apart = (find_noise(mapping, part, _SCALE, _SETTINGS, seed=1) for part in parts)
    apart = concatenate(apart)
    np.testing.assert_allclose(apart.code, together.code, atol=1e-3)
    assert apart.converged.shape == (5,)


@pytest.fixture(scope="module")
def flow():
    keras.utils.set_random_seed(0)
    network = FlowMapping(8, 16, places=4, noise_scale=_SCALE)
    network.build((None, 16))
    kernel = network.output_dense.kernel
    kernel.assign(np.random.default_rng(0).normal(0.0, 0.1, kernel.shape))
    return network


@pytest.mark.slow
def test_a_flow_needs_no_candidates_and_few_steps(flow, monkeypatch):
    monkeypatch.setattr(inversion, "_nearest", None)
    noise = np.random.default_rng(3).normal(0.0, _SCALE, (5, 16)).astype(np.float32)
    codes = flow(noise).numpy()
    steps = []
    found = find_noise(flow, codes, _SCALE, moved=steps.append)
    assert sum(steps) == 5 * InversionSettings().steps_for(flow) <= 5 * 100
    backward = flow(flow.noise_of(codes)).numpy()
    error = np.linalg.norm(backward - codes, axis=1) / np.linalg.norm(codes, axis=1)
    assert found.residual.max() < 0.01 and found.residual.mean() < 0.7 * error.mean()
    np.testing.assert_allclose(found.noise, noise, atol=0.1 * _SCALE)


def test_steps_are_as_many_as_asked_for(flow):
    settings, told = dataclasses.replace(_SETTINGS, steps=7), []
    find_noise(lambda z: z, np.ones((2, 6), np.float32), 1.0, settings, moved=told.append)
    assert sum(told) == 2 * 7
    assert settings.steps_for(flow) == settings.steps_for(abs) == 7
    assert InversionSettings().steps_for(flow) < InversionSettings().steps_for(abs)


def test_a_search_is_told_of_and_stopped_between_its_steps(mapping, codes):
    told = []

    def moved(steps):
        told.append(steps)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_noise(mapping, codes, _SCALE, _SETTINGS, moved=moved)
    assert sum(told) < 5 * 150 / 4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"restarts": 0}, "restarts must be at least 1"),
        ({"candidates": 3}, "candidates must be at least as many as restarts"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"tolerance": -1.0}, "tolerance must be positive"),
        ({"prior_weight": -1.0}, "prior_weight must not be negative"),
        ({"learning_rate": math.nan}, "learning_rate must be positive"),
        ({"prior_weight": math.nan}, "prior_weight must not be negative"),
        ({"tolerance": math.inf}, "tolerance must be positive"),
    ],
)
def test_settings_refuse(change, message):
    with pytest.raises(ValueError, match=message):
        InversionSettings(**change)
