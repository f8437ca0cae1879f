import json

import pytest

from dpig_tf2.evaluation.pair_scores import PairScores
from dpig_tf2.evaluation.ssim import masked_ssim, ssim


def test_each_metric_is_summarized(pair, mask):
    generated, target = pair
    scores = PairScores("dpig")
    scores.add(generated, target, mask)
    scores.add(target, target, 0 * mask)
    summary = scores.summary()
    first = ssim(generated, target, "dpig")
    found = summary["metrics"]["ssim"]
    assert summary["protocol"] == "dpig" and summary["count"] == 2
    assert found["per_image"] == pytest.approx([first, 1.0])
    assert found["mean"] == pytest.approx((first + 1.0) / 2)
    # Of two values the standard error is half their distance.
    assert found["standard_error"] == pytest.approx((1.0 - first) / 2)
    masked = masked_ssim(generated, target, mask, "dpig")
    assert summary["metrics"]["mask_ssim"] == {
        "mean": masked,
        "standard_error": None,
        "count": 1,
        "per_image": [masked, None],
    }
    json.dumps(summary, allow_nan=False)


def test_without_masks_there_is_no_masked_ssim(pair):
    scores = PairScores("tf")
    scores.add(*pair)
    assert set(scores.summary()["metrics"]) == {"ssim", "psnr", "l1", "l2"}


def test_further_scores_of_a_pair_are_summarized_like_the_others(pair):
    scores = PairScores("dpig", {"largest": lambda a, b: float(max(a.max(), b.max()))})
    scores.add(*pair)
    scores.add(0 * pair[0], 0 * pair[1])
    assert scores.summary()["metrics"]["largest"]["per_image"][1] == 0.0


def test_no_pair_has_no_summary():
    with pytest.raises(ValueError, match="no image pair"):
        PairScores("dpig").summary()


def test_a_refused_pair_leaves_the_scores_unchanged(pair, mask):
    scores = PairScores("dpig")
    scores.add(*pair)
    before = scores.summary()
    with pytest.raises(ValueError, match="mask of shape"):
        scores.add(*pair, mask[:-1])
    assert scores.summary() == before
