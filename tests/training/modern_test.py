"""The trainers of the modern recipe."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config, testing
from dpig_tf2.config import ConfigError
from dpig_tf2.io import locks
from dpig_tf2.io.images import save_png
from dpig_tf2.models import factory, loading, placed, weights
from dpig_tf2.pipeline.personal_photos import PersonalPhotos
from dpig_tf2.pipeline.training_data import RecordPairs
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import losses, optimizers, pictures
from dpig_tf2.training import run as training
from dpig_tf2.training.personalization import personal_config, personalize, prepare
from dpig_tf2.training.run import RunOptions, train
from dpig_tf2.training.trainers import build_trainer
from tests.programs import run_in_one_process, save_tiny_sampler

_SIZES = {  # the body mask leaves some of the background
    "model.height": 32, "model.width": 16, "model.mask_radius": 1, "model.hidden": 8,
    "model.region_embedding": 8,
    "model.background_embedding": 32, "model.placed_channels": 4,
    "model.pose_mapping_hidden": 32, "reconstruction.batch_size": 2, "reconstruction.steps": 100,
    "recipe.warmup_steps": 1, "pose_mapping.steps": 300, "recipe.weight_average": 0.9,
}  # fmt: skip


def _trainer(stage="reconstruction", **changes):
    tf.keras.utils.set_random_seed(0)
    return build_trainer(stage, config.preset("modern").override(**(_SIZES | changes)))


def _batch(trainer):
    return testing.random_pair(trainer.config.model, 2)


@pytest.mark.slow
def test_it_learns_a_batch_by_heart():
    trainer = _trainer()
    batch, step = _batch(trainer), tf.function(trainer.train_step)
    first = {name: float(value) for name, value in step(batch).items()}
    for _ in range(60):
        last = step(batch)
    for name in ("error/reconstruction", "error/transfer", "loss/scene"):
        assert float(last[name]) < 0.9 * first[name], name


def test_the_transferred_half_has_the_background_of_the_third_photo():
    trainer = _trainer()
    source, target = _batch(trainer).values()
    scene = testing.random_person(trainer.config.model, 2, seed=50)
    codes = trainer._codes(source, target, scene)
    model = trainer.person_model
    own, other = (model.split_appearance(model.encode_person(p)) for p in (source, scene))
    np.testing.assert_allclose(codes[2:, :56], own["foreground"], atol=1e-6)
    np.testing.assert_allclose(codes[2:, 56:], other["background"], atol=1e-6)
    np.testing.assert_allclose(codes[:2, 56:], own["background"], atol=1e-6)
    assert np.abs(own["background"] - other["background"]).max() > 1e-3


@pytest.mark.slow
def test_without_a_third_photo_the_target_lends_its_background():
    given, found = [], []
    for with_scene in (True, False):
        trainer = _trainer()
        batch = _batch(trainer)
        if with_scene:
            batch["scene"] = batch["target"]
        (given if with_scene else found).append(trainer.train_step(batch))
    assert float(given[0]["error/transfer"]) == float(found[0]["error/transfer"])


@pytest.mark.parametrize("has_scene", [False, True])
def test_an_answer_with_its_own_scene_teaches_nothing_of_what_the_person_hides(has_scene):
    """Here the mask hides all of the scene."""
    trainer = _trainer()
    batch = {
        side: person | {"body_mask": tf.ones_like(person["body_mask"])}
        for side, person in _batch(trainer).items()
    }
    if has_scene:
        batch["scene"] = testing.random_person(trainer.config.model, 2, seed=50)
    # Of a scene that is hidden there are no features: a kernel would have no gradient anyway.
    biases = trainer.generator.scene_output.bias, trainer.generator.figure_output.bias
    before = list(map(np.array, biases))
    trainer.train_step(batch)
    scene, figure = (np.abs(now - old).max() for now, old in zip(biases, before, strict=True))
    assert figure > 0
    assert (scene > 0) == has_scene


def test_without_cross_answers_every_photo_is_drawn_from_its_own_codes():
    trainer = _trainer(**{"recipe.cross_answers": False})
    batch = _batch(trainer)
    model, own = trainer.person_model, list(batch.values())
    codes = trainer._codes(*own, scene=testing.random_person(trainer.config.model, 2, seed=50))
    expected = np.concatenate([model.encode_person(person) for person in own])
    np.testing.assert_allclose(codes, expected, atol=1e-6)
    logs = trainer.train_step(batch)
    assert "error/transfer" not in logs
    assert float(logs["error/reconstruction"]) > 0


def test_errors_are_told_of_the_half_that_they_are_of(monkeypatch):
    trainer = _trainer()
    batch = _batch(trainer)
    answer = np.concatenate([person["image"] for person in batch.values()]) / 127.5 - 1
    off = np.repeat(np.float32([0.25, 0.75]), 2)[:, None, None, None]

    def composed(figure, around):
        return tf.constant(answer + off, tf.float32) + 0.0 * (figure[..., :3] + around)

    monkeypatch.setattr(placed, "composed", composed)
    logs = trainer.update(batch)
    assert float(logs["error/reconstruction"]) == pytest.approx(0.25, rel=1e-4)
    assert float(logs["error/transfer"]) == pytest.approx(0.75, rel=1e-4)


def test_codes_poses_answers_and_masks_belong_together(monkeypatch):
    trainer, given = _trainer(), {}
    source, target = batch = list(_batch(trainer).values())

    class Told(Exception):
        pass

    def codes(*persons):
        given["persons"] = persons

    def layers_of(codes, keypoints):
        given["keypoints"] = keypoints
        return "figure", "around"

    def loss(drawn, around, answer, mask):
        given.update(image=(answer + 1) * 127.5, body_mask=mask)
        raise Told

    monkeypatch.setattr(trainer, "_codes", codes)
    monkeypatch.setattr(trainer, "_loss", loss)
    monkeypatch.setattr(trainer.generator, "layers_of", layers_of)
    monkeypatch.setattr(placed, "composed", lambda figure, around: None)
    with pytest.raises(Told):
        trainer.update({"source": source, "target": target, "scene": "scene"})
    assert given["persons"] == (source, target, "scene")
    for field in ("keypoints", "image", "body_mask"):
        expected = np.concatenate([person[field] for person in batch])
        np.testing.assert_allclose(given[field], expected, atol=1e-3, err_msg=field)


@pytest.mark.slow
def test_colors_of_texels_are_learned():
    trainer = _trainer(**{"model.texels": True, "reconstruction.learning_rate": 3e-3})
    batch, step = _batch(trainer), tf.function(trainer.train_step)
    first = {name: float(value) for name, value in step(batch).items()}
    for _ in range(60):
        last = step(batch)
    assert float(last["loss/texture"]) < 0.7 * first["loss/texture"]
    assert float(last["error/reconstruction"]) < 0.9 * first["error/reconstruction"]
    person = batch["source"]
    codes, answer = trainer.person_model.encode_person(person), tf.ones((2, 32, 16, 3))
    of_masks = [
        float(trainer._texture_loss(codes, person["keypoints"], answer, mask))
        for mask in (tf.ones((2, 32, 16, 1)), tf.zeros((2, 32, 16, 1)))
    ]
    assert of_masks[0] > 0 == of_masks[1], "texels that are hidden teach nothing"


@pytest.mark.slow
def test_the_weight_of_the_texture_is_that_of_the_recipe():
    changed = []
    for weight in (0.0, 1.0):
        trainer = _trainer(**{"model.texels": True, "recipe.texture_weight": weight})
        before = weights.collect(trainer.generator.texture.variables)
        trainer.generator.figure_convs[2].kernel.assign(
            tf.zeros_like(trainer.generator.figure_convs[2].kernel)
        )  # what is drawn does not depend on the texture
        trainer.train_step(_batch(trainer))
        after = weights.collect(trainer.generator.texture.variables)
        changed.append(any(not np.array_equal(after[name], before[name]) for name in before))
    assert changed == [False, True]


def test_the_loss_is_the_weighted_sum_of_its_terms():
    changes = {"structure_weight": 3.0, "scene_weight": 5.0, "person_weight": 7.0}
    trainer = _trainer(**{f"recipe.{name}": value for name, value in changes.items()})
    rng = np.random.default_rng(0)
    drawn, scene, answer = rng.uniform(-1, 1, (3, 2, 32, 16, 3)).astype(np.float32)
    mask = rng.integers(0, 2, (2, 32, 16, 1)).astype(np.float32)
    loss, logs = trainer._loss(*map(tf.constant, (drawn, scene, answer, mask)))

    def weighted(predicted, weight):
        return np.mean(weight * np.abs(predicted - answer)) / np.mean(weight)

    expected = weighted(drawn, 1 + 7 * mask) + 5 * weighted(scene, 1 - mask)
    expected += 3 * float(losses.structural_dissimilarity(drawn, answer))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert set(logs) == {"loss/reconstruction", "loss/scene", "loss/structure"}


@pytest.mark.slow
def test_averages_follow_and_are_what_is_loaded(tmp_path):
    trainer = _trainer(**{"recipe.weight_average": 0.15})
    batch = _batch(trainer)
    kernel = trainer.generator.scene_output.kernel
    average = kernel.numpy()
    for step in range(3):
        trainer.train_step(batch)
        # Early ones weigh less: after one step the first is a tenth.
        decay = min(0.15, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * kernel.numpy()
    arrays = weights.collect(trainer.state_variables())
    assert not np.array_equal(average, arrays[kernel.path])
    run = RunFolder.plan(tmp_path / "run", trainer.config)
    run.write_config()
    run.save_checkpoint("reconstruction", 3, arrays)
    generator = loading.load_stage_networks(run, "reconstruction")["generator"]
    np.testing.assert_allclose(generator.scene_output.kernel, average, atol=1e-7)


def test_the_best_is_chosen_by_what_is_loaded(tmp_path, monkeypatch):
    trainer = _trainer()
    photos = _photos(trainer.config.model)
    run = RunFolder.plan(tmp_path / "run", trainer.config)
    stage_run = training._StageRun(run, trainer, photos, RunOptions(), None, None)
    kernel = trainer.generator.scene_output.kernel
    average = kernel.numpy()
    kernel.assign_add(tf.ones_like(kernel))

    def error(stage, sampler, persons):
        found = sampler.model.networks["generator"].scene_output.kernel
        np.testing.assert_array_equal(found, average)
        return 0.5

    monkeypatch.setattr(pictures, "fixed_batch_error", error)
    stage_run._save(1)
    assert run.best_error("reconstruction") == 0.5


def test_a_start_from_other_weights_tells_what_is_new():
    arrays = weights.collect(_trainer().state_variables())
    arrays["generator/figure_output/bias"] = np.full(16, 0.5, np.float32)
    arrays["generator/place_0/kernel"] = np.zeros((3, 3), np.float32)
    trainer = _trainer()
    assert trainer.start_from(arrays) == {
        "appearance_encoder": [],
        "generator": ["generator/place_0/kernel"],
    }
    assert (trainer.generator.figure_output.bias.numpy() == 0.5).all()
    averages = weights.averaged(weights.collect(trainer.state_variables()))
    assert (averages["generator/figure_output/bias"] == 0.5).all()
    assert trainer.step.numpy() == 0


@pytest.mark.slow
def test_a_flow_learns_a_distribution():
    trainer = _trainer("pose_mapping", **{"pose_mapping.learning_rate": 3e-3})
    rng = np.random.default_rng(0)

    def codes(count):
        """Two clusters on a line in 32 dimensions."""
        side = rng.choice([-1.0, 1.0], (count, 1))
        return (5 + 3 * side + 0.1 * rng.normal(size=(count, 32))).astype(np.float32)

    trainer.adapt({"embedding": {"pose": codes(4000)}})
    step = tf.function(trainer.train_step)
    for _ in range(300):
        step({"embedding": {"pose": tf.constant(codes(128))}})
    flow = trainer.networks["pose_mapping"]
    drawn = flow(rng.normal(size=(500, 32)).astype(np.float32)).numpy().mean(axis=1)
    near = np.minimum(np.abs(drawn - 2), np.abs(drawn - 8)) < 0.8
    assert near.mean() > 0.85
    assert 0.3 < (drawn > 5).mean() < 0.7


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (9, 1.0), (50, 1.0), (75, 1.0), (90, 0.4), (100, 0.0), (101, 0.0)],
)
def test_trapezoid(step, expected):
    rate = optimizers.trapezoid(1.0, tf.constant(step, tf.int64), 100, 10, 0.25)
    assert float(rate) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("stage", "optimizer"),
    [("reconstruction", "muon"), ("reconstruction", "adam"), ("pose", "muon"),
     ("pose_mapping", "adam"), ("pose_mapping", "muon")],
)  # fmt: skip
def test_the_first_step_is_as_short_as_the_warm_up_says(stage, optimizer):
    trainer = _trainer(stage, **{"recipe.warmup_steps": 200, f"{stage}.optimizer": optimizer})
    (optimized,) = trainer.optimized.values()
    rate = trainer.settings.learning_rate
    assert float(optimized.optimizer.learning_rate) == pytest.approx(rate / 200)


@pytest.mark.parametrize(
    ("stage", "left_to_adam"),
    [
        ("reconstruction", ("/bias", "output/kernel", "/position")),
        ("pose", ("/bias", "output/kernel", "coordinates/kernel", "visibility/kernel")),
    ],
)
def test_kernels_are_muons_unless_something_comes_in_or_out(stage, left_to_adam):
    trainer = _trainer(stage)
    for optimized in trainer.optimized.values():
        for variable in optimized.variables:
            by_adam = optimized.optimizer._should_use_adamw(variable)
            assert by_adam == variable.path.endswith(left_to_adam), variable.path
    adam = _trainer(stage, **{f"{stage}.optimizer": "adam"})
    assert all(isinstance(o.optimizer, optimizers.FusedAdam) for o in adam.optimized.values())


def test_the_recipe_forgets_squares_of_gradients_sooner_than_the_release(tiny_config):
    def decays(trainer):
        (optimizer,) = {type(o.optimizer): o.optimizer for o in trainer.optimized.values()}.values()
        prefix = "adam_" if isinstance(optimizer, optimizers.Muon) else ""
        return [getattr(optimizer, f"{prefix}beta_{i}") for i in (1, 2)]

    for optimizer in config.OPTIMIZERS:
        trainer = _trainer("pose_mapping", **{"pose_mapping.optimizer": optimizer})
        assert decays(trainer) == [0.9, 0.99]
    assert decays(build_trainer("pose", tiny_config)) == [0.5, 0.999]


def test_poses_by_muon_follow_the_recipe_and_by_adam_their_halvings(tiny_config):
    batch = {"keypoints": testing.random_person(tiny_config.model, 2)["keypoints"]}
    changes = {"pose.steps": 2, "pose.learning_rate": 0.8}
    options = {
        "adam": changes | {"pose.halve_every": 1},
        "muon": changes
        | {"pose.optimizer": "muon", "recipe.warmup_steps": 0, "recipe.decay_share": 1.0},
    }
    rates = {}
    for name in config.OPTIMIZERS:
        trainer = build_trainer("pose", tiny_config.override(**options[name]))
        rates[name] = [float(trainer.train_step(batch)["learning_rate/pose"]) for _ in range(3)]
    assert rates["adam"] == pytest.approx([0.8, 0.4, 0.2])
    assert rates["muon"] == pytest.approx([0.8, 0.4, 0.0])


def test_a_shortened_stage_lowers_its_rate_earlier():
    trainer = _trainer("pose_mapping")
    trainer.step.assign(90)
    trainer.shorten(trainer.settings.shortened(100))
    rate = trainer.optimized["pose_mapping"].optimizer.learning_rate
    assert float(rate) == pytest.approx(0.4 * trainer.settings.learning_rate)


def test_weighted_error_counts_what_is_weighted():
    predicted, target = np.zeros((1, 2, 2, 3), np.float32), np.ones((1, 2, 2, 3), np.float32)
    target[0, 0] = 3
    weight = np.zeros((1, 2, 2, 1), np.float32)
    weight[0, 0] = 2
    assert float(losses.weighted_absolute_error(predicted, target, weight)) == pytest.approx(3)
    uniform = np.ones_like(weight)
    assert float(losses.weighted_absolute_error(predicted, target, uniform)) == pytest.approx(2)


def _photos(model, count=3):
    person = testing.random_person(model, count)
    names = tuple("abcdefg"[:count])
    return PersonalPhotos(person["image"].numpy(), person["keypoints"].numpy(), names, 0)


@pytest.mark.slow
def test_a_personal_run_has_all_networks_and_other_pictures(tmp_path, monkeypatch, capsys):
    settings = config.preset("modern").override(**_SIZES)
    names = [n for stage in config.STAGES for n in factory.stage_networks(stage, settings.model)]
    tf.keras.utils.set_random_seed(1)  # a new run would begin with the weights of another seed
    networks = factory.build_networks(names, settings.model)
    loading.save_networks(tmp_path / "source", settings, networks)
    photos = _photos(settings.model)
    save, written = RunFolder.save_checkpoint, []

    def save_locked(run, stage, *arguments):
        with pytest.raises(locks.LockedError), locks.writing(run.path):
            pass
        written.append(stage)
        return save(run, stage, *arguments)

    monkeypatch.setattr(RunFolder, "save_checkpoint", save_locked)
    run = personalize(tmp_path / "source", tmp_path / "me", photos, steps=2, batch_size=4)
    assert written == list(config.STAGES)
    _, found = loading.load_networks(tmp_path / "me")
    assert sorted(found) == sorted(names)
    for name, network in found.items():
        both = zip(network.variables, networks[name].variables, strict=True)
        moved = max(np.abs(np.subtract(a, b)).max() for a, b in both)
        # Two small steps from the weights of the source.
        assert (0 < moved < 0.01) == (name in ("appearance_encoder", "generator")), name
        assert moved < 0.01, name
    assert all(run.latest_step(s) == run.config.stage(s).steps for s in config.STAGES)
    # Scores are kept with the steps of the networks that they are of.
    assert all(int(run.load_checkpoint(s)[1]["step"]) == run.latest_step(s) for s in config.STAGES)
    again = personalize(tmp_path / "source", tmp_path / "me", photos, steps=1, batch_size=4)
    assert "finished: 2 steps done, 1 asked for" in capsys.readouterr().out
    assert again.checkpoints("reconstruction") == run.checkpoints("reconstruction")


def test_a_personal_run_is_not_continued_with_other_photos(synthetic_data, tmp_path):
    beside = RecordPairs(RecordSet.open(synthetic_data, "train"))
    settings = config.preset("modern").override(**_SIZES)
    save_tiny_sampler(settings, tmp_path / "source")
    photos = _photos(settings.model)

    def start(photos=photos, steps=4, batch_size=4, source="source", out="me"):
        return prepare(tmp_path / source, tmp_path / out, photos, steps, batch_size)

    start(batch_size=6)  # nothing was trained: the photos may still be others
    start().write_config()
    start(steps=8)
    start(photos=dataclasses.replace(photos, identities=("x", "y", "z")))  # other names alone
    (tmp_path / "copy").symlink_to(tmp_path / "source")
    start(source="copy")
    save_tiny_sampler(settings, tmp_path / "second")
    others = {
        "photos": {"photos": dataclasses.replace(photos, images=photos.images[::-1])},
        "keypoints": {"photos": dataclasses.replace(photos, keypoints=photos.keypoints + 1)},
        "identities": {"photos": dataclasses.replace(photos, identities=("",) * 3)},
        "seed": {"photos": dataclasses.replace(photos, seed=1)},
        "records": {"photos": dataclasses.replace(photos, beside=beside)},
        "batch_size": {"batch_size": 6},
        "source": {"source": "second"},
    }
    for field, change in others.items():
        with pytest.raises(ConfigError, match=f"me holds a run .* other {field}: ") as refused:
            start(**change)
        assert refused.value.field == field
    for damaged in ("{", "[]"):
        (tmp_path / "me/personal.json").write_text(damaged)
        with pytest.raises(ConfigError, match="choose another --out_dir"):
            start()
    (tmp_path / "me/personal.json").unlink()
    with pytest.raises(ConfigError, match="me holds a run but no personal.json"):
        start()


def test_a_personal_run_is_not_made_among_other_files(tmp_path):
    settings = config.preset("modern").override(**_SIZES)
    save_tiny_sampler(settings, tmp_path / "source")
    (tmp_path / "me").mkdir()
    (tmp_path / "me/photo.png").write_bytes(b"my only photo")
    photos = _photos(settings.model)
    with pytest.raises(ConfigError, match="me holds files but no run"):
        personalize(tmp_path / "source", tmp_path / "me", photos, steps=2, batch_size=4)
    assert [path.name for path in (tmp_path / "me").iterdir()] == ["photo.png"]
    with locks.writing(tmp_path / "held"), pytest.raises(locks.LockedError, match="held"):
        prepare(tmp_path / "source", tmp_path / "held", photos)


def test_a_preset_is_the_same_source_from_every_folder(shipped_preset, tmp_path, monkeypatch):
    source = f"preset:{shipped_preset}"
    photos = _photos(RunFolder.open(source).config.model)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        prepare(source, tmp_path / "me", photos).write_config()


@pytest.mark.slow  # starts a program
def test_photos_are_learned_in_the_precision_asked_for(tmp_path):
    settings = config.preset("modern").override(**_SIZES)
    save_tiny_sampler(settings, tmp_path / "source")
    picture = np.random.default_rng(0).integers(0, 256, (32, 16, 3), np.uint8)
    save_png(tmp_path / "photos" / "me.png", picture)
    places = list(range(1, 16)) * 2
    header = "name:keypoints_y:keypoints_x"
    csv = f"{header}\nme.png: {places[:18]}: {places[:18]}\n"
    (tmp_path / "keypoints.csv").write_text(csv)
    flags = ["--run_dir=source", "--images=photos", "--keypoints=keypoints.csv", "--steps=2"]
    flags += ["--batch_size=4", "--out_dir=me", "--precision=mixed_bfloat16"]
    [(status, said, error)] = run_in_one_process([["personalize", *flags]], tmp_path)
    if status:  # on a processor that it is slow on
        assert "--precision=mixed_bfloat16 takes" in error
        return
    assert "mixed_bfloat16 on CPU, from step 0 to 2" in said, error
    assert "personalized: me, pictures in me/samples" in said
    assert list((tmp_path / "me" / "samples").iterdir())


def test_a_few_photos_train_no_other_stage(tmp_path):
    settings = config.preset("modern").override(**_SIZES)
    run = RunFolder.plan(tmp_path / "run", settings)
    with pytest.raises(ConfigError, match="stage pose needs more than a few photos"):
        train(run, ["pose"], _photos(settings.model), RunOptions())
    assert not run.path.exists()


def test_the_published_architecture_is_not_personalized():
    with pytest.raises(ConfigError) as refused:
        personal_config(config.preset("market1501"), 10, 4)
    assert refused.value.field == "model.architecture"


def test_a_personal_run_moves_gently_and_its_average_follows():
    source = config.preset("modern")
    own = personal_config(source, 600, 4)
    assert (own.reconstruction.steps, own.reconstruction.batch_size) == (600, 4)
    assert own.reconstruction.learning_rate < source.reconstruction.learning_rate
    assert 1 / (1 - own.recipe.weight_average) < 600 / 10  # steps that it remembers
    assert own.recipe.warmup_steps < 600 / 10
    assert own.model == source.model and own.pose_mapping == source.pose_mapping


@pytest.mark.slow
def test_a_new_run_begins_with_the_weights_of_another(tmp_path, capsys):
    settings = config.preset("modern").override(**_SIZES)
    trainer = _trainer()
    source = RunFolder.create(tmp_path / "source", settings)
    source.save_checkpoint("reconstruction", 7, weights.collect(trainer.state_variables()))
    photos = _photos(settings.model)
    wider = settings.override(**{"model.placed_channels": 6})
    changes = {"reconstruction.steps": 1, "reconstruction.batch_size": 4}
    run = RunFolder.plan(tmp_path / "wider", wider.override(**changes))
    train(run, ["reconstruction"], photos, RunOptions(), init_from=tmp_path / "source")
    printed = capsys.readouterr().out
    assert "appearance_encoder: 64 of 64 variables from the other run" in printed
    assert "new: generator/" in printed


def test_weights_of_which_nothing_fits_are_refused_before_anything_is_written(tmp_path):
    settings = config.preset("modern").override(**_SIZES)
    source = RunFolder.create(tmp_path / "source", settings)
    source.save_checkpoint("reconstruction", 7, weights.collect(_trainer().state_variables()))
    run = RunFolder.plan(tmp_path / "run", testing.tiny_config())
    with pytest.raises(ConfigError) as refused:
        train(run, ["reconstruction"], _photos(settings.model), RunOptions(), source.path)
    message = str(refused.value)
    assert message.startswith(f"--init_from={source.path}: none of its networks fit stage recon")
    assert "model.architecture=published (there placed)" in message
    assert message.endswith("leave --preset out to take its configuration")
    assert not run.path.exists()
