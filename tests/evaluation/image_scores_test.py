"""Scores of sets of pictures, with a small network in the place of Inception."""

import json

import numpy as np
import pytest

from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.evaluation.set_scores import frechet_distance, inception_score, kernel_distance
from dpig_tf2.evaluation.ssim import apply_mask


class Channels:
    """Features are mean levels; probabilities tell which channel is the strongest."""

    description = {"network": "channel means"}

    def prepare(self, image):
        return np.asarray(image, np.float64).mean(axis=(0, 1))

    def __call__(self, batch):
        assert len(batch) <= 16
        return batch, (batch + 1) / (batch + 1).sum(axis=1, keepdims=True)


def pictures(seed, count=20):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 12, 3), dtype=np.uint8)


@pytest.fixture
def scored():
    """A summary with everything, and the pictures it is of; the last two have no mask."""
    generated, target = pictures(0) // 2, pictures(1)
    mask = np.zeros((16, 12), np.uint8)
    mask[4:9] = 1
    scores = ImageScores("dpig", Channels(), Distance())
    masks = [mask] * 18 + [np.zeros_like(mask), None]
    for pair in zip(generated, target, masks, strict=True):
        scores.add(*pair)
    return scores.summary(), generated, target, mask


class Distance:
    description = {"network": "largest difference"}

    def __call__(self, generated, target):
        return float(np.abs(generated.astype(int) - target).max())


def test_set_scores_are_those_of_the_features(scored):
    summary, generated, target, mask = scored
    found = summary["metrics"]
    network = Channels()
    features, others = (np.stack([network.prepare(i) for i in s]) for s in (generated, target))
    assert found["fid"] == {
        "value": pytest.approx(frechet_distance(features, others)),
        "count": 20,
    }
    distance, _ = kernel_distance(features, others)
    assert found["kid"]["value"] == pytest.approx(distance)
    assert found["kid"]["standard_deviation"] is None, "one subset is all there is"
    probabilities = (features + 1) / (features + 1).sum(axis=1, keepdims=True)
    expected, deviation = inception_score(probabilities, 10)
    assert found["inception_score"]["value"] == pytest.approx(expected)
    assert found["inception_score"]["standard_deviation"] == pytest.approx(deviation)
    masked = np.stack([network.prepare(apply_mask(i, mask)) for i in generated[:18]])
    expected, _ = inception_score((masked + 1) / (masked + 1).sum(1, keepdims=True), 9)
    assert found["mask_inception_score"]["value"] == pytest.approx(expected)
    assert found["mask_inception_score"]["count"] == 18


def test_networks_and_the_pair_distance_are_in_the_summary(scored):
    summary, generated, target, _ = scored
    assert summary["networks"] == {
        "inception": Channels.description,
        "lpips": Distance.description,
    }
    assert summary["metrics"]["lpips"]["per_image"][3] == Distance()(generated[3], target[3])
    json.dumps(summary, allow_nan=False)


def test_keypoints_of_generated_pictures_are_compared_to_the_targets():
    target = np.random.default_rng(0).uniform(0, 12, (2, 18, 3)).astype(np.float32)
    target[..., 2] = 1
    missed = target * [[[1.0]], [[0.0]]]
    scores = ImageScores("tf")
    scores.add(pictures(0)[0], pictures(1)[0])
    scores.set_keypoints(missed, target)
    found = scores.summary()["metrics"]["pose_error"]
    assert (found["pixel_error"], found["missed"], found["found"]) == (0, 1, 0.5)


def test_what_is_not_computed_is_none_with_a_reason():
    scores = ImageScores("tf")
    scores.add(pictures(0)[0], pictures(1)[0])
    summary = scores.summary()
    found = summary["metrics"]
    for name, value in (
        *[(n, "value") for n in ("inception_score", "mask_inception_score", "fid", "kid")],
        ("lpips", "mean"),
        ("pose_error", "pixel_error"),
    ):
        assert found[name][value] is None, name
        reason = found[name]["reason"]
        assert reason.startswith("not computed: ") and "(--" in reason, name
    assert summary["networks"] == {"inception": None, "lpips": None}


def test_one_pair_without_a_mask_has_neither_distance_nor_masked_score():
    scores = ImageScores("tf", Channels())
    scores.add(pictures(0)[0], pictures(1)[0])
    found = scores.summary()["metrics"]
    assert found["inception_score"] == {
        "value": None,
        "reason": "not computed: needs at least two pictures",
    }
    assert (
        found["fid"]
        == found["kid"]
        == {
            "value": None,
            "reason": "not computed: needs at least two pairs",
        }
    )
    for name in ("mask_ssim", "mask_inception_score"):
        reason = found[name]["reason"]
        assert reason == "not computed: no pair has a mask (of folders: --masks)"
    assert found["mask_ssim"]["mean"] is None
    scores.add(pictures(0)[1], pictures(1)[1])
    assert None not in [scores.summary()["metrics"][name]["value"] for name in ("fid", "kid")]


def test_few_pictures_are_split_so_that_each_part_has_two():
    for count, splits in ((3, 1), (7, 3)):
        scores = ImageScores("tf", Channels())
        for generated, target in zip(pictures(0, count), pictures(1, count), strict=True):
            scores.add(generated // [1, 2, 3], target)
        found = scores.summary()["metrics"]["inception_score"]
        assert found["splits"] == splits and found["value"] > 1.0
        assert (found["standard_deviation"] is None) == (splits == 1)
