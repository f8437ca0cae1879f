import pytest
import tensorflow as tf

from dpig_tf2 import config as configuration
from dpig_tf2.benchmarks import cases, memory


@pytest.mark.slow
def test_sampling_is_measured_beside_plain(tiny_config):
    plain, *ours = cases.sampling(cases.Settings(tiny_config, ("float32",), runs=1))
    assert plain.variant == "plain" and plain.ratio == 1.0
    assert [way.variant for way in ours] == ["ours float32", "ours, frozen float32"]
    for way in ours:
        assert 0 < way.operations < plain.operations and way.ratio > 0


def test_sizes_of_curves_fit_the_published_model():
    config = configuration.preset("market1501")
    sizes = [config.override(**overrides) for overrides in cases.curve_sizes(config, (0.5, 4.0))]
    assert [s.reconstruction.batch_size for s in sizes] == [16, 8, 64, 16, 16, 16, 16]
    assert [s.model.hidden for s in sizes] == [128, 128, 128, 64, 512, 128, 128]
    assert [s.model.height for s in sizes] == [128, 128, 128, 128, 128, 64, 512]


@pytest.mark.slow
def test_peak_grows_with_training(tiny_config):
    tf.config.run_functions_eagerly(True)
    try:
        found = memory.train(tiny_config, "float32", rematerialize=False)
    finally:
        tf.config.run_functions_eagerly(False)
    assert 0 < found["program_gib"] <= found["gib"] < 64
    assert found["seconds"] > 0
