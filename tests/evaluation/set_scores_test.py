import itertools

import numpy as np
import pytest
import scipy.linalg

from dpig_tf2.evaluation.set_scores import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_and_recall,
)


def test_inception_score_of_uniform_and_one_hot():
    assert inception_score(np.full((20, 5), 0.2), 2) == pytest.approx((1.0, 0.0))
    one_hot = np.eye(5)[np.arange(20) % 5]
    assert inception_score(one_hot, 2) == pytest.approx((5.0, 0.0))


def test_inception_score_of_hand_worked_case():
    # p(y) = (0.5, 0.5); both rows have KL = 0.9 ln 1.8 + 0.1 ln 0.2.
    score, _ = inception_score(np.array([[0.9, 0.1], [0.1, 0.9]]), 1)
    assert score == pytest.approx(np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2)))


def test_inception_score_splits_are_averaged():
    varied, constant = np.eye(4), np.tile(np.eye(4)[:1], (4, 1))
    score, deviation = inception_score(np.concatenate([varied, constant]), 2)
    assert (score, deviation) == pytest.approx((2.5, 1.5))


@pytest.mark.parametrize(
    ("probabilities", "splits", "message"),
    [
        (np.full((4, 5), 0.3), 1, "sum to 1"),
        (np.array([[1.5, -0.5]]), 1, "at least 0"),
        (np.full((4, 5), np.nan), 1, "sum to 1"),
        (np.full(5, 0.2), 1, "expected"),
        (np.full((4, 5), 0.2), 5, "5 splits of 4 images"),
        (np.full((4, 5), 0.2), 0, "0 splits of 4 images"),
    ],
)
def test_inception_score_refuses_bad_input(probabilities, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(probabilities, splits)


def gaussian_features(mean, covariance, count=50):
    """Features whose sample mean and covariance are exactly the given ones."""
    features = np.random.default_rng(3).normal(size=(count, len(mean)))
    features -= features.mean(axis=0)
    whitened = features @ np.linalg.inv(np.linalg.cholesky(np.cov(features, rowvar=False))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_known_gaussians():
    a = gaussian_features(np.zeros(2), np.diag([4.0, 9.0]))
    b = gaussian_features(np.array([3.0, 0.0]), np.diag([1.0, 25.0]))
    # |shift|^2 = 9; commuting covariances add the squared differences of deviations, 1 and 4.
    assert frechet_distance(a, b) == pytest.approx(14.0)


def test_frechet_distance_of_covariances_that_do_not_commute():
    covariance_a, covariance_b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.diag([5.0, 1.0])
    a = gaussian_features(np.zeros(2), covariance_a)
    b = gaussian_features(np.zeros(2), covariance_b)
    # For 2x2: tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) = sqrt(13 + 2 * 5).
    expected = 11.0 - 2.0 * np.sqrt(23.0)
    assert frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_equals_its_formula_with_scipys_matrix_root():
    random = np.random.default_rng(9)
    a, b = random.normal(size=(60, 6)), random.normal(0.5, 1.5, size=(40, 6))
    a[:, 1] += a[:, 0]
    covariances = [np.cov(features, rowvar=False) for features in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    expected = shift + np.trace(covariances[0] + covariances[1] - 2.0 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_properties():
    random = np.random.default_rng(5)
    a, b = random.normal(size=(12, 30)), random.normal(1.0, 2.0, size=(9, 30))
    distance = frechet_distance(a, b)
    assert distance == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert distance > 1.0
    # More dimensions than samples: the covariances are singular.
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert all(frechet_distance(each, each) >= 0.0 for each in random.normal(size=(20, 9, 5)))
    rotation, _ = np.linalg.qr(random.normal(size=(30, 30)))
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance)


def test_frechet_distance_of_one_dimension():
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(16.0 + 2.0)


def test_kernel_distance_of_hand_worked_case():
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    # Off-diagonal kernels within: 1 and 1. Between: 1, 1, 1 and (1 * 2 + 1)^3 = 27.
    distance, deviation = kernel_distance(a, b, subsets=3)
    assert distance == pytest.approx(1.0 + 1.0 - 2.0 * 30.0 / 4.0)
    assert deviation is None, "every subset is all of both sets"


def test_kernel_distance_tells_same_from_different():
    random = np.random.default_rng(6)
    a, b = random.normal(size=(400, 8)), random.normal(size=(300, 8))
    near, _ = kernel_distance(a, b, subsets=20, subset_size=150)
    same, _ = kernel_distance(a, a, subsets=20, subset_size=150)
    far, _ = kernel_distance(a, b + 1.0, subsets=20, subset_size=150)
    assert abs(near) < 0.1 and abs(same) < 0.1
    assert far > 1.0


@pytest.mark.parametrize("swapped", [False, True])
def test_subsets_are_of_the_whole_of_both_sets(swapped):
    small, large = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0], [4.0]])
    distances = [
        kernel_distance(small, large[list(pair)])[0] for pair in itertools.combinations(range(3), 2)
    ]
    sets = (large, small) if swapped else (small, large)
    mean, deviation = kernel_distance(*sets, subsets=1000)
    assert mean == pytest.approx(np.mean(distances), rel=0.2)
    assert deviation == pytest.approx(np.std(distances), rel=0.2)


