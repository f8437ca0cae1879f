"""PersonSampler: what each function varies and holds, and what it refuses."""

import errno

import numpy as np
import pytest

from dpig_tf2 import PersonSampler, config
from dpig_tf2.config import STAGES, ConfigError
from dpig_tf2.execution import Execution
from dpig_tf2.io import array_files
from dpig_tf2.models import factory, weights
from dpig_tf2.ops.pose_maps import body_mask
from dpig_tf2.ops.regions import part_boxes
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling import sampler as sampler_module
from dpig_tf2.sampling.checks import SamplerError

_FACTORS = ("foreground", "background", "pose")


def _networks(model):
    """Every network that inference needs, with biases and outputs that fill the image range."""
    names = [
        name
        for stage in STAGES
        for name in factory.stage_networks(stage, model)
        if not name.endswith(("discriminator", "critic"))
    ]
    networks = factory.build_networks(names, model)
    rng = np.random.default_rng(0)
    for variable in (v for network in networks.values() for v in network.variables):
        variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    return networks


def _persons(count, model, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, model.height, model.width, 3), np.uint8)
    visible = rng.random((count, 18, 1)) < 0.8
    coordinates = rng.uniform(0, 1, (count, 18, 2)) * (model.height, model.width) * visible
    return images, np.concatenate([coordinates, visible], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def sampler(tiny_config):
    return PersonSampler(tiny_config, _networks(tiny_config.model))


@pytest.fixture(scope="module")
def person(sampler):
    return _persons(1, sampler.config.model)


@pytest.fixture(scope="module")
def deepfashion():
    """The variant without background, at a size that runs at once."""
    settings = config.preset("deepfashion").override(
        **{
            "model.height": 32,
            "model.width": 32,
            "model.hidden": 4,
            "model.latent": 8,
            "model.region_size": 8,
            "model.region_levels": 2,
            "model.generator_levels": 3,
            "model.discriminator_hidden": 4,
            "model.discriminator_row": 128,
        }
    )
    return PersonSampler(settings, _networks(settings.model))


# ---- what is sampled changes, and nothing else


@pytest.mark.parametrize("factor", _FACTORS)
def test_sampling_a_factor_changes_it_and_nothing_else(sampler, person, factor):
    samples = sampler.sample(3, [factor], *person, seed=5)
    parts = sampler.model.split_appearance(samples.appearance)
    real = sampler.model.split_appearance(sampler.encode_appearance(*person))
    codes = {name: (np.asarray(parts[name]), np.asarray(real[name])) for name in parts}
    codes["pose"] = samples.keypoints, person[1]
    for name, (sampled, held) in codes.items():
        if name == factor:
            assert len(np.unique(sampled, axis=0)) == 3
            assert not (sampled == held).all(axis=tuple(range(1, sampled.ndim))).any()
        else:
            np.testing.assert_array_equal(sampled, np.repeat(held, 3, axis=0), err_msg=name)
    assert len(np.unique(samples.images.reshape(3, -1), axis=0)) == 3


def test_sampled_pose_comes_from_the_noise(sampler, person):
    """The release decoded the encoded real pose here, so that nothing was sampled."""
    samples = sampler.sample(4, ["pose"], *person, seed=2)
    mapped = sampler.map_noise(sampler.draw_noise(4, "pose", 2), "pose")
    np.testing.assert_array_equal(samples.keypoints, sampler.decode_pose(mapped))
    encoded = sampler.decode_pose(sampler.encode_pose(person[1]))
    assert (samples.keypoints != encoded).any(axis=(1, 2)).all()
    appearance = np.repeat(sampler.encode_appearance(*person), 4, axis=0)
    np.testing.assert_array_equal(samples.images, sampler.generate(appearance, samples.keypoints))


def test_several_factors_at_once(sampler, person):
    both = sampler.sample(2, ["foreground", "pose"], *person, seed=1)
    alone = sampler.sample(2, ["foreground"], *person, seed=1)
    np.testing.assert_array_equal(both.appearance, alone.appearance)
    np.testing.assert_array_equal(
        both.keypoints, sampler.sample(2, ["pose"], *person, seed=1).keypoints
    )


def test_without_an_image_the_held_factors_are_one_sample(sampler):
    samples = sampler.sample(3, ["foreground"], seed=4)
    parts = sampler.model.split_appearance(samples.appearance)
    assert len(np.unique(parts["background"], axis=0)) == 1
    assert len(np.unique(samples.keypoints, axis=0)) == 1
    assert len(np.unique(parts["foreground"], axis=0)) == 3
    # The held code is not one of those that sampling it would give.
    sampled = sampler.sample(3, ["background"], seed=4)
    backgrounds = sampler.model.split_appearance(sampled.appearance)["background"]
    assert not (backgrounds == parts["background"]).all(axis=1).any()


def test_nothing_sampled_is_a_reconstruction(sampler, person):
    samples = sampler.sample(2, [], *person)
    expected = np.repeat(sampler.reconstruct(*person), 2, 0)
    assert np.abs(samples.images.astype(int) - expected).max() <= 1  # another batch size


def test_seeds(sampler):
    first, again, other = (sampler.sample(2, _FACTORS, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.images != other.images).any()


# ---- noise and codes


def test_noise_has_its_scale_and_a_stream_for_each_factor(sampler):
    noise = {factor: sampler.draw_noise(2000, factor, seed=0) for factor in _FACTORS}
    for values in noise.values():
        np.testing.assert_allclose([values.mean(), values.std()], [0, 0.2], atol=0.01)
    width = min(values.shape[1] for values in noise.values())
    for one, other in [("foreground", "background"), ("background", "pose")]:
        assert not np.array_equal(noise[one][:, :width], noise[other][:, :width])
    np.testing.assert_array_equal(sampler.draw_noise(5, "pose", 0), noise["pose"][:5])


def test_split_and_join_are_inverse(sampler, person):
    embedding = sampler.encode_appearance(*person)
    parts = sampler.model.split_appearance(embedding)
    assert {name: part.shape[1] for name, part in parts.items()} == {
        "foreground": 28,
        "background": 8,
    }
    np.testing.assert_array_equal(sampler.model.join_appearance(parts), embedding)


def test_decoded_keypoints_are_pixels_in_the_image(sampler):
    codes = 20 * np.random.default_rng(0).normal(size=(50, 8))
    keypoints = sampler.decode_pose(codes)
    model = sampler.config.model
    assert keypoints[..., 0].min() == 0 and keypoints[..., 0].max() == model.height - 1
    assert keypoints[..., 1].min() == 0 and keypoints[..., 1].max() == model.width - 1
    inside = keypoints[..., 0][(keypoints[..., 0] > 0) & (keypoints[..., 0] < model.height - 1)]
    assert (inside != np.round(inside)).any()  # not truncated
    assert set(np.unique(keypoints[..., 2])) == {0, 1}


@pytest.mark.parametrize("given", [{"body_mask"}, {"part_boxes", "part_visibility"}])
def test_what_is_none_is_computed_from_the_keypoints(sampler, person, given):
    images, keypoints = person
    model = sampler.config.model
    boxes, visibility = part_boxes(keypoints, model.height, model.width, model.box_rule)
    parts = {
        "body_mask": body_mask(keypoints, model.height, model.width, model.mask_radius)[..., 0],
        "part_boxes": boxes,
        "part_visibility": visibility,
    }
    parts = {name: np.asarray(value) for name, value in parts.items() if name in given}
    computed = sampler.encode_appearance(images, keypoints)
    np.testing.assert_allclose(
        sampler.encode_appearance(images, keypoints, **parts), computed, atol=1e-6
    )
    changed = {name: np.zeros_like(value) for name, value in parts.items()}
    assert (sampler.encode_appearance(images, keypoints, **changed) != computed).any()


def test_a_mask_that_the_network_does_not_use_is_ignored(deepfashion):
    images, keypoints = _persons(2, deepfashion.config.model)
    plain = deepfashion.encode_appearance(images, keypoints)
    assert plain.shape == (2, 224)
    masked = deepfashion.encode_appearance(images, keypoints, body_mask=np.zeros((2, 32, 32)))
    np.testing.assert_array_equal(plain, masked)
    samples = deepfashion.sample(2, ["appearance"], images[:1], keypoints[:1])
    np.testing.assert_array_equal(samples.keypoints, np.repeat(keypoints[:1], 2, axis=0))


@pytest.mark.parametrize("size", [0, -1, 1.5])
def test_chunks_have_rows(tiny_config, size):
    with pytest.raises(SamplerError, match="batch_size must be a whole number from 1"):
        PersonSampler(tiny_config, {}, batch_size=size)


def test_chunks_give_what_one_batch_gives(sampler, tiny_config):
    images, keypoints = _persons(5, tiny_config.model, seed=1)
    chunked = PersonSampler(tiny_config, sampler.model.networks, batch_size=2)
    np.testing.assert_allclose(
        chunked.encode_appearance(images, keypoints),
        sampler.encode_appearance(images, keypoints),
        rtol=1e-5,
        atol=1e-5,
    )


# ---- images


def test_transfer_is_generation_from_the_embedding(sampler):
    images, keypoints = _persons(2, sampler.config.model, seed=2)
    _, targets = _persons(2, sampler.config.model, seed=3)
    embedding = sampler.encode_appearance(images, keypoints)
    raw = sampler.generate(embedding, targets, raw=True)
    assert raw.dtype == np.float32 and np.abs(raw).max() > 1  # unbounded
    expected = np.clip((raw + 1) * 127.5, 0, 255)
    transferred = sampler.transfer(images, keypoints, targets)
    assert transferred.dtype == np.uint8
    assert np.abs(transferred - expected).max() <= 0.501
    np.testing.assert_array_equal(
        sampler.reconstruct(images, keypoints), sampler.transfer(images, keypoints, keypoints)
    )
    assert (transferred != sampler.reconstruct(images, keypoints)).any()


# ---- saving and loading


def test_save_and_load_are_bit_equal(sampler, person, tmp_path):
    sampler.save(tmp_path / "saved")
    loaded = PersonSampler.load(tmp_path / "saved")
    assert loaded.config == sampler.config
    assert set(loaded.model.networks) == set(sampler.model.networks)
    np.testing.assert_array_equal(
        loaded.transfer(*person, person[1]), sampler.transfer(*person, person[1])
    )
    before, after = (s.sample(2, _FACTORS, *person, seed=9) for s in (sampler, loaded))
    for field in ("images", "appearance", "keypoints"):
        np.testing.assert_array_equal(getattr(before, field), getattr(after, field))


def test_every_execution_gives_the_same_numbers(sampler, person, tmp_path):
    sampler.save(tmp_path / "saved")
    executions = Execution(), Execution(jit_compile=True)
    loaded = {e: PersonSampler.load(tmp_path / "saved", execution=e) for e in executions}
    for execution, one in loaded.items():
        assert all(network.execution == execution for network in one.model.networks.values())
    expected, found = (s.encode_appearance(*person) for s in loaded.values())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    pictures, others = (s.reconstruct(*person).astype(int) for s in loaded.values())
    assert np.abs(pictures - others).max() <= 1  # rounding may fall to the other side


def test_a_first_chunk_needs_no_graph_where_few_pictures_are_drawn(sampler, tmp_path):
    images, keypoints = _persons(5, sampler.config.model)
    sampler.save(tmp_path / "saved")

    def load(**options):
        return PersonSampler.load(tmp_path / "saved", Execution(), batch_size=4, **options)

    one, other = load(eager_at_first=True), load()

    def traced(sampler):
        return sorted(verb for verb, *_ in sampler._run._graphs)

    for graphs in ([], ["encode_appearance"]):
        codes = one.encode_appearance(images[:4], keypoints[:4])
        assert traced(one) == graphs
        expected = other.encode_appearance(images[:4], keypoints[:4])
        np.testing.assert_allclose(codes, expected, atol=1e-5 * np.abs(expected).max())
        assert traced(other) == ["encode_appearance"]
    pictures = [each.reconstruct(images, keypoints).astype(int) for each in (one, other)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert traced(one) == traced(other), "two chunks are worth a graph at once"
    one.encode_pose(keypoints[:1])
    assert "encode_pose" in traced(one), "bits of small networks are those of the graph"


def test_networks_compute_as_this_machine_suggests_unless_told(sampler, tmp_path, monkeypatch):
    sampler.save(tmp_path / "saved")
    measured = Execution(library=((512, 2, False),))
    monkeypatch.setattr(sampler_module, "measured_execution", lambda execution, say: measured)

    def executions(**options):
        networks = PersonSampler.load(tmp_path / "saved", **options).model.networks
        return {network.execution for network in networks.values()}

    assert executions() == {measured}
    assert executions(execution=Execution()) == {Execution()}


def test_loads_the_newest_checkpoints_of_a_run(sampler, tmp_path):
    run = RunFolder.create(tmp_path / "run", sampler.config)
    networks = [sampler.model.networks[name] for name in ("pose_encoder", "pose_decoder")]
    arrays = weights.collect(v for network in networks for v in network.variables)
    run.save_checkpoint("pose", 1, {name: np.zeros_like(a) for name, a in arrays.items()})
    run.save_checkpoint("pose", 2, arrays)
    loaded = PersonSampler.load(tmp_path / "run")
    assert set(loaded.model.networks) == {"pose_encoder", "pose_decoder"}
    _, keypoints = _persons(1, sampler.config.model)
    exact = sampler.encode_pose(keypoints)
    np.testing.assert_array_equal(loaded.encode_pose(keypoints), exact)
    coarse = PersonSampler.load(tmp_path / "run", Execution("mixed_bfloat16"))
    coarse = coarse.encode_pose(keypoints)
    assert 0 < np.abs(coarse - exact).max() < 0.03 * np.abs(exact).max()
    with pytest.raises(ConfigError, match="there is no trained generator"):
        loaded.generate(np.zeros((1, 36)), keypoints)


def test_loads_the_named_networks_alone(sampler, tmp_path):
    names = {"generator", "discriminator"}
    sampler.save(tmp_path / "saved")
    loaded = PersonSampler.load(tmp_path / "saved", names=names)
    assert set(loaded.model.networks) == {"generator"}
    # Of a run folder also adversaries; a stage that is not asked for is not even read.
    run = RunFolder.create(tmp_path / "run", sampler.config)
    networks = factory.build_networks(
        factory.stage_networks("reconstruction", sampler.config.model), sampler.config.model
    )
    arrays = weights.collect(v for network in networks.values() for v in network.variables)
    run.save_checkpoint("reconstruction", 1, arrays)
    run.save_checkpoint("pose", 1, {"damaged": np.zeros(1)})
    loaded = PersonSampler.load(tmp_path / "run", names=names)
    assert set(loaded.model.networks) == names
    found = loaded.model.network("discriminator").variables[0]
    np.testing.assert_array_equal(found, networks["discriminator"].variables[0])
    with pytest.raises(array_files.WeightsError, match="pose_decoder"):
        PersonSampler.load(tmp_path / "run")


def test_a_sampler_is_not_saved_over_a_run(sampler, tmp_path):
    run = RunFolder.create(tmp_path / "run", sampler.config)
    run.save_checkpoint("pose", 1, {"step": np.int64(1)})
    with pytest.raises(ConfigError, match="run holds checkpoints of a run: name another folder"):
        sampler.save(run.path)
    assert run.saved_weights is None


@pytest.mark.parametrize("written", ["dpig_tf2.io.array_files.save", "pathlib.Path.write_text"])
def test_a_sampler_that_cannot_replace_another_leaves_it(sampler, tmp_path, monkeypatch, written):
    sampler.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(written, full_disk)
    other = PersonSampler(sampler.config.override(seed=7), sampler.model.networks)
    with pytest.raises(OSError, match="No space left"):
        other.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_load_refuses_other_folders(sampler, tmp_path):
    with pytest.raises(ConfigError, match="is not a run folder"):
        PersonSampler.load(tmp_path)
    RunFolder.create(tmp_path / "run", sampler.config)
    with pytest.raises(ConfigError, match="no checkpoint of any stage"):
        PersonSampler.load(tmp_path / "run")


def test_load_names_a_width_that_does_not_fit(sampler, tmp_path):
    networks = {"pose_encoder": sampler.model.networks["pose_encoder"]}
    PersonSampler(sampler.config, networks).save(tmp_path)
    wider = sampler.config.override(**{"model.pose_hidden": 24})
    (tmp_path / "config.json").write_text(wider.to_json())
    with pytest.raises(array_files.WeightsError, match=r"has shape \(\d+, 16\), the network has"):
        PersonSampler.load(tmp_path)


# ---- bad input

_IMAGE = np.zeros((1, 64, 32, 3), np.uint8)
_POSE = np.concatenate([np.full((1, 18, 2), 9.0), np.ones((1, 18, 1))], axis=-1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"images": _IMAGE[0]}, r"images have shape .*64, 32, 3.*expected \[B"),
        ({"images": _IMAGE[:, :, :16]}, "images have shape"),
        ({"images": _IMAGE[:0]}, "images have shape"),
        ({"images": _IMAGE / 255.0}, r"images must be uint8 in \[0, 255\], got float64"),
        ({"keypoints": _POSE[..., :2]}, r"keypoints has shape \[1, 18, 2\], expected \[1, 18, 3\]"),
        ({"keypoints": np.repeat(_POSE, 2, 0)}, r"keypoints has shape \[2, 18, 3\]"),
        ({"keypoints": _POSE * np.nan}, "keypoints holds NaN or infinite values"),
        ({"keypoints": _POSE * [1, 1, 0.5]}, "visibility must be 0 or 1"),
        ({"keypoints": _POSE * [100, 1, 1]}, "far outside the image"),
        ({"keypoints": _POSE * 0}, "keypoints of image 0: not one is visible"),
        ({"body_mask": np.zeros((1, 32, 64))}, r"body_mask has shape \(1, 32, 64\)"),
        ({"body_mask": np.full((1, 64, 32), 255)}, "body_mask must hold only 0 and 1"),
        ({"part_boxes": np.zeros((1, 37, 4))}, r"part_boxes has shape \[1, 37, 4\]"),
        ({"part_visibility": np.zeros((1, 7, 1))}, r"part_visibility has shape \[1, 7, 1\]"),
    ],
)
def test_encode_appearance_refuses(sampler, change, message):
    with pytest.raises(SamplerError, match=message):
        sampler.encode_appearance(**({"images": _IMAGE, "keypoints": _POSE} | change))


