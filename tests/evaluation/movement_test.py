"""The table of what moved, on changes of known make."""

import numpy as np
import pytest

from dpig_tf2.evaluation.movement import moved

FACTORS = ("foreground", "background", "pose")


@pytest.fixture
def truth():
    random = np.random.default_rng(0)
    return {factor: random.normal(size=(30, 8, 6, 3)) for factor in FACTORS}


def test_weights_of_a_known_mixture_are_found(truth):
    change = 0.5 * truth["foreground"] - 0.25 * truth["pose"]
    result = moved({"foreground": change}, truth)
    expected = {"foreground": 0.5, "background": 0.0, "pose": -0.25}
    assert result["table"]["foreground"] == pytest.approx(expected, abs=1e-5)
    assert result["standard_error"]["foreground"] == pytest.approx(
        dict.fromkeys(FACTORS, 0), abs=1e-5
    )
    assert result["explained"]["foreground"] == pytest.approx(1.0)


def test_other_changes_are_not_explained_and_widen_the_error(truth):
    noise = np.random.default_rng(1).normal(size=truth["pose"].shape)
    result = moved({"pose": truth["pose"] + noise}, truth)
    assert result["table"]["pose"]["pose"] == pytest.approx(1.0, abs=0.1)
    assert result["explained"]["pose"] == pytest.approx(0.5, abs=0.05)
    assert 0.005 < result["standard_error"]["pose"]["pose"] < 0.05


def test_a_model_that_never_moves_explains_nothing(truth):
    result = moved({"pose": np.zeros_like(truth["pose"])}, truth)
    assert result["table"]["pose"]["pose"] == 0.0
    assert result["explained"]["pose"] is None


def test_one_person_says_nothing_of_others(truth):
    alone = {factor: change[:1] for factor, change in truth.items()}
    result = moved({"pose": alone["pose"]}, alone)
    assert result["table"]["pose"]["pose"] == pytest.approx(1.0)
    assert result["standard_error"]["pose"] == dict.fromkeys(FACTORS)
