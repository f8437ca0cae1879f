import pytest

from dpig_tf2 import config as configuration
from dpig_tf2.benchmarks import cases, memory

# Sizes that the networks of the modern recipe do not have.
_PUBLISHED_ONLY = {
    *("model.latent", "model.region_size", "model.region_levels", "model.background_levels"),
    *("model.generator_levels", "model.discriminator_hidden", "model.discriminator_row"),
    "model.critic_hidden",
}


@pytest.fixture(params=["market1501", "deepfashion", "modern"])
def preset(request, tiny_overrides):
    """A preset of each kind of networks, at the tiny model's sizes."""
    unknown = _PUBLISHED_ONLY if request.param == "modern" else set()
    sizes = {name: size for name, size in tiny_overrides.items() if name not in unknown}
    return configuration.preset(request.param).override(**sizes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [cases.reconstruction, cases.sampling, cases.pose_maps, cases.crops]
)
def test_every_kind_of_networks_is_measured(case, preset):
    results = case(cases.Settings(preset, runs=1))
    assert all(result.median > 0 for result in results)
    has_reference = case != cases.reconstruction or preset.model.architecture == "published"
    assert all((result.ratio is not None) == has_reference for result in results)


@pytest.mark.slow
def test_every_kind_of_networks_trains_in_curves_and_for_its_memory(preset):
    sizes = cases.curve_sizes(preset, [0.5])
    assert [(s.reconstruction.batch_size, s.model.hidden, s.model.height) for s in sizes] == [
        (4, 4, 64), (2, 4, 64), (4, 2, 64), (4, 4, 32),
    ]  # fmt: skip
    results = cases.curves(cases.Settings(preset, runs=1), sizes[2:])
    assert [(r.hidden, r.height) for r in results] == [(2, 64), (4, 32)]
    assert memory.train(preset, "float32", rematerialize=False)["seconds"] > 0


@pytest.mark.slow
def test_sampling_is_measured_beside_the_reference(tiny_config):
    reference, *fast = cases.sampling(cases.Settings(tiny_config, ("float32",), runs=1))
    assert reference.way == "reference" and reference.ratio == 1.0
    assert [way.way for way in fast] == [
        "fast float32", "fast, frozen float32", "auto float32", "auto, frozen float32",
    ]  # fmt: skip
    for way in fast:
        assert 0 < way.operations < reference.operations and way.ratio > 0


def test_sizes_of_curves_fit_the_published_model():
    config = configuration.preset("market1501")
    sizes = cases.curve_sizes(config, (0.5, 4.0))
    assert [s.reconstruction.batch_size for s in sizes] == [16, 8, 64, 16, 16, 16, 16]
    assert [s.model.hidden for s in sizes] == [128, 128, 128, 64, 512, 128, 128]
    assert [s.model.height for s in sizes] == [128, 128, 128, 128, 128, 64, 512]


def test_sizes_of_curves_keep_the_codes_of_a_placed_scenes_cells():
    config = configuration.preset("modern")
    lengths = [
        s.model.background_embedding / s.model.scene_cells
        for s in cases.curve_sizes(config, (0.5, 2.0))
    ]
    assert lengths == [24] * 7


def test_what_cannot_be_halved_is_no_other_size():
    config = configuration.preset("synthetic").override(
        **{"reconstruction.batch_size": 1, "model.hidden": 1}
    )
    assert [s.model.height for s in cases.curve_sizes(config, [0.5])] == [48, 24]


@pytest.mark.slow
def test_peak_is_above_the_program_by_what_training_holds(tiny_config):
    """In a process of its own, as always: the peak of this one may be far above both."""
    rows, model = 1024, tiny_config.model
    found = memory.peak(
        tiny_config.override(**{"reconstruction.batch_size": rows}), "float32", rematerialize=False
    )
    # The least that a step holds at once: real and generated pictures in float32.
    pictures = 2 * rows * model.height * model.width * 3 * 4 / 2**30
    assert found.program_gib > 0.1
    assert found.program_gib + pictures < found.gib < 64
    assert found.seconds > 0