def test_codes_of_another_model_are_refused(sampler):
    with pytest.raises(SamplerError, match="appearance_embedding has shape .*another preset"):
        sampler.generate(np.zeros((1, 224)), _POSE)
    with pytest.raises(SamplerError, match=r"pose code has shape \[1, 32\], expected \[B, 8\]"):
        sampler.decode_pose(np.zeros((1, 32)))
    with pytest.raises(SamplerError, match="noise has shape"):
        sampler.map_noise(np.zeros((1, 8)), "foreground")


def test_sampling_refuses(sampler, deepfashion, person):
    with pytest.raises(ConfigError, match="one of foreground, background, pose; got 'face'"):
        sampler.sample(1, ["face"])
    with pytest.raises(ConfigError, match="one of appearance, pose; got 'background'"):
        deepfashion.sample(1, ["background"])
    with pytest.raises(SamplerError, match="image and keypoints of the held person come together"):
        sampler.sample(1, ["pose"], image=person[0])
    with pytest.raises(SamplerError, match="count must be a whole number from 1 to .*, got 0"):
        sampler.sample(0, ["pose"], *person)
    with pytest.raises(SamplerError, match=r"keypoints has shape \[1, 17, 3\]"):
        sampler.sample(1, ["pose"], person[0], person[1][..., :17, :])
    with pytest.raises(SamplerError, match="keypoints must hold numbers in one shape"):
        sampler.sample(1, ["pose"], person[0], [[1, 2, 1], [3, 4]])


def test_sampling_names_the_network_that_is_missing(sampler, person):
    networks = {n: w for n, w in sampler.model.networks.items() if n != "background_mapping"}
    partial = PersonSampler(sampler.config, networks)
    partial.sample(1, ["pose"], *person)
    with pytest.raises(
        ConfigError, match="no trained background_mapping: .*--stage=appearance_mapping"
    ):
        partial.sample(1, ["background"], *person)
