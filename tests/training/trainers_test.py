"""The train steps: who moves, in which order, and whether they learn."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config as configuration
from dpig_tf2.execution import Execution
from dpig_tf2.models import weights
from dpig_tf2.testing import random_keypoints, random_pair
from dpig_tf2.training import trainers
from dpig_tf2.training.trainer import split_updates

RECONSTRUCTION_NETWORKS = ("appearance_encoder", "generator", "discriminator")
_CRITICS = ("discriminator", "pose_critic")


def values(networks):
    return {name: [np.array(v) for v in net.variables] for name, net in networks.items()}


def moved(before, after):
    return {
        name
        for name in before
        if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))
    }


@pytest.fixture(scope="module")
def reconstruction(tiny_config):
    """A trainer after some compiled steps on one batch: (trainer, logs of every step)."""
    keras.utils.set_random_seed(0)
    faster = tiny_config.override(**{"reconstruction.learning_rate": 2e-3})
    trainer = trainers.build_trainer("reconstruction", faster)
    batch = random_pair(faster.model, 4)
    step = tf.function(trainer.train_step)
    logs = [{k: float(v) for k, v in step(batch).items()} for _ in range(60)]
    return trainer, logs


@pytest.mark.slow
def test_reconstruction_overfits_one_batch(reconstruction):
    _, logs = reconstruction
    first, last = logs[0]["loss/reconstruction"], logs[-1]["loss/reconstruction"]
    assert last < 0.8 * first
    assert all(np.isfinite(list(entry.values())).all() for entry in logs)


@pytest.mark.slow
def test_each_optimizer_moves_its_own_networks_only(reconstruction):
    trainer, _ = reconstruction
    batch = random_pair(trainer.config.model, 4, seed=7)
    real = tf.cast(batch["source"]["image"], tf.float32) / 127.5 - 1

    before = values(trainer.networks)
    trainer.update_discriminator(real, trainer.reconstruct(batch["source"]), batch)
    between = values(trainer.networks)
    assert moved(before, between) == {"discriminator"}

    with tf.GradientTape() as tape:
        loss, _ = trainer.generator_loss(real, trainer.reconstruct(batch["source"]), batch)
    trainer.optimized["generator"].minimize(tape, loss)
    assert moved(between, values(trainer.networks)) == {"appearance_encoder", "generator"}


def test_shared_forward_equals_two_forwards_in_that_order(tiny_config):
    """The default order's saving changes no number beyond rounding."""
    batch = random_pair(tiny_config.model, 4)
    results = []
    for shared in (True, False):
        keras.utils.set_random_seed(1)
        trainer = trainers.build_trainer("reconstruction", tiny_config)
        if shared:
            logs = trainer.update(batch)
        else:
            real = tf.cast(batch["source"]["image"], tf.float32) / 127.5 - 1
            logs = trainer.update_discriminator(real, trainer.reconstruct(batch["source"]), batch)
            with tf.GradientTape() as tape:
                loss, more = trainer.generator_loss(
                    real, trainer.reconstruct(batch["source"]), batch
                )
            trainer.optimized["generator"].minimize(tape, loss)
            logs |= more
        optimizer = trainer.optimized["generator"].optimizer
        slots = [np.array(v) for v in optimizer.variables if "momentum" in v.path]
        results.append((logs, slots))
    (logs, slots), (plain_logs, plain_slots) = results
    for name in plain_logs:
        np.testing.assert_allclose(logs[name], plain_logs[name], rtol=1e-5, err_msg=name)
    for slot, plain in zip(slots, plain_slots, strict=True):
        np.testing.assert_allclose(slot, plain, atol=1e-5 * np.abs(plain).max() + 1e-9)


