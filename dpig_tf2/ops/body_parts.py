"""Which keypoints form a part of the body, and how far its box reaches beyond them."""

import dataclasses

from dpig_tf2.ops.keypoints import NUM_KEYPOINTS

# Keypoints (0-based) of the 37 part regions of the published records.
PART_GROUPS = (
    (0, 1, 2, 5, 14, 15, 16, 17),  # head and shoulders
    (2, 3, 4, 5, 6, 7, 8, 11),  # upper body
    (8, 9, 10, 11, 12, 13),  # legs
    (5, 6, 7),  # left arm
    (2, 3, 4),  # right arm
    (11, 12, 13),  # left leg
    (8, 9, 10),  # right leg
    (2, 5, 8, 11),
    (5, 6),
    (6, 7),
    (2, 3),
    (3, 4),
    (11, 12),
    (12, 13),
    (8, 9),
    (9, 10),
    tuple(range(NUM_KEYPOINTS)),
    *((k,) for k in range(NUM_KEYPOINTS)),
    (2, 3, 4, 8, 9, 10),
    (5, 6, 7, 11, 12, 13),
)
REGION_NAMES = (
    "head", "upper_body", "legs", "left_arm", "right_arm", "left_leg", "right_leg",
)  # fmt: skip
NUM_REGIONS = len(REGION_NAMES)  # the networks use the first seven groups
# What people wear covers several regions.
GARMENTS = {
    "upper_garment": ("upper_body", "left_arm", "right_arm"),
    "lower_garment": ("legs", "left_leg", "right_leg"),
}
REGION_CHOICES = (*REGION_NAMES, *GARMENTS)

# Both lower legs in sight make a whole-body photo (groups 14 and 16, 1-based).
LOWER_LEGS = (PART_GROUPS[13], PART_GROUPS[15])


@dataclasses.dataclass(frozen=True)
class Margins:
    """Pixels by which a box is grown; `single` where only one keypoint of the group is visible."""

    several: float
    single: float
    nose_lift: float = 0.0


@dataclasses.dataclass(frozen=True)
class BoxRule:
    """How much boxes are grown: in photos with both lower legs in sight, and in all others."""

    whole_body: Margins
    cropped: Margins


BOX_RULES = {
    "market1501": BoxRule(whole_body=Margins(6, 10), cropped=Margins(6, 10)),
    "deepfashion": BoxRule(whole_body=Margins(10, 20, 10), cropped=Margins(20, 40, 25)),
}
