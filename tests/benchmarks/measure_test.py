import time

import pytest

from dpig_tf2.benchmarks.measure import Variant, compare, in_turns


def test_ways_are_measured_in_turns_after_a_warm_up():
    order = []
    variants = {name: Variant(lambda name=name: order.append(name)) for name in "ab"}
    seconds = in_turns(variants, runs=2)
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_taken_turn_by_turn(tiny_config):
    variants = {
        "plain": Variant(lambda: time.sleep(0.1)),
        "ours": Variant(lambda: time.sleep(0.002), operations=10**6, repetitions=2),
    }
    plain, ours = compare("naps", tiny_config, 4, "CPU", variants, runs=3)
    assert plain.ratios == (1.0, 1.0, 1.0)
    assert ours.ratio > 5
    assert (ours.what, ours.batch, ours.hidden) == ("naps", 4, tiny_config.model.hidden)
    assert ours.gflops == pytest.approx(1e-3 / ours.median)
    assert plain.gflops is None


def test_without_a_way_to_compare_to_there_is_no_ratio(tiny_config):
    (result,) = compare("nap", tiny_config, 1, "CPU", {"ours": Variant(lambda: None)}, runs=1)
    assert result.ratio is None
