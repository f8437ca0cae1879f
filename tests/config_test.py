import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from dpig_tf2 import config, memory_needs
from dpig_tf2.config import Config, ConfigError
from dpig_tf2.models.factory import build_network, stage_networks
from dpig_tf2.ops import regions
from dpig_tf2.testing import tiny_config

_REPOSITORY = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", config.PRESETS)
def test_presets_are_valid_and_survive_json(name):
    settings = config.preset(name)
    assert settings.preset == name
    assert Config.from_json(settings.to_json()) == settings


def test_published_sizes():
    market, deepfashion = config.preset("market1501"), config.preset("deepfashion")
    assert (market.model.height, market.model.width) == (128, 64)
    assert (deepfashion.model.height, deepfashion.model.width) == (256, 256)
    assert market.model.appearance_embedding == 352
    assert deepfashion.model.appearance_embedding == 224
    assert market.model.factors == ("foreground", "background", "pose")
    assert deepfashion.model.factors == ("appearance", "pose")
    sizes = [market.model.embedding_size(factor) for factor in market.model.factors]
    assert sizes == [224, 128, 32]
    hidden = [market.model.mapping_hidden(factor) for factor in market.model.factors]
    assert hidden == [512, 256, 512]
    for settings, batches in ((market, (16, 64, 32, 64)), (deepfashion, (6, 16, 16, 32))):
        assert tuple(settings.stage(s).batch_size for s in config.STAGES) == batches
        assert settings.stage("reconstruction").objective == "dcgan"
        assert settings.stage("pose_mapping").objective == "wgan"


@pytest.mark.parametrize(
    ("preset", "told_apart", "places"),
    [
        ("modern", True, (7, 32, 1)),  # regions, cells of 16 x 16 pixels
        ("modern", False, (1, 1, 1)),
        ("market1501", True, (7, 1, 1)),
        ("deepfashion", True, (7, 1)),
    ],
)
def test_places_of_codes(preset, told_apart, places):
    changes = {"model.mapping": "flow", "model.flow_places": told_apart}
    model = config.preset(preset).override(**changes).model
    assert tuple(model.code_places(factor) for factor in model.factors) == places


def test_override_replaces_one_field():
    full = config.preset("market1501")
    narrow = full.override(**{"model.hidden": 32, "pose.learning_rate": 1, "seed": 3})
    assert narrow.model.hidden == 32 and narrow.model.latent == full.model.latent
    assert narrow.pose.learning_rate == 1.0 and isinstance(narrow.pose.learning_rate, float)
    assert narrow.reconstruction == full.reconstruction
    assert full.model.hidden == 128


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("model.hiden", 32, "unknown configuration field 'model.hiden'; known: variant, height"),
        ("stages.pose", 1, "unknown configuration field 'stages.pose'"),
        ("preset.name", "x", "configuration field 'preset.name' does not exist"),
        ("model", 32, "configuration field 'model' takes ModelConfig, got 32"),
        ("model.hidden", 32.5, "'model.hidden' takes int, got 32.5"),
        ("model.hidden", True, "'model.hidden' takes int, got True"),
        ("model.hidden", "32", "'model.hidden' takes int, got '32'"),
        ("match_release", 1, "'match_release' takes bool, got 1"),
        ("model.hidden", 0, "model.hidden must be at least 1, got 0"),
        ("model.mask_radius", 1001, "model.mask_radius must be at most 1000, got 1001"),
        ("model.pose_map_radius", 10**9, "model.pose_map_radius must be at most 1000"),
        ("model.height", 120, "model.height must be a multiple of 16 for 5 generator levels"),
        ("model.discriminator_row", 1000, "must divide the 16384 features of an image, got 1000"),
        ("model.variant", "both", "model.variant must be one of foreground_background, appearance"),
        ("model.box_rule", "tight", "model.box_rule must be one of market1501, deepfashion"),
        ("model.region_size", 1, "model.region_size must be at least 2, got 1"),
        ("model.noise_scale", 0.0, "model.noise_scale must be positive and finite, got 0.0"),
        ("pose.batch_size", 0, "pose.batch_size must be at least 1, got 0"),
        ("pose.penalty_weight", -1, "pose.penalty_weight must be finite and not negative"),
        ("pose.clip", 1e300, "pose.clip must be positive and finite, got 1e[+]300"),
        ("pose.learning_rate", 1e-60, "pose.learning_rate must be positive and finite"),
        ("pose.code_noise", 1e39, "pose.code_noise must be finite and not negative"),
        ("pose.clip", float("nan"), "pose.clip must be positive and finite, got nan"),
        ("pose.learning_rate", 0.0, "pose.learning_rate must be positive"),
        (
            "reconstruction.objective",
            "gan",
            "must be one of dcgan, lsgan, wgan, wgan-gp; got 'gan'",
        ),
        ("reconstruction.pairing", "both", "reconstruction.pairing must be one of pair, triplet"),
        ("pose_mapping.objective", "dcgan", "an embedding critic is a Wasserstein critic"),
        ("pose.optimizer", "sgd", "pose.optimizer must be one of adam, muon; got 'sgd'"),
        ("reconstruction.optimizer", "muon", "muon needs model.architecture=placed"),
        ("pose_mapping.optimizer", "muon", "pose_mapping.optimizer=muon needs model.mapping=flow"),
        ("model.texels", True, "model.texels needs model.architecture=placed"),
        ("model.flow_places", True, "model.flow_places needs model.mapping=flow"),
        ("recipe.warmup_steps", 5, "recipe.warmup_steps would change nothing: no stage of preset"),
        ("seed", -1, "seed must be at least 0, got -1"),
        ("seed", 3_000_000, "seed must be at most 2147482, got 3000000"),
    ],
)
def test_override_refuses(field, value, message):
    with pytest.raises(ConfigError, match=message):
        config.preset("market1501").override(**{field: value})


