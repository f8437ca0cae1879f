"""One sheet that shows what a run can do: reconstruct, re-pose, and sample each factor."""

import numpy as np

from dpig_tf2.ops.sheets import labelled_sheet, pose_picture
from dpig_tf2.sampling.sampler import PersonSampler


def overview_sheet(
    sampler: PersonSampler, images, keypoints, target_keypoints, seed: int = 0, **parts
) -> np.ndarray:
    """Labelled sheet, one person per column, uint8 [H, W, 3].

    Rows: the photo, its reconstruction, the person in another pose, each factor sampled while the
    others are held at the photo, and everything sampled. Rows whose networks are not trained yet
    are left out.

    Args:
        sampler: trained networks; the encoder and generator at least.
        images: uint8 [B, H, W, 3].
        keypoints, target_keypoints: float32 [B, 18, 3], pixels.
        seed: of the sampled codes.
        parts: body_mask, part_boxes, part_visibility as in `PersonSampler.encode_appearance`.
    """
    model = sampler.config.model
    appearance = sampler.encode_appearance(images, keypoints, **parts)
    held = sampler.model.split_appearance(appearance)

    def skeletons(poses):
        return [pose_picture(pose, model.height, model.width) for pose in poses]

    rows = {
        "real": images,
        "reconstructed": sampler.generate(appearance, keypoints),
        "other pose": skeletons(target_keypoints),
        "re-posed": sampler.generate(appearance, target_keypoints),
    }
    trained = [f for f in model.factors if f"{f}_mapping" in sampler.model.networks]
    sampled = {f: sampler.map_noise(sampler.draw_noise(len(images), f, seed), f) for f in trained}
    for factor in model.appearance_factors:
        if factor in sampled:
            codes = sampler.model.join_appearance(held | {factor: sampled[factor]}).numpy()
            rows[f"{factor} sampled"] = sampler.generate(codes, keypoints)
    if "pose" in sampled:
        poses = sampler.decode_pose(sampled["pose"])
        rows["sampled pose"] = skeletons(poses)
        rows["pose sampled"] = sampler.generate(appearance, poses)
        if len(sampled) == len(model.factors):
            codes = sampler.model.join_appearance(sampled).numpy()
            rows["all sampled"] = sampler.generate(codes, poses)
    return labelled_sheet(
        list(rows.values()), row_labels=list(rows), scale=max(1, 128 // model.height)
    )
