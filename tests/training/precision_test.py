"""16-bit computation and loss scales, against float32; rematerialized steps against plain ones."""

import itertools
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.config import PRECISIONS
from dpig_tf2.execution import Execution
from dpig_tf2.io import array_files
from dpig_tf2.models import factory, weights
from dpig_tf2.testing import random_pair
from dpig_tf2.training import optimizers
from dpig_tf2.training import precision as speed
from dpig_tf2.training.trainers import build_trainer
from tests.training.trainers_test import embeddings

# Found by training on: neither overflow nor underflow. The reconstruction loss weighs 1000 here.
_SCALES = {"generator": 16.0, "discriminator": 4096.0, "pose_mapping": 4096.0, "pose_critic": 512.0}


def test_sixteen_bits_are_timed_against_float32(monkeypatch):
    assert speed.slowdown(Execution()) == 1.0
    started = time.perf_counter()
    assert 0.05 < speed.slowdown(Execution("mixed_float16")) < 500
    assert time.perf_counter() - started < 30
    ways = {tf.float32: 0.002, tf.bfloat16: 0.02}

    def step(dtype, jit_compile):
        return lambda: time.sleep(ways[dtype]) or tf.constant(0)

    monkeypatch.setattr(speed, "_step", step)
    assert speed.slowdown(Execution("mixed_bfloat16")) > speed.MOST_SLOWDOWN


def _trainer(stage, config, precision="float32", seed=0, rematerialize=False):
    """A trainer that starts from the same weights in every precision."""
    keras.utils.set_random_seed(seed)
    return build_trainer(stage, config, Execution(precision, rematerialize=rematerialize))


def _scaled_trainer(stage, config):
    """A trainer in float16 whose loss scales are settled."""
    trainer = _trainer(stage, config, "mixed_float16")
    for name, optimized in trainer.optimized.items():
        optimized.optimizer.dynamic_scale.assign(_SCALES[name])
    return trainer


def _gradients(optimized):
    """The gradients of the first Adam update, one vector: its first moments."""
    moments = [v for v in optimizers.state_variables(optimized.optimizer) if "_momentum" in v.path]
    assert len(moments) == len(optimized.variables)
    return np.concatenate([np.ravel(moment) for moment in moments])


def _relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


# ---- networks


@pytest.fixture(scope="module")
def generators(tiny_config):
    """{precision: generator}, all with the same weights."""
    built = {}
    for precision in PRECISIONS:
        keras.utils.set_random_seed(0)
        built[precision] = factory.build_network(
            "generator", tiny_config.model, Execution(precision)
        )
    return built


def test_only_the_computation_is_in_16_bits(generators):
    for precision, generator in generators.items():
        assert generator.output_conv.compute_dtype == precision.removeprefix("mixed_")
        assert {variable.dtype for variable in generator.variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "other networks are not concerned"


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("mixed_bfloat16", 0.02), ("mixed_float16", 0.002)]
)
def test_16_bit_pictures_are_close_to_float32(generators, tiny_config, precision, tolerance):
    model = tiny_config.model
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(2, model.appearance_embedding)).astype(np.float32)
    maps = rng.choice([-1, 1], (2, model.height, model.width, 18)).astype(np.float32)
    expected = generators["float32"](embedding, maps)
    found = generators[precision](embedding, maps)
    assert found.dtype == tf.float32
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < difference < tolerance


# ---- steps


@pytest.mark.slow
def test_both_networks_of_a_gan_step_alike_in_float16(tiny_config):
    batch = random_pair(tiny_config.model, 4)
    plain = _trainer("reconstruction", tiny_config)
    scaled = _scaled_trainer("reconstruction", tiny_config)
    expected, found = plain.train_step(batch), scaled.train_step(batch)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=5e-3, err_msg=name)
    for name, optimized in scaled.optimized.items():
        assert float(found[f"loss_scale/{name}"]) == _SCALES[name], "no update was left out"
        error = _relative_error(_gradients(optimized), _gradients(plain.optimized[name]))
        # The discriminator's batch norm divides by small deviations: rounding grows.
        assert error < {"generator": 0.03, "discriminator": 0.1}[name], name


