"""Scores of image pairs, added one by one."""

from collections.abc import Callable, Mapping

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.pixel_errors import l1, l2, psnr
from dpig_tf2.evaluation.ssim import SsimProtocol, masked_ssim, resolve_protocol, ssim


class PairScores:
    """Scores of image pairs under one protocol, added one by one, summarized at the end.

    Keeps numbers only, never images.

    Args:
        protocol: a `SsimProtocol` or the name of one in `PROTOCOLS`.
        further: {name: function of (generated, target)}, scores of a pair beyond the built-in ones.
    """

    def __init__(
        self,
        protocol: str | SsimProtocol,
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
            DpigError: as for `ssim` and `masked_ssim`.
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
            `standard_error` (of the mean; None for a single value), `count` and `per_image` (in
            order of addition, None for a pair without this score).

        Raises:
            DpigError: no pair was added.
        """
        count = len(self._values["ssim"])
        if count == 0:
            raise DpigError("no image pair to score, expected at least one")
        metrics = {
            name: _summarize(values)
            for name, values in self._values.items()
            if any(value is not None for value in values)
        }
        return {"protocol": self.protocol.name, "count": count, "metrics": metrics}


def _summarize(values: list[float | None]) -> dict:
    scored = [value for value in values if value is not None]
    error = float(np.std(scored, ddof=1) / np.sqrt(len(scored))) if len(scored) > 1 else None
    return {
        "mean": float(np.mean(scored)),
        "standard_error": error,
        "count": len(scored),
        "per_image": values,
    }
