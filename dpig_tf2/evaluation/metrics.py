"""Scores of generated images and poses, as functions on NumPy arrays.

Images are colour, [H, W, 3], uint8 or float, in levels of [0, 255]. Everything is computed in
float64. H rows, W columns, N images or poses, C classes, D features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import svdvals
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from dpig_tf2.ops.keypoints import normalize

MAX_LEVEL = 255.0

# Identical images would have an infinite PSNR, which spoils every mean and is not valid JSON.
PSNR_CEILING = 100.0

# A spread of levels below this is rounding of the grey conversion, not a picture.
_FLAT_IMAGE_RANGE = 1e-6


@dataclass(frozen=True)
class Protocol:
    """How a line of work measures SSIM; numbers of different protocols cannot be compared.

    Attributes:
      name: what reports call it.
      grey: SSIM on luminance (0.2125 R + 0.7154 G + 0.0721 B) instead of the mean of the SSIMs of
        the three channels. Masked SSIM is on colour in every protocol.
      window: "uniform" 7x7 or "gaussian" 11x11 with standard deviation 1.5. Only windows that lie
        inside the image count.
      sample_covariance: divides the window's (co)variances by n - 1 instead of n (n = 49, 121).
      data_range: what SSIM's constants scale with: the largest minus the smallest level of the
        "target" or of the "generated" image, after greying and masking, or 255 ("full").
    """

    name: str
    grey: bool
    window: Literal["uniform", "gaussian"]
    sample_covariance: bool
    data_range: Literal["target", "generated", "full"]

    @property
    def window_size(self) -> int:
        return 7 if self.window == "uniform" else 11


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # The tables of the DPIG paper and of its predecessor PG2.
        Protocol("dpig", True, "uniform", True, "target"),
        # The tables of PATN and of most later work on pose transfer.
        Protocol("patn", False, "gaussian", False, "generated"),
        # `tf.image.ssim` with its defaults; the same as Wang et al. 2004 on each channel.
        Protocol("tf", False, "gaussian", False, "full"),
    )
}


def resolve_protocol(protocol: str | Protocol) -> Protocol:
    """Protocol of that name; a `Protocol` is returned as it is.

    Raises:
      ValueError: no protocol has that name.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}, expected one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[protocol]