def test_both_networks_of_a_mapping_step_alike_in_float16(tiny_config):
    """With the gradient penalty, whose own gradient is a second derivative."""
    plain = _trainer("pose_mapping", tiny_config)
    scaled = _scaled_trainer("pose_mapping", tiny_config)
    real = embeddings(plain)["embedding"]["pose"]
    noise = tf.random.stateless_normal(real.shape, [0, 0], alg="philox")
    for trainer in (plain, scaled):
        trainer.update_mapping("pose", noise)
        trainer.update_critic("pose", real, noise)
    for name, optimized in scaled.optimized.items():
        error = _relative_error(_gradients(optimized), _gradients(plain.optimized[name]))
        assert error < 0.01, name


@pytest.mark.parametrize("objective", ["wgan", "wgan-gp"])  # RMSProp, Adam
def test_loss_scale_cancels(objective):
    moved = []
    for scaling in (False, True):
        variable = keras.Variable(np.array([1.0, -2.0], np.float32))
        optimizer = optimizers.build_optimizer(
            objective, 0.1, [variable], f"optimizer_{scaling}", loss_scaling=scaling
        )
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(tf.convert_to_tensor(variable)))
            optimizers.apply_gradients(optimizer, tape, loss, [variable])
        moved.append(np.array(variable))
    np.testing.assert_array_equal(moved[1], moved[0])


def test_an_overflow_leaves_the_update_out_and_halves_the_scale():
    variable = keras.Variable(np.array([2.0], np.float32))
    optimizer = optimizers.build_optimizer("dcgan", 0.1, [variable], "optimizer", loss_scaling=True)
    before = [np.array(v) for v in optimizers.state_variables(optimizer)]
    for slope, moves in ((1e35, False), (1e10, True)):
        scale = float(optimizers.scalars(optimizer)["loss_scale"])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(slope * tf.convert_to_tensor(variable))
        assert np.isfinite(loss), "only its multiple overflows"
        optimizers.apply_gradients(optimizer, tape, loss, [variable])
        after = [np.array(v) for v in optimizers.state_variables(optimizer)]
        assert any((a != b).any() for a, b in zip(after, before, strict=True)) == moves
        assert (float(variable[0]) < 2.0) == moves
        expected = scale if moves else scale / 2
        assert float(optimizers.scalars(optimizer)["loss_scale"]) == expected
    assert int(optimizer.iterations) == 1


@pytest.mark.slow
def test_checkpoints_of_every_precision_serve_every_other(tiny_config):
    trainers = {
        precision: _trainer("pose", tiny_config, precision, seed)
        for seed, precision in enumerate(PRECISIONS)
    }
    states = {
        precision: weights.collect(trainer.state_variables())
        for precision, trainer in trainers.items()
    }
    assert set(states["float32"]) == set(states["mixed_bfloat16"])
    scale = "pose_optimizer_loss_scale"
    assert set(states["mixed_float16"]) - set(states["float32"]) == {
        f"{scale}/dynamic_scale",
        f"{scale}/step_counter",
    }
    for source, target in itertools.pairwise((*PRECISIONS, *PRECISIONS)):
        trainers[target].restore(states[source], source)
        for variable in trainers[target].state_variables():
            if variable.path in states[source]:
                np.testing.assert_array_equal(variable, states[source][variable.path])
    damaged = dict(states["float32"])
    del damaged["step"]
    with pytest.raises(array_files.WeightsError, match="old.npz: variable step is missing"):
        trainers["mixed_float16"].restore(damaged, "old.npz")


# ---- memory


@pytest.mark.slow
def test_rematerialized_levels_are_computed_twice_and_change_no_gradient(tiny_config):
    batch = random_pair(tiny_config.model, 2)["source"]
    results, calls = [], []
    for rematerialize in (False, True):
        trainer = _trainer("reconstruction", tiny_config, rematerialize=rematerialize)
        encoder, generator = (trainer.networks[n] for n in ("appearance_encoder", "generator"))
        counted = [
            encoder.stem_conv,
            encoder.region_pyramid.downs[0],
            generator.pyramid.downs[0],
            generator.ups[0],
        ]
        count = [_count_calls(layer) for layer in counted]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(trainer.reconstruct(batch)))
        results.append(tape.gradient(loss, trainer.optimized["generator"].variables))
        calls.append([len(made) for made in count])
    assert calls == [[1] * 4, [2] * 4]
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-6, atol=1e-6 * np.abs(plain).max())


def _count_calls(layer):
    made, call = [], layer.call

    def counted(*args):
        made.append(args)
        return call(*args)

    layer.call = counted
    return made