def test_the_weight_of_texels_needs_texels():
    modern = config.preset("modern")
    with pytest.raises(ConfigError, match=r"recipe\.texture_weight would change nothing"):
        modern.override(**{"model.texels": False, "recipe.texture_weight": 2.0})
    changed = modern.override(**{"model.texels": True, "recipe.texture_weight": 2.0})
    assert changed.recipe.texture_weight == 2.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reconstruction.objective", "wgan"),
        ("reconstruction.pairing", "triplet"),
        ("appearance_mapping.critic_updates", 2),
        ("pose_mapping.objective", "wgan"),
        ("match_release", True),
    ],
)
def test_settings_of_adversaries_are_refused_where_there_are_none(field, value):
    modern = config.preset("modern")
    with pytest.raises(ConfigError, match=f"{field} would change nothing: .*adversar"):
        modern.override(**{field: value})
    published = config.preset("synthetic").override(**{field: value})
    assert published != config.preset("synthetic")


@pytest.mark.parametrize(
    ("preset", "field", "value", "message"),
    [
        ("synthetic", "reconstruction.critic_updates", 6, "is for appearance_mapping, pose_map"),
        ("synthetic", "reconstruction.code_noise", 0.5, "is for pose"),
        ("synthetic", "appearance_mapping.pairing", "triplet", "is for reconstruction"),
        ("synthetic", "pose_mapping.joint_discriminator", True, "is for reconstruction"),
        ("synthetic", "pose_mapping.reconstruction_weight", 2.0, "is for reconstruction, pose"),
        ("synthetic", "pose.adversary_learning_rate", 1e-3, "is for reconstruction, appearance_m"),
        ("market1501", "reconstruction.clip", 0.5, "is for reconstruction.objective=wgan$"),
        ("market1501", "pose_mapping.penalty_weight", 2.0, "is for pose_mapping.objective=wgan-gp"),
        ("synthetic", "pose_mapping.clip", 0.5, "is for pose_mapping.objective=wgan$"),
        ("modern", "pose.objective", "wgan", "is for pose.optimizer=adam"),
        ("synthetic", "model.placed_channels", 8, "is for model.architecture=placed"),
        ("modern", "reconstruction.halve_every", 9, "modern lowers its rate by recipe.decay_share"),
        ("modern", "model.latent", 8, "is for model.architecture=published"),
        ("modern", "model.critic_hidden", 8, "is for model.mapping=adversarial"),
    ],
)
def test_a_field_that_does_not_count_is_refused_and_still_read(preset, field, value, message):
    settings = config.preset(preset)
    with pytest.raises(ConfigError, match=f"{field} would change nothing: .*{message}") as refused:
        settings.override(**{field: value})
    assert refused.value.field == field
    values = dataclasses.asdict(settings)
    part, name = field.split(".")
    values[part][name] = value
    older = Config.from_values(values)  # of an older run
    assert older.override(**{field: value}) == older, "said again, it changes nothing either"


@pytest.mark.parametrize(
    ("preset", "field", "value"),
    [
        ("synthetic", "pose.objective", "wgan"),  # its optimizer is RMSProp then
        ("synthetic", "pose.reconstruction_weight", 2.0),
        ("market1501", "pose_mapping.clip", 0.5),
        ("synthetic", "pose_mapping.penalty_weight", 2.0),
        ("synthetic", "pose.halve_every", 9),
        ("modern_64x32", "pose.halve_every", 9),  # by Adam
        ("modern", "pose.code_noise", 0.5),
        ("modern", "model.placed_channels", 8),
    ],
)
def test_a_field_that_counts_may_be_set(preset, field, value):
    assert config.preset(preset).override(**{field: value}) != config.preset(preset)


def test_stages_that_follow_the_recipe():
    def followers(settings):
        return [stage for stage in config.STAGES if settings.follows_recipe(stage)]

    published = config.preset("market1501")
    assert followers(published) == []
    assert followers(published.override(**{"pose.optimizer": "muon"})) == ["pose"]
    flows = published.override(**{"model.mapping": "flow"})
    assert followers(flows) == ["appearance_mapping", "pose_mapping"]
    assert followers(config.preset("modern")) == list(config.STAGES)
    changed = published.override(**{"recipe.warmup_steps": 5, "pose.optimizer": "muon"})
    assert changed.recipe.warmup_steps == 5


