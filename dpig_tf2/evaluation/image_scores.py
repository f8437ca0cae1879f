"""All scores of generated pictures against targets: of each pair, and of the two sets.

Scores that need the weights of other networks are computed where these are given; otherwise they
are None with a reason, never 0 and never left out.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from dpig_tf2.evaluation.pair_scores import PairScores
from dpig_tf2.evaluation.pose_scores import found_keypoint_error
from dpig_tf2.evaluation.set_scores import frechet_distance, inception_score, kernel_distance
from dpig_tf2.evaluation.ssim import SsimProtocol, apply_mask

_NO_INCEPTION = "not computed: no Inception weights (--inception_weights or --download_weights)"
_NO_LPIPS = "not computed: no LPIPS weights (--lpips_weights)"
_NO_MASKS = "not computed: no pair has a mask (of folders: --masks)"
_TOO_FEW = "not computed: needs at least two pairs"
_TOO_FEW_TO_SPLIT = "not computed: needs at least two pictures"
_NO_KEYPOINTS = (
    "not computed: no keypoints of generated pictures (--detect_poses, or --generated_keypoints)"
)

_SPLITS = 10  # of the inception score, as in published tables


class FeatureNetwork(Protocol):
    """What `inception.Inception` offers: pictures to features [N, D] and probabilities [N, C]."""

    description: Mapping[str, object]

    def prepare(self, image: np.ndarray) -> np.ndarray: ...

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class PairDistance(Protocol):
    """What `lpips.Lpips` offers: the distance of two pictures."""

    description: Mapping[str, object]

    def __call__(self, generated: np.ndarray, target: np.ndarray) -> float: ...


class ImageScores:
    """Scores of pairs that are added one by one.

    Pictures are not kept, only numbers and, with Inception, features.

    Args:
        protocol: SSIM protocol, see `ssim.PROTOCOLS`.
        inception: for inception score (IS), masked IS, FID and KID.
        lpips: for LPIPS.
    """

    def __init__(
        self,
        protocol: str | SsimProtocol,
        inception: FeatureNetwork | None = None,
        lpips: PairDistance | None = None,
    ):
        self._pairs = PairScores(protocol, {"lpips": lpips} if lpips else None)
        self._networks = {"inception": inception, "lpips": lpips}
        self._sets = (
            {name: _Features(inception) for name in ("generated", "target", "masked")}
            if inception
            else None
        )
        self._keypoint_error: dict | None = None

    def add(
        self, generated: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Takes one pair; arguments and errors as of `PairScores.add`."""
        self._pairs.add(generated, target, mask)
        if self._sets is None:
            return
        self._sets["generated"].add(generated)
        self._sets["target"].add(target)
        if mask is not None and np.any(mask):
            self._sets["masked"].add(apply_mask(generated, mask))

    def set_keypoints(self, generated: np.ndarray, target: np.ndarray) -> None:
        """Takes the keypoints found in generated pictures; see `found_keypoint_error`."""
        self._keypoint_error = found_keypoint_error(generated, target)

    def summary(self) -> dict:
        """Plain dict, ready for JSON.

        Returns:
            What `PairScores.summary` returns. Besides, `metrics` has `lpips`, and `mask_ssim` too
            if no pair had a mask; `inception_score`, `mask_inception_score` (generated pictures,
            the latter black outside the mask), `fid` and `kid` (generated against target), each
            with `value` and `count`, all but `fid` with `standard_deviation` (over splits or
            subsets; None for a single one); and `pose_error` as of `found_keypoint_error`. What is
            not computed has None for its value (`mean` for the two in `metrics`, `pixel_error` for
            `pose_error`) and a `reason`. `networks` describes the weights used, None for none.

        Raises:
            DpigError: if no pair was added.
        """
        summary = self._pairs.summary()
        reasons = {"mask_ssim": _NO_MASKS, "lpips": _NO_LPIPS}
        missing = {
            name: {"mean": None, "reason": reason}
            for name, reason in reasons.items()
            if name not in summary["metrics"]
        }
        pose_error = self._keypoint_error or {"pixel_error": None, "reason": _NO_KEYPOINTS}
        summary["metrics"] |= missing | self._set_scores() | {"pose_error": pose_error}
        summary["networks"] = {
            name: dict(network.description) if network else None
            for name, network in self._networks.items()
        }
        return summary

    def _set_scores(self):
        if self._sets is None:
            names = ("inception_score", "mask_inception_score", "fid", "kid")
            return dict.fromkeys(names, _missing(_NO_INCEPTION))
        generated, target, masked = (features.arrays() for features in self._sets.values())
        return {
            "inception_score": _inception_score(generated),
            "mask_inception_score": _inception_score(masked),
            **_distances(generated, target),
        }


class _Features:
    """Features and probabilities of pictures added one by one, computed in batches."""

    _BATCH = 16

    def __init__(self, network: FeatureNetwork):
        self._network = network
        self._waiting: list[np.ndarray] = []
        self._done: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, image: np.ndarray) -> None:
        self._waiting.append(self._network.prepare(image))
        if len(self._waiting) == self._BATCH:
            self._flush()

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Features [N, D] and probabilities [N, C], or None without a picture."""
        if self._waiting:
            self._flush()
        if not self._done:
            return None
        features, probabilities = zip(*self._done, strict=True)
        return np.concatenate(features), np.concatenate(probabilities)

    def _flush(self):
        self._done.append(self._network(np.stack(self._waiting)))
        self._waiting = []


def _missing(reason):
    return {"value": None, "reason": reason}


def _inception_score(found):
    if found is None:
        return _missing(_NO_MASKS)
    _, probabilities = found
    count = len(probabilities)
    if count < 2:
        return _missing(_TOO_FEW_TO_SPLIT)
    splits = min(_SPLITS, count // 2)  # of one picture alone the score is 1, whatever it shows
    score, deviation = inception_score(probabilities, splits)
    deviation = deviation if splits > 1 else None
    return {"value": score, "standard_deviation": deviation, "splits": splits, "count": count}


def _distances(generated, target):
    features = generated[0], target[0]
    count = len(features[0])
    if count < 2:
        return {"fid": _missing(_TOO_FEW), "kid": _missing(_TOO_FEW)}
    kid, deviation = kernel_distance(*features)
    return {
        "fid": {"value": frechet_distance(*features), "count": count},
        "kid": {"value": kid, "standard_deviation": deviation, "count": count},
    }