@pytest.mark.slow
def test_release_order_skips_the_generator_at_step_zero(tiny_config):
    keras.utils.set_random_seed(2)
    trainer = trainers.build_trainer("reconstruction", tiny_config.override(match_release=True))
    assert trainer.updates_per_step == 2
    step = tf.function(trainer.train_step)
    before = values(trainer.networks)
    step(random_pair(tiny_config.model, 8))
    between = values(trainer.networks)
    assert moved(before, between) == {"discriminator"}
    step(random_pair(tiny_config.model, 8, seed=1))
    assert moved(between, values(trainer.networks)) == set(RECONSTRUCTION_NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("pairing", configuration.PAIRINGS)
@pytest.mark.parametrize("objective", configuration.OBJECTIVES)
def test_every_objective_and_pairing_steps(tiny_config, objective, pairing, joint):
    config = tiny_config.override(
        **{
            "reconstruction.objective": objective,
            "reconstruction.pairing": pairing,
            "reconstruction.joint_discriminator": joint,
        }
    )
    trainer = trainers.build_trainer("reconstruction", config)
    logs = trainer.train_step(random_pair(config.model, 4))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert ("loss/gradient_penalty" in logs) == (objective == "wgan-gp")
    weights = np.concatenate([np.ravel(v) for v in trainer.discriminator.trainable_variables])
    assert (np.abs(weights).max() <= config.reconstruction.clip) == (objective == "wgan")


def test_joint_discriminator_shares_batch_statistics(tiny_config):
    trainers_by_mode = {}
    for joint in (False, True):
        keras.utils.set_random_seed(3)
        config = tiny_config.override(**{"reconstruction.joint_discriminator": joint})
        trainers_by_mode[joint] = trainers.build_trainer("reconstruction", config)
    real, fake = tf.random.normal([4, 64, 32, 3], seed=0), tf.random.normal([4, 64, 32, 3], seed=1)
    apart, (apart_fake,) = trainers_by_mode[False].logits(real, [fake])
    joint, (joint_fake,) = trainers_by_mode[True].logits(real, [fake])
    together = trainers_by_mode[True].discriminator(tf.concat([real, fake], axis=0))
    np.testing.assert_allclose(tf.concat([joint, joint_fake], 0), together, rtol=1e-6)
    assert np.abs(apart - joint).max() > 1e-4
    np.testing.assert_allclose(apart_fake, trainers_by_mode[False].discriminator(fake), rtol=1e-6)


def test_the_second_fake_is_the_same_person_in_the_other_pose(tiny_config):
    config = tiny_config.override(**{"reconstruction.pairing": "triplet"})
    trainer = trainers.build_trainer("reconstruction", config)
    batch = random_pair(config.model, 2)
    (fake,) = trainer._other_pose(batch)
    expected = tf.cast(batch["target"]["image"], tf.float32) / 127.5 - 1
    np.testing.assert_allclose(fake, expected, atol=1e-6)


@pytest.mark.parametrize("stage", ["reconstruction", "pose_mapping"])
def test_the_penalty_has_the_configured_weight(tiny_config, stage):
    """Adam's first mean, of which the penalty has a share that is proportional to its weight."""
    trainer = trainers.build_trainer(
        stage, tiny_config.override(**{f"{stage}.objective": "wgan-gp"})
    )
    state, means = weights.collect(trainer.state_variables()), []
    batch = random_pair(tiny_config.model, 2)
    image = tf.cast(batch["source"]["image"], tf.float32) / 127.5 - 1
    code = tf.random.normal([4, tiny_config.model.pose_embedding], seed=0)
    for weight in (0.0, 1.0, 3.0):
        trainer.restore(state, "the first")
        trainer.settings = dataclasses.replace(trainer.settings, penalty_weight=weight)
        if stage == "reconstruction":
            trainer.update_discriminator(image, -image, batch)
        else:
            trainer.update_critic("pose", code, -code)
        (slots,) = (o.optimizer.variables for n, o in trainer.optimized.items() if n in _CRITICS)
        means.append(np.concatenate([np.ravel(v) for v in slots if "momentum" in v.path]))
    one, three = means[1] - means[0], means[2] - means[0]
    assert np.abs(one).max() > 0
    np.testing.assert_allclose(three, 3 * one, atol=1e-3 * np.abs(three).max())


@pytest.mark.slow
def test_pose_autoencoder_overfits_one_batch(tiny_config):
    keras.utils.set_random_seed(0)
    config = tiny_config.override(**{"pose.learning_rate": 3e-3})
    trainer = trainers.build_trainer("pose", config)
    batch = {"keypoints": random_keypoints(config.model, 8)}
    step = tf.function(trainer.train_step)
    logs = [step(batch) for _ in range(300)]
    assert logs[-1]["loss/reconstruction"] < 0.1 * logs[0]["loss/reconstruction"]
    assert logs[-1]["accuracy/visibility"] > 0.9


def embeddings(trainer, seed=0):
    rows = trainer.updates_per_step * trainer.settings.batch_size
    rng = np.random.default_rng(seed)
    sizes = {factor: trainer.config.model.embedding_size(factor) for factor in trainer.factors}
    return {
        "embedding": {
            factor: tf.constant(rng.normal(2.0, 0.5, (rows, size)), tf.float32)
            for factor, size in sizes.items()
        }
    }


def count_calls(trainer, name, calls):
    update = getattr(trainer, name)

    def counted(factor, *args, **kwargs):
        calls.append((name, factor))
        return update(factor, *args, **kwargs)

    setattr(trainer, name, counted)


def test_mapping_order_and_number_of_updates(tiny_config):
    trainer = trainers.build_trainer("appearance_mapping", tiny_config)
    calls = []
    for name in ("update_mapping", "update_critic"):
        count_calls(trainer, name, calls)
    trainer.train_step(embeddings(trainer))
    expected = []
    for factor in ("foreground", "background"):
        expected += [("update_mapping", factor)] + [("update_critic", factor)] * 5
    assert calls == expected
    assert trainer.updates_per_step == 12


@pytest.mark.slow
def test_mapping_learns_the_mean_of_the_embeddings(tiny_config):
    """A game of two networks circles around its end, which therefore is a mean over steps.

    The critic learns faster than the mapping network, as it must to be worth following (Heusel et
    al. 2017). Of ten seeds, with oneDNN's own choice of instructions, SSE4.1 and one thread, the
    mean over the last 40 steps was 1.89 to 2.03 for 2, from -0.16 to 0.28.
    """
    keras.utils.set_random_seed(0)
    rates = {"learning_rate": 1e-3, "adversary_learning_rate": 5e-3}
    config = tiny_config.override(**{f"pose_mapping.{name}": rate for name, rate in rates.items()})
    trainer = trainers.build_trainer("pose_mapping", config)
    batch = embeddings(trainer)
    noise = tf.random.normal([256, 8], stddev=config.model.noise_scale, seed=1)
    mapping = trainer.networks["pose_mapping"]
    step, means = tf.function(trainer.train_step), [np.mean(mapping(noise))]
    for _ in range(120):
        step(batch)
        means.append(np.mean(mapping(noise)))
    assert abs(np.mean(means[-40:]) - 2.0) < 0.2 * abs(means[0] - 2.0), means


def test_wgan_clips_both_critics_after_either_update(tiny_config):
    config = tiny_config.override(**{"appearance_mapping.objective": "wgan"})
    trainer = trainers.build_trainer("appearance_mapping", config)
    real = tf.random.normal([8, config.model.foreground_embedding])
    noise = tf.random.normal([8, config.model.foreground_embedding])
    trainer.update_critic("foreground", real, noise)
    for factor in ("foreground", "background"):
        for variable in trainer.networks[f"{factor}_critic"].trainable_variables:
            assert np.abs(variable).max() <= np.float32(0.01), variable.path


def test_given_noise_replaces_drawn_noise(tiny_config):
    results = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        trainer = trainers.build_trainer("pose_mapping", tiny_config.override(seed=len(results)))
        batch = embeddings(trainer)
        batch["noise"] = {"pose": tf.ones_like(batch["embedding"]["pose"])}
        results.append(float(trainer.train_step(batch)["loss/pose_mapping"]))
    assert results[0] == results[1], "the run seed draws noise only where none is given"


def test_noise_depends_on_seed_step_and_purpose_only(tiny_config):
    trainer = trainers.build_trainer("pose_mapping", tiny_config)
    first = trainer.normal([2, 3], 0, 0.2)
    np.testing.assert_array_equal(first, trainer.normal([2, 3], 0, 0.2))
    assert np.abs(first - trainer.normal([2, 3], 1, 0.2)).max() > 0
    trainer.step.assign(1)
    assert np.abs(first - trainer.normal([2, 3], 0, 0.2)).max() > 0
    other = trainers.build_trainer("pose_mapping", tiny_config.override(seed=1))
    assert np.abs(first - other.normal([2, 3], 0, 0.2)).max() > 0


def test_every_update_draws_noise_of_its_own_in_the_configured_scale(tiny_config, monkeypatch):
    trainer = trainers.build_trainer("pose_mapping", tiny_config)
    drawn = []
    monkeypatch.setattr(trainer, "update_mapping", lambda factor, noise: drawn.append(noise))
    monkeypatch.setattr(
        trainer, "update_critic", lambda factor, real, noise, index: drawn.append(noise) or {}
    )
    trainer.update(embeddings(trainer))
    assert len(drawn) == trainer.updates_per_step == 6
    values = np.stack(drawn)
    assert len(np.unique(values)) == values.size
    assert values.std() == pytest.approx(tiny_config.model.noise_scale, rel=0.2)


def test_learning_rates_halve(tiny_config):
    config = tiny_config.override(**{"pose.halve_every": 2, "pose.learning_rate": 0.4})
    trainer = trainers.build_trainer("pose", config)
    batch = {"keypoints": random_keypoints(config.model, 8)}
    rates = [float(trainer.train_step(batch)["learning_rate/pose"]) for _ in range(6)]
    np.testing.assert_allclose(rates, [0.4, 0.4, 0.2, 0.2, 0.1, 0.1], rtol=1e-6)


def test_a_resumed_stage_has_the_configured_learning_rates(tiny_config):
    """They may be others than those that the checkpoint was trained with, and halved otherwise."""
    trainer = trainers.build_trainer("pose_mapping", tiny_config)
    trainer.step.assign(7)
    state = weights.collect(trainer.state_variables())
    settings = {"learning_rate": 0.4, "adversary_learning_rate": 0.8, "halve_every": 3}
    changed = tiny_config.override(**{f"pose_mapping.{k}": v for k, v in settings.items()})
    resumed = trainers.build_trainer("pose_mapping", changed)
    resumed.restore(state, "step-7.npz")
    logs = resumed.train_step(embeddings(resumed))
    rates = [float(logs[f"learning_rate/{name}"]) for name in ("pose_mapping", "pose_critic")]
    np.testing.assert_allclose(rates, [0.1, 0.2], rtol=1e-6)


def test_fit_runs_the_same_step(tiny_config):
    trainer = trainers.build_trainer("pose", tiny_config)
    trainer.compile(jit_compile=False)
    batch = {"keypoints": random_keypoints(tiny_config.model, 8)}
    history = trainer.fit(tf.data.Dataset.from_tensors(batch).repeat(3), verbose=0)
    assert int(trainer.step) == 3
    assert np.isfinite(history.history["loss/reconstruction"]).all()


def test_state_covers_networks_optimizers_and_step(tiny_config):
    trainer = trainers.build_trainer("pose_mapping", tiny_config)
    paths = [variable.path for variable in trainer.state_variables()]
    assert len(paths) == len(set(paths))
    assert "step" in paths
    for part in ("pose_mapping/", "pose_critic/", "pose_mapping_optimizer/iteration"):
        assert any(path.startswith(part) for path in paths), part


def test_split_updates_keeps_structure_and_order():
    first, second = split_updates({"a": tf.range(4), "b": {"c": tf.range(8)}}, 2)
    assert first["a"].numpy().tolist() == [0, 1]
    assert second["b"]["c"].numpy().tolist() == [4, 5, 6, 7]


@pytest.mark.slow
def test_deepfashion_steps_with_eight_logits_per_image(tiny_config):
    config = configuration.preset("deepfashion").override(
        **{"model.hidden": 4, "model.latent": 8, "model.discriminator_hidden": 64}
    )
    trainer = trainers.build_trainer("reconstruction", config)
    batch = random_pair(config.model, 2)
    real = tf.cast(batch["source"]["image"], tf.float32) / 127.5 - 1
    real_logits, (fake_logits,) = trainer.logits(real, [real])
    assert real_logits.shape == fake_logits.shape == (16,)
    logs = trainer.train_step(batch)
    assert np.isfinite([float(value) for value in logs.values()]).all()


def test_a_step_is_traced_without_autograph(tiny_config):
    """Which looks for control flow that no trainer has, a third of the time."""
    trainer = trainers.build_trainer("pose", tiny_config)

    def update(batch):
        return {"loss": 1.0 if batch else 0.0}

    trainer.update = update
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        tf.function(trainer.train_step)(tf.constant(True))


@pytest.mark.slow
@pytest.mark.parametrize("stage", configuration.STAGES)
def test_every_stage_compiles_with_xla(tiny_config, stage):
    """XLA turns the same random bits into other numbers, so this step draws none."""
    config = tiny_config.override(**{"pose.code_noise": 0.0})
    if stage.endswith("mapping"):
        config = config.override(**{f"{stage}.objective": "wgan"})
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        trainer = trainers.build_trainer(stage, config, Execution(jit_compile=compiled))
        if stage == "reconstruction":
            batch = random_pair(config.model, 4)
        elif stage == "pose":
            batch = {"keypoints": random_keypoints(config.model, 8)}
        else:
            batch = embeddings(trainer)
            batch["noise"] = embeddings(trainer, seed=1)["embedding"]
        logs = tf.function(trainer.train_step, jit_compile=compiled)(batch)
        losses.append({name: float(value) for name, value in logs.items()})
    for name, value in losses[0].items():
        np.testing.assert_allclose(losses[1][name], value, rtol=1e-3, atol=1e-5, err_msg=name)
