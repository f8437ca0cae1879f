import json

import pytest

from dpig_tf2.evaluation.pair_scores import PairScores, score_pairs
from dpig_tf2.evaluation.ssim import masked_ssim, ssim


def test_score_pairs_summarizes_each_metric(pair, mask):
    generated, target = pair
    summary = score_pairs([(generated, target), (target, target)], "dpig", [mask, 0 * mask])
    first = ssim(generated, target, "dpig")
    scores = summary["metrics"]["ssim"]
    assert summary["protocol"] == "dpig" and summary["count"] == 2
    assert scores["per_image"] == pytest.approx([first, 1.0])
    assert scores["mean"] == pytest.approx((first + 1.0) / 2)
    # Of two values the standard error is half their distance.
    assert scores["standard_error"] == pytest.approx((1.0 - first) / 2)
    masked = masked_ssim(generated, target, mask, "dpig")
    assert summary["metrics"]["mask_ssim"] == {
        "mean": masked,
        "standard_error": None,
        "count": 1,
        "per_image": [masked, None],
    }
    json.dumps(summary, allow_nan=False)


def test_score_pairs_without_masks_has_no_masked_ssim(pair):
    assert set(score_pairs([pair], "tf")["metrics"]) == {"ssim", "psnr", "l1", "l2"}


def test_further_scores_of_a_pair_are_summarized_like_the_others(pair):
    scores = PairScores("dpig", {"largest": lambda a, b: float(max(a.max(), b.max()))})
    scores.add(*pair)
    scores.add(0 * pair[0], 0 * pair[1])
    assert scores.summary()["metrics"]["largest"]["per_image"][1] == 0.0


def test_score_pairs_refuses_bad_lists(pair, mask):
    with pytest.raises(ValueError, match="no image pair"):
        score_pairs([], "dpig")
    with pytest.raises(ValueError, match="2 masks for 1 image pairs"):
        score_pairs([pair], "dpig", [mask, mask])


def test_a_refused_pair_leaves_the_scores_unchanged(pair, mask):
    scores = PairScores("dpig")
    scores.add(*pair)
    before = scores.summary()
    with pytest.raises(ValueError, match="mask of shape"):
        scores.add(*pair, mask[:-1])
    assert scores.summary() == before
