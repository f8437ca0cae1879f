"""PersonSampler between persons: interpolation, inversion, mixing, scores."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import PersonSampler
from dpig_tf2.config import STAGES, ConfigError
from dpig_tf2.models import factory
from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.interpolation import codes_between, codes_between_noise
from dpig_tf2.sampling.inversion import InversionSettings, invert
from dpig_tf2.sampling.mixing import mix_codes
from dpig_tf2.sampling.person_codes import PersonCodes

_FACTORS = ("foreground", "background", "pose")


@pytest.fixture(scope="module")
def sampler(tiny_config):
    """Every network, adversaries too, with weights large enough for pictures to differ."""
    model = tiny_config.model
    names = [name for stage in STAGES for name in factory.stage_networks(stage, model)]
    networks = factory.build_networks(names, model)
    rng = np.random.default_rng(0)
    for variable in (v for network in networks.values() for v in network.variables):
        variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    return PersonSampler(tiny_config, networks)


@pytest.fixture(scope="module")
def codes(sampler):
    model = sampler.config.model
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (3, model.height, model.width, 3), np.uint8)
    coordinates = rng.uniform(0, 1, (3, 18, 2)) * (model.height, model.width)
    keypoints = np.concatenate([coordinates, np.ones((3, 18, 1))], axis=-1).astype(np.float32)
    return sampler.person_codes(images, keypoints)


def _assert_same_picture(found, expected):
    """Equal but for rounding: networks sum in another order in another batch size."""
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("factor", ["foreground", "background"])
def test_interpolation_starts_and_ends_at_the_persons(sampler, codes, factor):
    a, b = codes.take([0]), codes.take([1])
    way = sampler.interpolate(a, b, 4, [factor])
    for row, end in ((0, a), (-1, a.replace(**{factor: b.code(factor)}))):
        alone = sampler.draw(end)
        np.testing.assert_array_equal(way.appearance[row], alone.appearance[0])
        _assert_same_picture(way.images[row], alone.images[0])


def test_truncation_draws_codes_to_their_mean(sampler):
    whole, half, none = (
        sampler.seed_codes(200, 3, truncation=truncation) for truncation in (1, 0.5, 0)
    )
    for factor in _FACTORS:
        mean = none.code(factor)[0]
        np.testing.assert_array_equal(none.code(factor), np.tile(mean, (200, 1)))
        spread = whole.code(factor).std(axis=0)
        assert np.abs(whole.code(factor).mean(axis=0) - mean).max() < spread.max()
        way = (whole.code(factor) + mean) / 2
        np.testing.assert_allclose(half.code(factor), way, rtol=0, atol=1e-5)
    # Held and sampled factors alike, in the picture.
    drawn = sampler.sample(2, ["pose"], seed=3, truncation=0)
    np.testing.assert_array_equal(drawn.appearance[0], drawn.appearance[1])
    _assert_same_picture(drawn.images[0], sampler.draw(none.take([0])).images[0])


@pytest.mark.parametrize("truncation", [-0.1, 1.1, float("nan"), "much", True])
def test_truncation_is_a_share(sampler, truncation):
    with pytest.raises(SamplerError) as caught:
        sampler.seed_codes(1, truncation=truncation)
    assert caught.value.field == "truncation"


def test_a_pose_is_interpolated_in_its_embedding(sampler, codes):
    a, b = codes.take([0]), codes.take([1])
    way = sampler.interpolate(a, b, 3, ["pose"])
    ends = sampler.encode_pose(codes.keypoints[:2])
    middle = sampler.decode_pose(ends.mean(axis=0, keepdims=True))
    np.testing.assert_array_equal(way.keypoints[[0, 2]], sampler.decode_pose(ends))
    np.testing.assert_allclose(way.keypoints[1], middle[0], atol=1e-3)
    np.testing.assert_array_equal(way.appearance, np.repeat(way.appearance[:1], 3, axis=0))


def test_factors_that_do_not_change_are_held_bit_for_bit(sampler, codes):
    way = codes_between(sampler, codes.take([0]), codes.take([1]), 4, ["foreground"], "spherical")
    for name in ("background", "keypoints"):
        held, found = getattr(codes, name), getattr(way, name)
        np.testing.assert_array_equal(found, np.repeat(held[:1], 4, axis=0))


def test_all_factors_between_seeds(sampler):
    ends = [sampler.seed_codes(1, seed) for seed in (1, 2)]
    way = sampler.interpolate(*ends, 3)
    for row, end in zip((0, 2), ends, strict=True):
        alone = sampler.draw(end)
        np.testing.assert_array_equal(way.appearance[row], alone.appearance[0])
        np.testing.assert_array_equal(way.keypoints[row], alone.keypoints[0])


def test_interpolated_noise_is_mapped(sampler, codes):
    first, last = ({"background": sampler.draw_noise(1, "background", seed)} for seed in (1, 2))
    way = codes_between_noise(sampler, first, last, codes.take([0]), 5)
    mapped = [sampler.map_noise(end["background"], "background")[0] for end in (first, last)]
    np.testing.assert_array_equal(way.background[[0, -1]], mapped)
    np.testing.assert_array_equal(way.foreground, np.repeat(codes.foreground[:1], 5, axis=0))
    assert sampler.draw(way).images.shape[0] == 5


def test_inversion_finds_the_noise_of_mapped_codes(sampler):
    codes = sampler.seed_codes(3, seed=11)
    found = sampler.invert(codes, settings=InversionSettings(steps=300))
    assert list(found) == list(_FACTORS)
    for factor, result in found.items():
        assert result.converged.all(), factor
        np.testing.assert_allclose(
            sampler.map_noise(result.noise, factor), result.code, atol=1e-4, err_msg=factor
        )
        again = np.linalg.norm(result.code - codes.code(factor), axis=-1)
        length = np.linalg.norm(codes.code(factor), axis=-1)
        np.testing.assert_allclose(result.residual, again / length, atol=1e-4, err_msg=factor)
        deviations = result.noise / sampler.config.model.noise_scale
        spread = np.sqrt(np.mean(np.square(deviations), axis=1))
        np.testing.assert_allclose(result.spread, spread, rtol=1e-4, err_msg=factor)


def test_inversion_encodes_a_pose_that_is_given_as_keypoints(sampler, codes):
    settings = InversionSettings(steps=5, restarts=1)
    told = []
    given = invert(sampler, codes, ["pose"], settings, report=lambda *done: told.append(done))[
        "pose"
    ]
    steps = 5 * len(codes)
    assert (told[0], told[-1]) == ((0, steps), (steps, steps))
    encoded = PersonCodes(pose=sampler.encode_pose(codes.keypoints))
    expected = sampler.invert(encoded, ["pose"], settings)["pose"]
    np.testing.assert_array_equal(given.noise, expected.noise)


def test_mixing_all_regions_and_background_gives_the_donor(sampler, codes):
    base, donor = codes.take([0]), codes.take([1])
    mixed = sampler.mix(base, dict.fromkeys(REGION_NAMES, donor), background=donor)
    expected = sampler.draw(donor.replace(keypoints=base.keypoints))
    np.testing.assert_array_equal(mixed.images, expected.images)


def test_mixing_changes_only_what_is_named(sampler, codes):
    base, donor, third = (codes.take([i]) for i in range(3))
    mixed = mix_codes(base, {"head": donor}, third)
    size = sampler.config.model.region_embedding
    np.testing.assert_array_equal(mixed.foreground[:, :size], donor.foreground[:, :size])
    np.testing.assert_array_equal(mixed.foreground[:, size:], base.foreground[:, size:])
    np.testing.assert_array_equal(mixed.background, third.background)
    np.testing.assert_array_equal(mixed.keypoints, base.keypoints)


def test_mixing_refuses_a_region_that_is_not_visible(sampler, codes):
    donor = codes.take([1]).replace(foreground=np.zeros_like(codes.foreground[:1]))
    with pytest.raises(SamplerError, match="legs is not visible at donor 0") as caught:
        sampler.mix(codes.take([0]), {"legs": donor})
    assert caught.value.field == "legs" and caught.value.record == 0


@pytest.mark.parametrize(
    "change, message, field",
    [
        ({"background": None}, "codes: missing background", "background"),
        ({"keypoints": None}, "codes: missing pose", "pose"),
        ({"appearance": np.zeros((3, 2))}, "codes: unknown appearance", "appearance"),
        ({"background": np.zeros((3, 5))}, "background code has shape", "background code"),
        ({"keypoints": np.full((3, 18, 3), 0.5)}, "visibility must be 0 or 1", "keypoints"),
    ],
)
def test_draw_refuses(sampler, codes, change, message, field):
    with pytest.raises(SamplerError, match=message) as caught:
        sampler.draw(codes.replace(**change))
    assert caught.value.field == field


def test_interpolation_refuses_several_persons_and_unknown_factors(sampler, codes):
    with pytest.raises(SamplerError, match="codes of one person, got 3"):
        sampler.interpolate(codes, codes.take([0]))
    with pytest.raises(ConfigError, match="got 'shoes'"):
        sampler.interpolate(codes.take([0]), codes.take([1]), factors=["shoes"])


def test_discriminator_scores_one_number_for_each_image(sampler, codes):
    images = sampler.draw(codes).images
    scores = sampler.discriminator_scores(images)
    assert scores.shape == (3,) and np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, sampler.discriminator_scores(images))


def test_a_discriminator_score_is_the_mean_of_the_logits_of_an_image(sampler, codes, monkeypatch):
    monkeypatch.setattr(sampler.model, "discriminate", lambda images: tf.range(6.0))
    scores = sampler.discriminator_scores(sampler.draw(codes).images)
    np.testing.assert_array_equal(scores, [0.5, 2.5, 4.5])


def test_the_fingerprint_changes_with_a_weight(sampler):
    before = sampler.fingerprint()
    assert before == sampler.fingerprint() and len(before) == 16
    variable = sampler.model.networks["pose_decoder"].variables[0]
    variable.assign_add(np.full(variable.shape, 1e-3))
    assert sampler.fingerprint() != before
