"""Scores of the pose stages on poses alone: held-out reconstruction, samples against real ones."""

import numpy as np

from dpig_tf2.evaluation.pose_scores import keypoint_error, pose_frechet_distance
from dpig_tf2.ops.keypoints import LIMBS
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.visual.sheets import labeled_sheet
from dpig_tf2.visual.skeletons import pose_picture

SAMPLES = 5000
_RANGE_PERCENTILES = (0.1, 99.9)  # real limb lengths outside are taken for detector errors
_SHEET_COLUMNS, _SHEET_SAMPLED_ROWS = 14, 3


def score_poses(
    sampler: PersonSampler, training: np.ndarray, held_out: np.ndarray, seed: int = 0
) -> tuple[dict, np.ndarray]:
    """Scores of pose autoencoder and pose mapping network, and a sheet of poses to look at.

    A pose is called impossible if one of its limbs is shorter or longer than in the middle
    99.8 % of the training poses. Limbs are those of the body mask; one with a missing end is
    left out, so samples could look possible by hiding keypoints: the mean number of visible ones is
    reported beside.

    Args:
        sampler: with pose encoder and decoder; without a mapping only reconstruction is scored.
        training: poses trained on, float32 [N, 18, 3], pixels; they give the real limb lengths.
        held_out: poses never trained on, float32 [M, 18, 3], pixels.
        seed: of sampled poses and of the halves.

    Returns:
        {"held_out": M,
         "reconstruction": {pixel_error, compared_keypoints, visibility_accuracy, impossible},
         "sampling": {samples, frechet, frechet_real_halves, ratio, impossible, impossible_real,
                      visible_keypoints, visible_keypoints_real}}
        and the sheet, uint8 [H, W, 3]. `frechet` is between sampled and held-out poses in
        normalized pose space, `frechet_real_halves` between two random halves of the held-out ones;
        `ratio` of the two is None where these halves are equal.
    """
    limits = _limb_limits(training)
    decoded = _without_missing(sampler.decode_pose(sampler.encode_pose(held_out)))
    reconstruction = keypoint_error(decoded, held_out)
    reconstruction["impossible"] = _impossible_share(decoded, limits)
    scores = {"held_out": len(held_out), "reconstruction": reconstruction}
    rows = {"real": held_out, "reconstructed": decoded}
    if "pose_mapping" in sampler.model.networks:
        noise = sampler.draw_noise(SAMPLES, "pose", seed)
        sampled = _without_missing(sampler.decode_pose(sampler.map_noise(noise, "pose")))
        distances = _distances(sampler.config.model, sampled, held_out, seed)
        scores["sampling"] = {"samples": len(sampled)} | distances
        for suffix, poses in (("", sampled), ("_real", held_out)):
            scores["sampling"]["impossible" + suffix] = _impossible_share(poses, limits)
            visible = float(poses[..., 2].sum(axis=1).mean())
            scores["sampling"]["visible_keypoints" + suffix] = visible
        for row in range(_SHEET_SAMPLED_ROWS):
            rows[f"sampled {row + 1}"] = sampled[row * _SHEET_COLUMNS :]
    return scores, _sheet(rows, sampler.config.model)


def _without_missing(keypoints):
    """The same with (0, 0, 0) for invisible keypoints, whose coordinates mean nothing."""
    return keypoints * keypoints[..., 2:]


def _distances(model, sampled, held_out, seed):
    order = np.random.default_rng(seed).permutation(len(held_out))
    halves = held_out[order[: len(order) // 2]], held_out[order[len(order) // 2 :]]
    distance = pose_frechet_distance(sampled, held_out, model.height, model.width)
    real = pose_frechet_distance(*halves, model.height, model.width)
    ratio = distance / real if real else None
    return {"frechet": distance, "frechet_real_halves": real, "ratio": ratio}


def _sheet(rows, model):
    pictures = [
        [pose_picture(pose, model.height, model.width) for pose in poses[:_SHEET_COLUMNS]]
        for poses in rows.values()
    ]
    return labeled_sheet(pictures, row_labels=list(rows), scale=max(1, 128 // model.height))


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
