import time

import pytest

from dpig_tf2.benchmarks.measure import Way, compare, in_turns


def test_ways_are_measured_in_turns_after_a_warm_up():
    order = []
    ways = {name: Way(lambda name=name: order.append(name)) for name in "ab"}
    seconds = in_turns(ways, runs=2)
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_ratio_is_taken_turn_by_turn(tiny_config):
    ways = {
        "reference": Way(lambda: time.sleep(0.1)),
        "fast": Way(lambda: time.sleep(0.002), operations=10**6, repetitions=2),
    }
    reference, fast = compare("naps", tiny_config, 4, "CPU", ways, runs=3)
    assert reference.ratios == (1.0, 1.0, 1.0)
    assert fast.ratio > 5
    assert (fast.what, fast.batch, fast.hidden) == ("naps", 4, tiny_config.model.hidden)
    assert fast.gflops == pytest.approx(1e-3 / fast.median)
    assert reference.gflops is None


def test_without_a_way_to_compare_to_there_is_no_ratio(tiny_config):
    (result,) = compare("nap", tiny_config, 1, "CPU", {"fast": Way(lambda: None)}, runs=1)
    assert result.ratio is None
