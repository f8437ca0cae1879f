"""Linear probes of codes that know a factor, and of codes that know nothing."""

import dataclasses

import numpy as np
import pytest

from dpig_tf2 import synthetic
from dpig_tf2.evaluation import probes

PERSONS = 240


@pytest.fixture(scope="module")
def persons():
    rng = np.random.default_rng(5)
    places = [synthetic.sample_background(rng, scene) for scene in ("park", "street", "steps")]
    return probes.new_persons(places, PERSONS, seed=3)


@pytest.fixture(scope="module")
def scores(persons):
    random = np.random.default_rng(0)
    colors = np.array([person["foreground"].upper.color for person in persons])
    walls = np.array([person["background"].wall for person in persons])
    mixing = random.normal(size=(6, 10))
    codes = {
        "both": np.concatenate([colors, walls], axis=1) @ mixing,
        "noise": random.normal(size=(PERSONS, 10)),
        "constant": np.full((PERSONS, 10), 3.0),
    }
    return probes.probe(codes, persons)


def test_a_code_is_credited_with_what_it_holds_and_no_more(scores):
    r2 = scores["r2"]
    assert r2["foreground"]["upper color"]["both"] > 0.99
    assert r2["background"]["wall color"]["both"] > 0.99
    assert r2["pose"]["direction"]["both"] < 0.1
    for properties in r2.values():
        for name, found in properties.items():
            assert found["noise"] < 0.15, name
            assert found["constant"] == pytest.approx(0, abs=0.15), name


def test_choices_are_compared_with_the_most_frequent_answer(scores, persons):
    scene = scores["accuracy"]["background"]["scene"]
    assert scene["both"] > 0.8, "walls tell the scene"
    assert scene["noise"] < 0.6
    hair = [person["foreground"].hair_style for person in persons]
    most_frequent = max(set(hair), key=hair[:160].count)
    found = scores["accuracy"]["foreground"]["hair style"]["chance"]
    assert found == hair[160:].count(most_frequent) / 80


def test_a_property_of_several_numbers_is_known_by_all_of_them(persons):
    poses = [person["pose"] for person in persons]
    limbs = ("right_arm", "left_arm", "right_leg", "left_leg")
    codes = {
        limb.replace("_", " "): [dataclasses.astuple(getattr(pose, limb)) for pose in poses]
        for limb in limbs
    }
    codes["direction"] = [(np.sin(pose.yaw), np.cos(pose.yaw)) for pose in poses]
    codes["place"] = [(pose.row, pose.column) for pose in poses]
    codes["row"] = [(pose.row,) for pose in poses]
    codes = {name: np.array(code) for name, code in codes.items()}
    r2 = probes.probe(codes, persons)["r2"]["pose"]
    for name in codes.keys() - {"row"}:
        assert r2[name][name] > 0.99, name
        assert max(r2[name].values()) == r2[name][name], name
    # Each number counts by what it varies among the scored, in deviations of the fitted.
    row, column = (codes["place"][160:].std(axis=0) / codes["place"][:160].std(axis=0)) ** 2
    assert r2["place"]["row"] == pytest.approx(row / (row + column), abs=0.03)


def test_persons_fitted_on_are_not_scored(scores):
    assert (scores["fitted_persons"], scores["scored_persons"]) == (160, 80)


def test_means_are_those_of_the_properties(scores):
    found = [values["both"] for values in scores["r2"]["pose"].values()]
    assert scores["mean_r2"]["pose"]["both"] == pytest.approx(np.mean(found))


def test_a_seed_gives_the_same_persons(persons):
    places = [person["background"] for person in persons[:4]]
    first, again = (probes.new_persons(places, 5, seed=1) for _ in range(2))
    assert first == again
    assert first != probes.new_persons(places, 5, seed=2)


@pytest.mark.parametrize(("seed", "count"), [(2, 30), (0, 10), (2, 10), (5, 12)])
def test_ridge_takes_the_penalty_that_predicts_left_out_persons_best(seed, count):
    random = np.random.default_rng(seed)
    known, asked = random.normal(2.0, 3.0, size=(count, 8)), random.normal(size=(5, 8))
    values = known[:, :2] + random.normal(size=(count, 2))

    def predicted(rows, targets, questions, penalty):
        """Closed form, on codes scaled as in the whole."""
        rows, questions = (x / known.std(axis=0) for x in (rows, questions))
        centered = rows - rows.mean(axis=0)
        weights = np.linalg.solve(
            centered.T @ centered + penalty * np.eye(8),
            centered.T @ (targets - targets.mean(axis=0)),
        )
        return (questions - rows.mean(axis=0)) @ weights + targets.mean(axis=0)

    def left_out_error(penalty):
        rest = ~np.eye(count, dtype=bool)
        found = [predicted(known[r], values[r], known[~r], penalty)[0] for r in rest]
        return np.sum((np.array(found) - values) ** 2)

    best = min(probes.PENALTIES, key=left_out_error)
    np.testing.assert_allclose(
        probes.Ridge(known, asked).predict(values), predicted(known, values, asked, best), atol=1e-9
    )


def test_too_few_persons_are_refused(persons):
    with pytest.raises(ValueError, match="at least 60 persons, got 59"):
        probes.probe({}, persons[:59])