def test_box_rules_are_those_of_the_ops():
    assert config.BOX_RULES == tuple(regions.BOX_RULES)


def test_batches_that_a_step_consumes():
    settings = config.preset("market1501")
    found = [settings.updates_per_step(stage) for stage in config.STAGES]
    assert found == [1, 1, 2 * 6, 6]
    released = settings.override(match_release=True, **{"pose_mapping.critic_updates": 2})
    found = [released.updates_per_step(stage) for stage in config.STAGES]
    assert found == [2, 1, 2 * 6, 3]
    placed = dataclasses.replace(config.preset("modern"), match_release=True)
    assert [placed.updates_per_step(stage) for stage in config.STAGES] == [1, 1, 1, 1]


def test_unknown_names_are_refused():
    settings = config.preset("deepfashion")
    known = "market1501, deepfashion, synthetic, modern, modern_64x32"
    with pytest.raises(ConfigError, match=f"one of {known}; got 'market'"):
        config.preset("market")
    with pytest.raises(ConfigError, match="stage must be one of reconstruction, pose"):
        settings.stage("one")
    with pytest.raises(ConfigError, match="factor must be one of appearance, pose; got 'fg'"):
        settings.model.embedding_size("fg")


def _changed(change):
    values = dataclasses.asdict(config.preset("synthetic"))
    change(values)
    return json.dumps(values)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "the configuration is not JSON"),
        ("[" * 100_000, "the configuration is not JSON"),
        ("1" * 5000, "the configuration is not JSON"),
        (_changed(lambda v: v["pose"].update(clip=10**400)), "'pose.clip' is beyond 2147483647"),
        (_changed(lambda v: v["model"].update(hidden=2**31)), "'model.hidden' is beyond"),
        ("[]", "configuration root: missing or unknown fields"),
        (_changed(lambda v: v.pop("pose")), "root: missing or unknown fields pose"),
        (
            _changed(lambda v: v["model"].update(depth=3)),
            "configuration model.: missing or unknown fields depth",
        ),
        (_changed(lambda v: v["pose"].update(steps="many")), "'pose.steps' takes int, got 'many'"),
        (_changed(lambda v: v["pose"].update(steps=0)), "pose.steps must be at least 1"),
    ],
)
def test_from_json_refuses(text, message):
    with pytest.raises(ConfigError, match=message):
        Config.from_json(text)


def test_a_field_that_an_older_run_lacks_takes_its_default():
    older = _changed(lambda v: (v.pop("seed"), v["pose"].pop("code_noise")))
    assert Config.from_json(older) == config.preset("synthetic").override(
        **{"pose.code_noise": 0.0}
    )


def test_needs_no_tensorflow():
    """Programs check their flags against it before the slow import."""
    code = "import sys, dpig_tf2.config, dpig_tf2.run_folder; sys.exit('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=_REPOSITORY, timeout=60).returncode == 0


def test_absurd_sizes_are_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory_needs, "machine_memory", lambda: 16 << 30)
    message = r"need at least 2.59e\+07 GiB, this machine has 16 GiB of memory"
    with pytest.raises(ConfigError, match=message):
        config.preset("market1501").override(**{"model.hidden": 10**6})
    with pytest.raises(ConfigError, match="this machine has 16 GiB"):
        config.preset("market1501").override(**{"model.height": 2**20})
    with pytest.raises(ConfigError, match="model.generator_levels must be at most 16"):
        config.preset("market1501").override(**{"model.generator_levels": 10**9})
    with pytest.raises(ConfigError, match="'model.hidden' is beyond 2147483647"):
        config.preset("market1501").override(**{"model.hidden": 10**400})
    for stage, field in (("reconstruction", "batch_size"), ("pose_mapping", "critic_updates")):
        settings = config.preset("synthetic").override(**{f"{stage}.{field}": 10**8})
        with pytest.raises(ConfigError, match=f"{stage}.batch_size=.* this machine has 16 GiB"):
            settings.require_memory(stage)
    settings.require_memory("pose")


def test_presets_fit_in_small_machines(monkeypatch):
    monkeypatch.setattr(memory_needs, "machine_memory", lambda: 4 << 30)
    for name in config.PRESETS:
        for stage in config.STAGES:
            config.preset(name).require_memory(stage)


@pytest.mark.parametrize("name", config.PRESETS)
def test_parameters_are_counted_of_networks_that_there_are(name):
    model = config.preset(name).model
    names = {network for stage in config.STAGES for network in stage_networks(stage, model)}
    assert set(memory_needs.parameters(model)) == names


def test_parameters_are_those_of_the_networks():
    model = tiny_config().model
    for name, count in memory_needs.parameters(model).items():
        assert 0.9 < count / build_network(name, model).count_params() < 1, name
