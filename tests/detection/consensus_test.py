import dataclasses

import numpy as np

from dpig_tf2.detection import consensus
from dpig_tf2.detection.networks import MIRRORED, NUM_LANDMARKS, Look, Region

RIGHT, LEFT = (12, 14, 24, 26), (11, 13, 23, 25)


def person(right_x, left_x):
    """Landmarks of a person whose right and left sides are at these columns."""
    points = np.stack([np.full(NUM_LANDMARKS, 50.0), np.linspace(0, 200, NUM_LANDMARKS)], axis=1)
    points[list(RIGHT), 0], points[list(LEFT), 0] = right_x, left_x
    points[list(RIGHT), 1] = points[list(LEFT), 1] = (40, 60, 90, 140)
    return points


def look(points, weight=0.8, presence=1.0):
    weights = np.full(NUM_LANDMARKS, weight)
    mask = np.zeros((256, 256), np.float32)
    return Look(points, weights, weights, presence, mask, Region(50, 100, 250))


def exchanged(points):
    swapped = points.copy()
    swapped[11:33] = points[MIRRORED[11:33]]
    return swapped


def test_one_look_is_taken_as_it_is():
    points = person(20, 80)
    opinion = consensus.agree([look(points, weight=0.6)])
    np.testing.assert_allclose(opinion.points, points)
    np.testing.assert_allclose(opinion.visibility, 0.6)
    np.testing.assert_allclose(opinion.evidence, 0.6)


def test_a_single_look_astray_does_not_move_the_rest():
    points = person(20, 80)
    astray = points + (60, 0)
    opinion = consensus.agree([look(points), look(points + 1), look(points), look(astray)])
    assert np.abs(opinion.points - points).max() < 3
    assert np.abs(np.mean([points, points + 1, points, astray], axis=0) - points).max() > 10


def test_looks_that_confuse_the_sides_are_turned_round():
    points = person(20, 80)
    seen = np.full(NUM_LANDMARKS, 0.8)
    seen[list(LEFT)] = 0.3
    confused = dataclasses.replace(look(exchanged(points)), visibility=exchanged(seen))
    opinion = consensus.agree([*[dataclasses.replace(look(points), visibility=seen)] * 4, confused])
    np.testing.assert_allclose(opinion.points, points, atol=1e-6)
    np.testing.assert_allclose(opinion.visibility, seen)


def test_a_landmark_counts_as_far_as_its_look_is_trusted():
    points = person(20, 80)
    sure, unsure = look(points, weight=0.9), look(points, weight=0.1)
    visibility = consensus.agree([sure, unsure]).visibility
    np.testing.assert_allclose(visibility, (0.9 * 0.92 + 0.1 * 0.12) / (0.92 + 0.12))


def test_trust_in_a_landmark_is_turned_round_with_it():
    points, trust = person(20, 80), np.full(NUM_LANDMARKS, 0.9)
    trust[list(LEFT)] = 0.1
    hidden, seen = np.zeros(NUM_LANDMARKS), np.ones(NUM_LANDMARKS)
    confused = look(exchanged(points))
    confused = dataclasses.replace(confused, visibility=seen, weights=exchanged(trust))
    plain = dataclasses.replace(look(points), visibility=hidden)
    visibility = consensus.agree([*4 * [plain], confused]).visibility
    assert visibility[list(LEFT)].max() < 0.05 and visibility[list(RIGHT)].min() > 0.1


def test_points_are_weighted_medians():
    """There the looks' directions, each as strong as its weight, cancel out."""
    rng = np.random.default_rng(0)
    points = rng.normal(scale=5.0, size=(5, NUM_LANDMARKS, 2)) + person(20, 80)
    weights = rng.uniform(0.2, 1.0, (5, NUM_LANDMARKS, 1))
    away = points - consensus._middle(points, weights)
    blur = 0.03 * np.ptp(np.median(points, axis=0)[:33, 1])
    strengths = weights / np.sqrt((away**2).sum(axis=-1, keepdims=True) + blur**2)
    assert np.abs((strengths * away).sum(axis=0) / weights.sum(axis=0)).max() < 0.002


def test_a_look_that_was_turned_round_counts_less():
    behind = person(80, 20)
    opinion = consensus.agree([look(behind), look(exchanged(behind) + (6, 0))])
    to_both = [
        np.linalg.norm(opinion.points - points, axis=1) for points in (behind, behind + (6, 0))
    ]
    assert (to_both[0] < to_both[1])[11:33].all()


def test_the_legs_may_be_confused_alone():
    points = person(20, 80)
    confused = points.copy()
    confused[23:33] = points[MIRRORED[23:33]]
    opinion = consensus.agree([look(confused), look(points), look(points), look(points)])
    np.testing.assert_allclose(opinion.points, points, atol=1e-6)


def test_seen_from_behind_counts_more():
    behind = person(80, 20)
    looks = [look(behind), look(exchanged(behind)), look(exchanged(behind))]
    np.testing.assert_allclose(consensus.agree(looks).points, behind, atol=1e-6)
    looks += [look(exchanged(behind))] * 3
    np.testing.assert_allclose(consensus.agree(looks).points, exchanged(behind), atol=1e-6)


def test_disagreement_and_faintness_are_less_evidence():
    points = person(20, 80)
    clear = consensus.agree([look(points), look(points)]).evidence
    apart = consensus.agree([look(points), look(points + 60)]).evidence
    faint = consensus.agree([look(points, 0.2), look(points, 0.2)]).evidence
    assert apart < 0.7 * clear and faint < 0.3 * clear
