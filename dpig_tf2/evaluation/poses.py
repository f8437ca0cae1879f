"""Scores of the pose stages on poses alone: held-out reconstruction, samples against real ones."""

import numpy as np

from dpig_tf2.evaluation import metrics
from dpig_tf2.ops.keypoints import LIMBS
from dpig_tf2.sampling.sampler import PersonSampler

SAMPLES = 5000
_RANGE_PERCENTILES = (0.1, 99.9)  # real limb lengths outside are taken for detector errors


def score_poses(
    sampler: PersonSampler, training: np.ndarray, held_out: np.ndarray, seed: int = 0
) -> dict:
    """Scores of pose autoencoder and pose mapping network.

    Args:
        sampler: with pose encoder and decoder; without a mapping only reconstruction is scored.
        training: poses trained on, float32 [N, 18, 3], pixels; they give the real limb lengths.
        held_out: poses never trained on, float32 [M, 18, 3], pixels.
        seed: of sampled poses and of the halves.

    Returns:
        {"reconstruction": {pixel_error, compared_keypoints, visibility_accuracy},
         "sampling": {frechet, frechet_real_halves, ratio, impossible, impossible_real}}.
        `frechet` is between sampled and held-out poses in normalized pose space,
        `frechet_real_halves` between two random halves of the real ones; `impossible` is the share
        of sampled poses with a limb shorter or longer than 99.8 % of the real ones.
    """
    height, width = sampler.config.model.height, sampler.config.model.width
    decoded = sampler.decode_pose(sampler.encode_pose(held_out))
    scores = {
        "held_out": len(held_out),
        "reconstruction": metrics.keypoint_error(decoded, held_out),
    }
    if "pose_mapping" not in sampler.model.networks:
        return scores
    sampled = sampler.decode_pose(
        sampler.map_noise(sampler.draw_noise(SAMPLES, "pose", seed), "pose")
    )
    # An invisible keypoint's coordinates mean nothing: the records hold zeros there.
    sampled = sampled * sampled[..., 2:]
    order = np.random.default_rng(seed).permutation(len(held_out))
    half = len(held_out) // 2
    distance = metrics.pose_frechet_distance(sampled, held_out, height, width)
    real = metrics.pose_frechet_distance(
        held_out[order[:half]], held_out[order[half:]], height, width
    )
    limits = _limb_limits(training)
    scores["sampling"] = {
        "samples": SAMPLES,
        "frechet": distance,
        "frechet_real_halves": real,
        "ratio": distance / real,
        "impossible": _impossible_share(sampled, limits),
        "impossible_real": _impossible_share(held_out, limits),
    }
    return scores


def _limb_lengths(keypoints):
    """Lengths [N, L] in pixels, NaN where an end is invisible."""
    ends = keypoints[:, np.array(LIMBS)]  # [N, L, 2, 3]
    length = np.linalg.norm(ends[:, :, 0, :2] - ends[:, :, 1, :2], axis=-1)
    return np.where((ends[..., 2] > 0.5).all(axis=-1), length, np.nan)


def _limb_limits(keypoints):
    return np.nanpercentile(_limb_lengths(keypoints), _RANGE_PERCENTILES, axis=0)


def _impossible_share(keypoints, limits):
    lengths = _limb_lengths(keypoints)
    outside = (lengths < limits[0]) | (lengths > limits[1])  # NaN compares false
    return float(outside.any(axis=1).mean())
