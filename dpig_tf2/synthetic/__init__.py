"""Synthetic persons with known factors: any recombination of them has a true image."""

from dpig_tf2.synthetic.appearance import (
    ATTRIBUTE_FIELDS,
    attributes,
    sample_foreground,
)
from dpig_tf2.synthetic.dataset import SyntheticImage, make_images
from dpig_tf2.synthetic.factors import (
    FACTORS,
    Background,
    Foreground,
    Pose,
    from_dict,
    to_dict,
)
from dpig_tf2.synthetic.kinematics import pose_keypoints
from dpig_tf2.synthetic.poses import sample_pose
from dpig_tf2.synthetic.rendering import (
    foreground_coverage,
    foreground_mask,
    render,
    render_background,
)
from dpig_tf2.synthetic.scene import sample_background

__all__ = [
    "ATTRIBUTE_FIELDS",
    "FACTORS",
    "Background",
    "Foreground",
    "Pose",
    "SyntheticImage",
    "attributes",
    "foreground_coverage",
    "foreground_mask",
    "from_dict",
    "make_images",
    "pose_keypoints",
    "render",
    "render_background",
    "sample_background",
    "sample_foreground",
    "sample_pose",
    "to_dict",
]
