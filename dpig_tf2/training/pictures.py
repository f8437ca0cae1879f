"""Picture grids of a fixed batch, one kind per stage."""

import numpy as np

from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.sampling.person_codes import PersonCodes
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.visual.sheets import labeled_sheet
from dpig_tf2.visual.skeletons import pose_picture

PERSONS = 8
_SEED = 2018  # of the sampled codes, so that grids are comparable over time


def stage_picture(stage: str, sampler: PersonSampler, persons: dict) -> np.ndarray | None:
    """Labeled sheet uint8 [H, W, 3] of what a stage has learned, or None if it cannot be drawn.

    Args:
        stage: name of the stage.
        sampler: holds the stage's live networks and its predecessors'.
        persons: a fixed batch: {"keypoints"} and, if there are photos, {"image", "body_mask",
            "part_boxes", "part_visibility"} and "target_keypoints".
    """
    model = sampler.config.model
    keypoints = persons["keypoints"]
    height, width = model.height, model.width

    def skeletons(poses):
        return [pose_picture(pose, height, width) for pose in poses]

    networks = sampler.model.networks
    scale = max(1, 128 // height)
    if stage == "pose":
        decoded = sampler.decode_pose(sampler.encode_pose(keypoints))
        rows = {"pose": skeletons(keypoints), "reconstructed": skeletons(decoded)}
    elif stage == "pose_mapping":
        sampled = sampler.decode_pose(sampler.seed_codes(PERSONS, _SEED, ["pose"]).pose)
        rows = {"real pose": skeletons(keypoints), "sampled pose": skeletons(sampled)}
    elif "image" not in persons or "generator" not in networks:
        return None
    elif stage == "reconstruction":
        codes, target_pose = encode(sampler, persons), persons["target_keypoints"]
        rows = {
            "source": persons["image"],
            "pose": skeletons(keypoints),
            "body mask": persons["body_mask"] * 255,
            "output": sampler.draw(codes).images,
            "target pose": skeletons(target_pose),
            "transferred": sampler.draw(codes.replace(keypoints=target_pose)).images,
            "target": persons["target_image"],
        }
    else:
        held = encode(sampler, persons)
        sampled = sampler.seed_codes(len(keypoints), _SEED, model.appearance_factors)
        rows = {"source": persons["image"]}
        for factor, code in sampled.as_arrays().items():
            rows[f"sampled {factor}"] = sampler.draw(held.replace(**{factor: code})).images
    return labeled_sheet(list(rows.values()), row_labels=list(rows), scale=scale)


def fixed_batch_error(stage: str, sampler: PersonSampler, persons: dict) -> float | None:
    """How far a stage I network is from its fixed batch; None in stage II, which has no error.

    Stage reconstruction: mean absolute difference of the reconstructed photos, units of [0, 1].
    Stage pose: mean distance of the reconstructed visible keypoints, pixels.
    """
    keypoints = persons["keypoints"]
    if stage == "reconstruction":
        images = sampler.draw(encode(sampler, persons)).images
        return float(np.abs(images.astype(float) - persons["image"]).mean() / 255)
    if stage == "pose":
        decoded = sampler.decode_pose(sampler.encode_pose(keypoints))
        distances = np.linalg.norm((decoded - keypoints)[..., :2], axis=-1)
        return float(distances[keypoints[..., 2] > 0.5].mean())
    return None


def encode(sampler: PersonSampler, persons: dict) -> PersonCodes:
    """The fixed batch as codes."""
    parts = {name: persons[name] for name in ANNOTATION_KEYS}
    return sampler.person_codes(persons["image"], persons["keypoints"], **parts)