def test_kernel_distance_depends_on_the_seed_only():
    random = np.random.default_rng(7)
    a, b = random.normal(size=(40, 3)), random.normal(size=(40, 3))
    first, again, other = (
        kernel_distance(a, b, subsets=4, subset_size=10, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again and first != other


@pytest.mark.parametrize("distance", (frechet_distance, kernel_distance))
def test_bad_features_are_refused(distance):
    features = np.zeros((4, 3))
    with pytest.raises(ValueError, match="3 and 2 dimensions"):
        distance(features, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="expected"):
        distance(features, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="NaN"):
        distance(features, np.full((4, 3), np.nan))


def test_bad_subsets_are_refused():
    features = np.zeros((4, 3))
    with pytest.raises(ValueError, match="0 subsets of 10"):
        kernel_distance(features, features, subsets=0, subset_size=10)
    with pytest.raises(ValueError, match="5 subsets of 1"):
        kernel_distance(features, features, subsets=5, subset_size=1)


def test_precision_and_recall_of_hand_worked_case():
    # Points reach as far as their next, real ones 1, 1, 2: 2.6 and 4.1 are among them, 9.6 is not.
    # Samples reach 1.5, 1.5, 5.5: only 3 is among them.
    real, sampled = np.array([[0.0], [1.0], [3.0]]), np.array([[2.6], [4.1], [9.6]])
    assert precision_and_recall(real, sampled, 1) == pytest.approx((2 / 3, 1 / 3))
    # A sample that reaches 1.6 recalls what is 1.5 away, though that one itself reaches 1 only.
    sampled[0] = 2.5
    assert precision_and_recall(real, sampled, 1) == pytest.approx((2 / 3, 2 / 3))
    assert precision_and_recall(np.zeros((3, 1)), np.zeros((3, 1)), 1) == (1, 1)  # no farther


def test_samples_that_do_not_vary_are_precise_and_recall_little():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 2))
    precision, recall = precision_and_recall(real, 0.01 * rng.normal(size=(300, 2)))
    assert precision == 1 and recall < 0.02
    precision, recall = precision_and_recall(real, rng.normal(size=(300, 2)))
    assert min(precision, recall) > 0.9


@pytest.mark.parametrize("neighbors", [0, 3])
def test_precision_and_recall_refuse_neighbors_that_there_are_not(neighbors):
    with pytest.raises(ValueError, match=f"{neighbors} neighbors, expected 1 to 2"):
        precision_and_recall(np.zeros((4, 2)), np.zeros((3, 2)), neighbors)