def l1(generated: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute difference of all pixels and channels, in [0, 1] (levels / 255).

    Work that compares images scaled to [-1, 1] reports twice this.

    Args:
      generated, target: [H, W, 3], levels of [0, 255].

    Raises:
      ValueError: not two images of one size.
    """
    generated, target = _check_pair(generated, target)
    return float(np.mean(np.abs(generated - target)) / MAX_LEVEL)


def l2(generated: np.ndarray, target: np.ndarray) -> float:
    """Root of the mean squared difference of all pixels and channels, in [0, 1] (levels / 255).

    Args and Raises as in `l1`.
    """
    generated, target = _check_pair(generated, target)
    return float(np.sqrt(np.mean((generated - target) ** 2)) / MAX_LEVEL)


def psnr(generated: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio, -20 log10(`l2`), in decibels, at most `PSNR_CEILING`.

    Args and Raises as in `l1`.
    """
    error = l2(generated, target)
    # The error at which the ceiling is reached; it also keeps the logarithm finite.
    return float(-20.0 * np.log10(max(error, 10.0 ** (-PSNR_CEILING / 20.0))))


def ssim(generated: np.ndarray, target: np.ndarray, protocol: str | Protocol) -> float:
    """Structural similarity in [-1, 1], averaged over windows and channels; 1 = identical.

    Where the image that gives the data range is constant, SSIM is 0 / 0 or ignores its constants;
    the score is then 1 for identical images and 0 otherwise.

    Args:
      generated, target: [H, W, 3], levels of [0, 255].
      protocol: a `Protocol` or the name of one in `PROTOCOLS`.

    Raises:
      ValueError: not two images of one size, smaller than the window, or an unknown protocol.
    """
    protocol = resolve_protocol(protocol)
    generated, target = _check_pair(generated, target)
    if protocol.grey:
        # `rgb2gray` is linear, so levels of [0, 255] stay levels of [0, 255].
        return _structural_similarity(rgb2gray(generated), rgb2gray(target), protocol)
    return _structural_similarity(generated, target, protocol)


def masked_ssim(
    generated: np.ndarray, target: np.ndarray, mask: np.ndarray, protocol: str | Protocol
) -> float:
    """Structural similarity of the two colour images, both black outside the mask.

    The mean includes the black windows, which score 1: a small mask gives a high score.

    Args:
      generated, target: [H, W, 3], levels of [0, 255].
      mask: [H, W] or [H, W, 1] in {0, 1}, for example the body mask of the target's keypoints.
      protocol: a `Protocol` or the name of one in `PROTOCOLS`.

    Raises:
      ValueError: as for `ssim`; the mask has another size, other values or no pixel set.
    """
    protocol = resolve_protocol(protocol)
    generated, target = _check_pair(generated, target)
    if not np.any(mask):
        raise ValueError("The mask is empty, expected at least one pixel set.")
    return _structural_similarity(apply_mask(generated, mask), apply_mask(target, mask), protocol)


def apply_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Image that is black outside the mask, [H, W, 3] of the image's dtype.

    Args:
      image: [H, W, 3].
      mask: [H, W] or [H, W, 1] in {0, 1}.

    Raises:
      ValueError: the mask has another size or other values.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if mask.shape not in (image.shape[:2], (*image.shape[:2], 1)):
        raise ValueError(
            f"Mask of shape {mask.shape} for an image of shape {image.shape}, expected "
            f"{image.shape[:2]} or {(*image.shape[:2], 1)}."
        )
    if not np.all((mask == 0) | (mask == 1)):
        raise ValueError(f"Mask with values up to {np.max(mask)}, expected only 0 and 1.")
    return image * mask.reshape(*image.shape[:2], 1).astype(image.dtype)


class Scores:
    """Scores of image pairs under one protocol, added one by one, summarised at the end.

    Keeps numbers only, never images.

    Args:
      protocol: a `Protocol` or the name of one in `PROTOCOLS`.
      further: {name: function of (generated, target)}, scores of a pair beyond the built-in ones.
    """

    def __init__(
        self,
        protocol: str | Protocol,
        further: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] | None = None,
    ):
        self.protocol = resolve_protocol(protocol)
        self._further = dict(further or {})
        self._values: dict[str, list[float | None]] = {
            name: [] for name in ("ssim", "psnr", "l1", "l2", "mask_ssim", *self._further)
        }

    def add(
        self, generated: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Scores one pair.

        Args:
          generated, target: [H, W, 3], levels of [0, 255].
          mask: [H, W] or [H, W, 1] in {0, 1}. Without one, or with an empty one (a person without
            a visible keypoint), the pair has no masked SSIM.

        Raises:
          ValueError: as for `ssim` and `masked_ssim`.
        """
        # All before the first append, so that a bad pair leaves the lists aligned.
        scores = {
            "ssim": ssim(generated, target, self.protocol),
            "psnr": psnr(generated, target),
            "l1": l1(generated, target),
            "l2": l2(generated, target),
            "mask_ssim": None,
        }
        if mask is not None and np.any(mask):
            scores["mask_ssim"] = masked_ssim(generated, target, mask, self.protocol)
        scores |= {name: score(generated, target) for name, score in self._further.items()}
        for name, score in scores.items():
            self._values[name].append(score)

    def summary(self) -> dict:
        """Plain dict, ready for JSON.

        Returns:
          `protocol` (name), `count` (pairs) and `metrics`: for `ssim`, `psnr`, `l1`, `l2`, the
          further scores and, where any pair had a mask, `mask_ssim`, a dict of `mean`,
          `standard_error` (of the mean; None for a single value), `count` and `per_image` (in order
          of addition, None for a pair without this score).

        Raises:
          ValueError: no pair was added.
        """
        count = len(self._values["ssim"])
        if count == 0:
            raise ValueError("No image pair to score, expected at least one.")
        metrics = {
            name: _summarise(values)
            for name, values in self._values.items()
            if any(value is not None for value in values)
        }
        return {"protocol": self.protocol.name, "count": count, "metrics": metrics}


def score_pairs(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    protocol: str | Protocol,
    masks: Sequence[np.ndarray] | None = None,
) -> dict:
    """Scores of a list of pairs, as `Scores.summary` describes.

    Args:
      pairs: (generated, target) images, each [H, W, 3], levels of [0, 255].
      protocol: a `Protocol` or the name of one in `PROTOCOLS`.
      masks: one mask for each pair, [H, W] or [H, W, 1] in {0, 1}.

    Raises:
      ValueError: no pairs, another number of masks than of pairs, or as for `Scores.add`.
    """
    if masks is None:
        masks = [None] * len(pairs)
    if len(masks) != len(pairs):
        raise ValueError(f"{len(masks)} masks for {len(pairs)} image pairs, expected one each.")
    scores = Scores(protocol)
    for (generated, target), mask in zip(pairs, masks, strict=True):
        scores.add(generated, target, mask)
    return scores.summary()


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(mean KL(p(y|x) || p(y))), each in [1, C].

    The splits are consecutive images, p(y) the split's own mean. Few images for each class give a
    low score, so only scores of equally many images and splits can be compared.

    Args:
      probabilities: [N, C], a classifier's softmax for each image.
      splits: parts to average over; published scores use 10.

    Raises:
      ValueError: not [N, C] probabilities, or splits not in [1, N].

    Source: Salimans et al. 2016, section 4.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2:
        raise ValueError(f"Probabilities of shape {probabilities.shape}, expected [N, C].")
    sums = probabilities.sum(axis=1)
    if not (np.all(probabilities >= 0.0) and np.allclose(sums, 1.0, atol=1e-3)):
        raise ValueError("Probabilities must be at least 0 and sum to 1 for each image.")
    if not 1 <= splits <= len(probabilities):
        raise ValueError(f"{splits} splits of {len(probabilities)} images, expected 1 to N.")
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
      ValueError: not two finite [N, D] arrays of one D with at least two rows.

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
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the squared kernel distance (KID).

    Unbiased estimate of the squared maximum mean discrepancy under (x.y / D + 1)^3: about 0, and
    sometimes below, for two samples of one distribution, however few.

    Args:
      features_a, features_b: [N, D] and [M, D].
      subsets: number of random subsets, drawn without replacement from each set.
      subset_size: features in a subset; at most N and M are taken.
      seed: of the subsets.

    Raises:
      ValueError: not two finite [N, D] arrays of one D with at least two rows, subsets < 1 or
        subset_size < 2.

    Source: Binkowski et al. 2018, section 4.
    """
    features_a, features_b = _check_features(features_a, features_b)
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"{subsets} subsets of {subset_size}, expected at least 1 of at least 2.")
    size = min(subset_size, len(features_a), len(features_b))
    random = np.random.default_rng(seed)
    distances = [
        _squared_kernel_distance(
            features_a[random.choice(len(features_a), size, replace=False)],
            features_b[random.choice(len(features_b), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(distances)), float(np.std(distances))


def keypoint_error(predicted: np.ndarray, target: np.ndarray) -> dict:
    """Distance of predicted keypoints from the true ones, and agreement on visibility.

    Args:
      predicted, target: [N, 18, 3], (row, column, visibility in {0, 1}), pixels.

    Returns:
      `pixel_error`: mean Euclidean distance in pixels over the keypoints visible in both, None
      where there is none; `compared_keypoints`: how many these are; `visibility_accuracy`:
      fraction of all 18 N keypoints with the same visibility.

    Raises:
      ValueError: not two [N, 18, 3] arrays of one N >= 1, or visibilities other than 0 and 1.
    """
    predicted, target = _check_poses(predicted), _check_poses(target)
    if len(predicted) != len(target):
        raise ValueError(f"{len(predicted)} predicted poses for {len(target)} target poses.")
    compared = (predicted[..., 2] == 1) & (target[..., 2] == 1)
    distances = np.linalg.norm(predicted[..., :2] - target[..., :2], axis=-1)[compared]
    return {
        "pixel_error": float(distances.mean()) if distances.size else None,
        "compared_keypoints": int(distances.size),
        "visibility_accuracy": float(np.mean(predicted[..., 2] == target[..., 2])),
    }


def pose_frechet_distance(
    poses_a: np.ndarray, poses_b: np.ndarray, height: int, width: int
) -> float:
    """`frechet_distance` of two sets of poses in the 54 normalised values the networks see.

    Rows and columns scaled to [-1, 1] by the image's size, visibility as it is. A missing keypoint
    counts as the top left corner with visibility 0, so visibility has a share in all three values.

    Args:
      poses_a, poses_b: [N, 18, 3] and [M, 18, 3], (row, column, visibility in {0, 1}), pixels.
      height, width: of the images, pixels.

    Raises:
      ValueError: not [N, 18, 3] poses, fewer than two in a set, or a size below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"Image size {height}x{width}, expected at least 1x1.")
    features_a, features_b = (
        normalize(_check_poses(poses), height, width).numpy().reshape(len(poses), -1)
        for poses in (poses_a, poses_b)
    )
    return frechet_distance(features_a, features_b)


def _check_pair(generated: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    generated, target = _check_image(generated, "generated"), _check_image(target, "target")
    if generated.shape != target.shape:
        raise ValueError(
            f"Generated image of shape {generated.shape}, target image of shape {target.shape}, "
            "expected one shape."
        )
    return generated, target


def _check_image(image: np.ndarray, role: str) -> np.ndarray:
    image = np.asarray(image, np.float64)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"The {role} image has shape {image.shape}, expected [H, W, 3].")
    # Written so that NaN fails too. An image left in [-1, 1] units shows by its negative values.
    if not (image.min() >= 0.0 and image.max() <= MAX_LEVEL):
        raise ValueError(
            f"The {role} image has values in [{image.min():g}, {image.max():g}], "
            "expected levels of [0, 255]."
        )
    return image


def _structural_similarity(generated: np.ndarray, target: np.ndarray, protocol: Protocol) -> float:
    """SSIM of two float images, [H, W] or [H, W, 3]."""
    size = protocol.window_size
    if min(generated.shape[:2]) < size:
        raise ValueError(
            f"Images of {generated.shape[0]}x{generated.shape[1]} pixels, protocol "
            f"{protocol.name!r} needs at least {size}x{size}."
        )
    data_range = _data_range(generated, target, protocol)
    if data_range < _FLAT_IMAGE_RANGE:
        return float(np.allclose(generated, target, rtol=0.0, atol=_FLAT_IMAGE_RANGE))
    similarity = structural_similarity(
        generated,
        target,
        win_size=size,
        data_range=data_range,
        channel_axis=None if generated.ndim == 2 else 2,
        gaussian_weights=protocol.window == "gaussian",
        sigma=1.5,
        use_sample_covariance=protocol.sample_covariance,
        K1=0.01,
        K2=0.03,
    )
    return float(similarity)


def _data_range(generated: np.ndarray, target: np.ndarray, protocol: Protocol) -> float:
    if protocol.data_range == "full":
        return MAX_LEVEL
    return float(np.ptp(target if protocol.data_range == "target" else generated))


def _summarise(values: list[float | None]) -> dict:
    scored = [value for value in values if value is not None]
    error = float(np.std(scored, ddof=1) / np.sqrt(len(scored))) if len(scored) > 1 else None
    return {
        "mean": float(np.mean(scored)),
        "standard_error": error,
        "count": len(scored),
        "per_image": values,
    }


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
            raise ValueError(f"Features of shape {features.shape}, expected [N >= 2, D].")
        if not np.all(np.isfinite(features)):
            raise ValueError("Features contain NaN or infinite values.")
    if features_a.shape[1] != features_b.shape[1]:
        raise ValueError(
            f"Features of {features_a.shape[1]} and {features_b.shape[1]} dimensions, "
            "expected the same."
        )
    return features_a, features_b


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """R [min(N, D), D] with R^T R = the sample covariance of features [N, D]."""
    centred = features - features.mean(axis=0)
    return np.linalg.qr(centred, mode="r") / np.sqrt(len(features) - 1)


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


def _check_poses(poses: np.ndarray) -> np.ndarray:
    poses = np.asarray(poses, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (18, 3) or len(poses) == 0:
        raise ValueError(f"Poses of shape {poses.shape}, expected [N >= 1, 18, 3].")
    if not np.all(np.isin(poses[..., 2], (0.0, 1.0))):
        raise ValueError("Poses with a visibility other than 0 and 1.")
    return poses
