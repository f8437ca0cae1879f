"""PersonSampler between persons: interpolation, inversion, mixing, scores."""

import numpy as np
import pytest

from dpig_tf2 import PersonSampler
from dpig_tf2.config import STAGES, ConfigError
from dpig_tf2.models import factory
from dpig_tf2.ops.regions import REGION_NAMES
from dpig_tf2.sampling.inversion import InversionSettings
from dpig_tf2.sampling.sampler import SamplerError

pytestmark = pytest.mark.numeric  # also run with narrower instructions, see .ci/run

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


def _one(codes, i):
    return {name: code[i : i + 1] for name, code in codes.items()}


def _assert_same_picture(found, expected):
    """Equal but for rounding: networks sum in another order in another batch size."""
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("factor", ["foreground", "background"])
def test_interpolation_starts_and_ends_at_the_persons(sampler, codes, factor):
    a, b = _one(codes, 0), _one(codes, 1)
    way = sampler.interpolate(a, b, 4, [factor])
    for row, end in ((0, a), (-1, a | {factor: b[factor]})):
        alone = sampler.draw(end)
        np.testing.assert_array_equal(way.appearance[row], alone.appearance[0])
        _assert_same_picture(way.images[row], alone.images[0])


def test_a_pose_is_interpolated_in_its_embedding(sampler, codes):
    a, b = _one(codes, 0), _one(codes, 1)
    way = sampler.interpolate(a, b, 3, ["pose"])
    ends = sampler.encode_pose(codes["keypoints"][:2])
    middle = sampler.decode_pose(ends.mean(axis=0, keepdims=True))
    np.testing.assert_array_equal(way.keypoints[[0, 2]], sampler.decode_pose(ends))
    np.testing.assert_allclose(way.keypoints[1], middle[0], atol=1e-3)
    np.testing.assert_array_equal(way.appearance, np.repeat(way.appearance[:1], 3, axis=0))


def test_factors_that_do_not_change_are_held_bit_for_bit(sampler, codes):
    way = sampler.codes_between(_one(codes, 0), _one(codes, 1), 4, ["foreground"], "spherical")
    for name in ("background", "keypoints"):
        np.testing.assert_array_equal(way[name], np.repeat(codes[name][:1], 4, axis=0))


def test_all_factors_between_seeds(sampler):
    ends = [sampler.seed_codes(1, seed) for seed in (1, 2)]
    way = sampler.interpolate(*ends, 3)
    for row, end in zip((0, 2), ends, strict=True):
        alone = sampler.draw(end)
        np.testing.assert_array_equal(way.appearance[row], alone.appearance[0])
        np.testing.assert_array_equal(way.keypoints[row], alone.keypoints[0])


def test_interpolated_noise_is_mapped(sampler, codes):
    first, last = ({"background": sampler.draw_noise(1, "background", seed)} for seed in (1, 2))
    way = sampler.codes_between_noise(first, last, _one(codes, 0), 5)
    mapped = [sampler.map_noise(end["background"], "background")[0] for end in (first, last)]
    np.testing.assert_array_equal(way["background"][[0, -1]], mapped)
    np.testing.assert_array_equal(way["foreground"], np.repeat(codes["foreground"][:1], 5, axis=0))
    assert sampler.interpolate_noise(first, last, _one(codes, 0), 5).images.shape[0] == 5


def test_inversion_finds_the_noise_of_mapped_codes(sampler):
    codes = sampler.seed_codes(3, seed=11)
    found = sampler.invert(codes, settings=InversionSettings(steps=300))
    assert list(found) == list(_FACTORS)
    for factor, result in found.items():
        assert result.converged.all(), factor
        np.testing.assert_allclose(
            sampler.map_noise(result.noise, factor), result.code, atol=1e-4, err_msg=factor
        )
        again = np.linalg.norm(result.code - codes[factor], axis=-1)
        length = np.linalg.norm(codes[factor], axis=-1)
        np.testing.assert_allclose(result.residual, again / length, atol=1e-4, err_msg=factor)


def test_inversion_encodes_a_pose_that_is_given_as_keypoints(sampler, codes):
    settings = InversionSettings(steps=5, restarts=1)
    given = sampler.invert(codes, ["pose"], settings)["pose"]
    encoded = {"pose": sampler.encode_pose(codes["keypoints"])}
    expected = sampler.invert(encoded, ["pose"], settings)["pose"]
    np.testing.assert_array_equal(given.noise, expected.noise)


def test_mixing_all_regions_and_background_gives_the_donor(sampler, codes):
    base, donor = _one(codes, 0), _one(codes, 1)
    mixed = sampler.mix(base, dict.fromkeys(REGION_NAMES, donor), background=donor)
    expected = sampler.draw(donor | {"keypoints": base["keypoints"]})
    np.testing.assert_array_equal(mixed.images, expected.images)


def test_mixing_changes_only_what_is_named(sampler, codes):
    base, donor, third = (_one(codes, i) for i in range(3))
    mixed = sampler.mixed_codes(base, {"head": donor}, third)
    size = sampler.config.model.region_embedding
    np.testing.assert_array_equal(mixed["foreground"][:, :size], donor["foreground"][:, :size])
    np.testing.assert_array_equal(mixed["foreground"][:, size:], base["foreground"][:, size:])
    np.testing.assert_array_equal(mixed["background"], third["background"])
    np.testing.assert_array_equal(mixed["keypoints"], base["keypoints"])


def test_mixing_refuses_a_region_that_is_not_visible(sampler, codes):
    donor = _one(codes, 1)
    donor["foreground"] = np.zeros_like(donor["foreground"])
    with pytest.raises(SamplerError, match="legs is not visible at donor 0"):
        sampler.mix(_one(codes, 0), {"legs": donor})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"background": None}, "codes: missing background"),
        ({"keypoints": None}, "codes: missing pose"),
        ({"shoes": np.zeros((3, 2), np.float32)}, "codes: unknown shoes"),
        ({"background": np.zeros((3, 5), np.float32)}, "background code has shape"),
        ({"background": np.zeros((2, 8), np.float32)}, "equally many persons"),
    ],
)
def test_draw_refuses(sampler, codes, change, message):
    changed = {name: code for name, code in (codes | change).items() if code is not None}
    with pytest.raises(SamplerError, match=message):
        sampler.draw(changed)


def test_interpolation_refuses_several_persons_and_unknown_factors(sampler, codes):
    with pytest.raises(SamplerError, match="codes of one person, got 3"):
        sampler.interpolate(codes, _one(codes, 0))
    with pytest.raises(ConfigError, match="got 'shoes'"):
        sampler.interpolate(_one(codes, 0), _one(codes, 1), factors=["shoes"])


def test_discriminator_scores_one_number_for_each_image(sampler, codes):
    images = sampler.draw(codes).images
    scores = sampler.discriminator_scores(images)
    assert scores.shape == (3,) and np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, sampler.discriminator_scores(images))


def test_the_fingerprint_changes_with_a_weight(sampler):
    before = sampler.fingerprint()
    assert before == sampler.fingerprint() and len(before) == 16
    variable = sampler.model.networks["pose_decoder"].variables[0]
    variable.assign_add(np.full(variable.shape, 1e-3))
    assert sampler.fingerprint() != before
