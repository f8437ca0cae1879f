"""Scores of sets: by a classifier's view of images inception score, FID, KID; of any codes recall.

Everything is computed in float64. N images, C classes, D features.
"""

import numpy as np
from scipy.linalg import svdvals
from scipy.spatial.distance import cdist

from dpig_tf2.errors import DpigError


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(mean KL(p(y|x) || p(y))), each in [1, C].

    The splits are consecutive images, p(y) the split's own mean. Few images for each class give a
    low score, so only scores of equally many images and splits can be compared.

    Args:
        probabilities: [N, C], a classifier's softmax for each image.
        splits: parts to average over; published scores use 10.

    Raises:
        DpigError: not [N, C] probabilities, or splits not in [1, N].

    Source: Salimans et al. 2016, section 4.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2:
        raise DpigError(f"probabilities of shape {probabilities.shape}, expected [N, C]")
    sums = probabilities.sum(axis=1)
    if not (np.all(probabilities >= 0.0) and np.allclose(sums, 1.0, atol=1e-3)):
        raise DpigError("probabilities must be at least 0 and sum to 1 for each image")
    if not 1 <= splits <= len(probabilities):
        raise DpigError(f"{splits} splits of {len(probabilities)} images, expected 1 to N")
    scores = [_inception_score_of(split) for split in np.array_split(probabilities, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two feature sets, at least 0.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) with sample covariances A, B (n - 1). The trace
    of the root is the sum of the singular values of R S^T, where A = R^T R and B = S^T S: the same
    number, but real, symmetric in A and B, and exact to rounding for singular covariances too
    (N <= D).

    Args:
        features_a, features_b: [N, D] and [M, D]; a stable score needs N and M well above D.

    Raises:
        DpigError: not two finite [N, D] arrays of one D with at least two rows.

    Source: Heusel et al. 2017, equation 6.
    """
    features_a, features_b = _check_features(features_a, features_b)
    root_a, root_b = _covariance_root(features_a), _covariance_root(features_b)
    squared_shift = np.sum((features_a.mean(axis=0) - features_b.mean(axis=0)) ** 2)
    spread = np.sum(root_a**2) + np.sum(root_b**2) - 2.0 * np.sum(svdvals(root_a @ root_b.T))
    return float(max(squared_shift + spread, 0.0))


def kernel_distance(
    features_a: np.ndarray,
    features_b: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float | None]:
    """Mean and standard deviation over random subsets of the squared kernel distance (KID).

    Unbiased estimate of the squared maximum mean discrepancy under (x.y / D + 1)^3: about 0, and
    sometimes below, for two samples of one distribution, however few. Where a subset is all of both
    sets there is only that one, and None for the deviation.

    Args:
        features_a, features_b: [N, D] and [M, D].
        subsets: number of random subsets, drawn without replacement from each set.
        subset_size: features in a subset; at most N and M are taken.
        seed: of the subsets.

    Raises:
        DpigError: not two finite [N, D] arrays of one D with at least two rows, subsets < 1 or
            subset_size < 2.

    Source: Binkowski et al. 2018, section 4.
    """
    features_a, features_b = _check_features(features_a, features_b)
    if subsets < 1 or subset_size < 2:
        raise DpigError(f"{subsets} subsets of {subset_size}, expected at least 1 of at least 2")
    size = min(subset_size, len(features_a), len(features_b))
    if size == len(features_a) == len(features_b):
        return _squared_kernel_distance(features_a, features_b), None
    random = np.random.default_rng(seed)
    distances = [
        _squared_kernel_distance(
            features_a[random.choice(len(features_a), size, replace=False)],
            features_b[random.choice(len(features_b), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(distances)), float(np.std(distances))


def precision_and_recall(
    real: np.ndarray, sampled: np.ndarray, neighbors: int = 5
) -> tuple[float, float]:
    """Shares of samples that lie among real features, and of real ones among samples, in [0, 1].

    A point lies among a set if it is no farther from one of its points than that one's k-th
    neighbor in the set. Two halves of one set do not reach 1: in many dimensions neighbors are far.

    Args:
        real, sampled: [N, D] and [M, D]; compare only what was counted with equal N, M and k.
        neighbors: k.

    Raises:
        DpigError: not two finite [N, D] arrays of one D with at least two rows, or k not in
            [1, min(N, M) - 1].

    Source: Kynkäänniemi et al. 2019, section 2.
    """
    real, sampled = _check_features(real, sampled)
    most = min(len(real), len(sampled)) - 1
    if not 1 <= neighbors <= most:
        raise DpigError(f"{neighbors} neighbors, expected 1 to {most}")
    distances = cdist(sampled, real)
    precise = distances <= _neighbor_distances(real, neighbors)
    recalled = distances <= _neighbor_distances(sampled, neighbors)[:, None]
    return float(precise.any(axis=1).mean()), float(recalled.any(axis=0).mean())


def _neighbor_distances(features, neighbors):
    """[N], the distance of each point to its k-th neighbor; the nearest of all is itself."""
    return np.partition(cdist(features, features), neighbors, axis=1)[:, neighbors]


def _inception_score_of(probabilities: np.ndarray) -> float:
    marginal = probabilities.mean(axis=0, keepdims=True)
    # 0 log 0 = 0: where a probability is 0 the ratio is replaced by 1, and never divides by 0.
    ratio = np.divide(
        probabilities, marginal, out=np.ones_like(probabilities), where=probabilities > 0.0
    )
    return float(np.exp(np.mean(np.sum(probabilities * np.log(ratio), axis=1))))


def _check_features(
    features_a: np.ndarray, features_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    features_a, features_b = np.asarray(features_a, np.float64), np.asarray(features_b, np.float64)
    for features in (features_a, features_b):
        if features.ndim != 2 or len(features) < 2:
            raise DpigError(f"features of shape {features.shape}, expected [N >= 2, D]")
        if not np.all(np.isfinite(features)):
            raise DpigError("features contain NaN or infinite values")
    if features_a.shape[1] != features_b.shape[1]:
        raise DpigError(
            f"features of {features_a.shape[1]} and {features_b.shape[1]} dimensions, "
            "expected the same"
        )
    return features_a, features_b


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """R [min(N, D), D] with R^T R = the sample covariance of features [N, D]."""
    centered = features - features.mean(axis=0)
    return np.linalg.qr(centered, mode="r") / np.sqrt(len(features) - 1)


def _squared_kernel_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of equal size n >= 2."""
    size, dimensions = features_a.shape

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / dimensions + 1.0) ** 3

    within = sum(
        (np.sum(gram) - np.trace(gram)) / (size * (size - 1))
        for gram in (kernel(features_a, features_a), kernel(features_b, features_b))
    )
    return float(within - 2.0 * np.mean(kernel(features_a, features_b)))
