"""Scores of poses against poses, one by one and as sets."""

import numpy as np

from dpig_tf2.detection.accuracy import Tally
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.set_scores import frechet_distance
from dpig_tf2.ops.keypoints import normalize


def keypoint_error(predicted: np.ndarray, target: np.ndarray) -> dict:
    """Distance of predicted keypoints from the true ones, and agreement on visibility.

    Args:
        predicted, target: [N, 18, 3], (row, column, visibility in {0, 1}), pixels.

    Returns:
        `pixel_error`: mean Euclidean distance in pixels over the keypoints visible in both, None
        where there is none; `compared_keypoints`: how many these are; `visibility_accuracy`:
        fraction of all 18 N keypoints with the same visibility.

    Raises:
        DpigError: not two [N, 18, 3] arrays of one N >= 1, or visibilities other than 0 and 1.
    """
    predicted, target = _check_poses(predicted), _check_poses(target)
    if len(predicted) != len(target):
        raise DpigError(f"{len(predicted)} predicted poses for {len(target)} target poses")
    compared = (predicted[..., 2] == 1) & (target[..., 2] == 1)
    distances = np.linalg.norm(predicted[..., :2] - target[..., :2], axis=-1)[compared]
    return {
        "pixel_error": float(distances.mean()) if distances.size else None,
        "compared_keypoints": int(distances.size),
        "visibility_accuracy": float(np.mean(predicted[..., 2] == target[..., 2])),
    }


def found_keypoint_error(found: np.ndarray, target: np.ndarray) -> dict:
    """As `keypoint_error`, for what a detector has found: a missed person counts as wrong.

    Args:
        found: [N, 18, 3], pixels; without a visible keypoint where no person was found.
        target: [N, 18, 3], pixels, at least one keypoint of each visible.

    Returns:
        As `keypoint_error`, but visibility agrees nowhere on a missed person. Besides `pictures`:
        N; `missed`: where no person was found; `found`: fraction of the targets' keypoints that
        were found within 10 % of the person's extent, of a missed person none.
    """
    found, target = _check_poses(found), _check_poses(target)
    tally = Tally()
    for pose, reference in zip(found, target, strict=True):
        tally.add(pose, reference)
    return {
        "pictures": tally.photos,
        "missed": tally.missed,
        "found": tally.found / tally.keypoints,
        "pixel_error": float(np.mean(tally.errors)) if tally.errors else None,
        "compared_keypoints": len(tally.errors),
        "visibility_accuracy": tally.agreeing / (18 * tally.photos),
    }


def pose_frechet_distance(
    poses_a: np.ndarray, poses_b: np.ndarray, height: int, width: int
) -> float:
    """`frechet_distance` of two sets of poses in the 54 normalized values the networks see.

    Rows and columns scaled to [-1, 1] by the image's size, visibility as it is. A missing keypoint
    counts as the top left corner with visibility 0, so visibility has a share in all three values.

    Args:
        poses_a, poses_b: [N, 18, 3] and [M, 18, 3], (row, column, visibility in {0, 1}), pixels.
        height, width: of the images, pixels.

    Raises:
        DpigError: not [N, 18, 3] poses, fewer than two in a set, or a size below 1.
    """
    if height < 1 or width < 1:
        raise DpigError(f"image size {height}x{width}, expected at least 1x1")
    features_a, features_b = (
        normalize(_check_poses(poses), height, width).numpy().reshape(len(poses), -1)
        for poses in (poses_a, poses_b)
    )
    return frechet_distance(features_a, features_b)


def _check_poses(poses: np.ndarray) -> np.ndarray:
    poses = np.asarray(poses, np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (18, 3) or len(poses) == 0:
        raise DpigError(f"poses of shape {poses.shape}, expected [N >= 1, 18, 3]")
    if not np.all(np.isin(poses[..., 2], (0.0, 1.0))):
        raise DpigError("poses with a visibility other than 0 and 1")
    return poses
