"""What a record must be like to be used: the one set of rules for checking, reading and writing.

A record that breaks a rule has a problem: `check_records` names it; reading refuses it in the
graph, and names file, record and key; `--skip_bad_records` leaves it out, names and counts it; and
it is never written. Nothing is repaired in silence:

| problem | in a record | in a conversion |
|---|---|---|
| a key of another dtype or length, a missing image | refused | - |
| an image that TensorFlow does not decode, or of another size | refused | photo skipped |
| keypoints absent, and no sparse pose map either | refused | photo skipped |
| a coordinate or visibility that is not finite | refused | taken as missing |
| visibility other than 0 and 1 | refused | a confidence above 0 counts as 1 |
| a visible keypoint outside the image | refused | taken as missing |
| a missing keypoint far outside, see `ops.keypoints.FAR_OUTSIDE` | refused | (0, 0, 0) |
| a box outside the image or upside down | refused | - |
| part visibility other than 0 and 1 | refused | - |
| a body mask other than 0 and 1 | what is positive counts as 1 | - |

The rules look at every key that some reader takes, whatever this one does, so that their verdict
does not depend on the model. Keys that none takes (`UNREAD`), and the sparse pose map of a record
that has keypoints, may hold anything. `records.parsing` applies the rules to batches, in
TensorFlow; `records.writer` to what it is given, without.
"""

import dataclasses
from collections.abc import Callable

from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.records import schema

SPARSE_RADIUS = 4  # of the sparse pose map that every record with sparse maps holds
SPARSE = schema.SPARSE_INDICES[SPARSE_RADIUS]
UNREAD = (
    schema.COARSE_GRID, schema.CANDIDATES, schema.SPARSE_INDICES[8],
    *schema.SPARSE_VALUES.values(), schema.UNUSED_MASK,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on the values of one feature.

    Attributes:
        feature: whose values.
        problem: what is said where it is broken.
        is_broken: (values, height, width) -> bool, one for each entry of the values.
    """

    feature: schema.Feature
    problem: str
    is_broken: Callable


def _is_not_binary(values, height, width):
    del height, width
    return (values != 0) & (values != 1)


def _is_not_finite(keypoints, height, width):
    del height, width
    row, column, visibility = (abs(keypoints[..., i]) for i in range(3))
    limit = float("inf")
    return ~((row < limit) & (column < limit) & (visibility < limit))


def _has_other_visibility(keypoints, height, width):
    return _is_not_binary(keypoints[..., 2], height, width)


def _is_seen_outside(keypoints, height, width):
    return (keypoints[..., 2] > 0.5) & keypoint_ops.is_outside(keypoints, height, width)


def _box_is_outside(boxes, height, width):
    top, left, bottom, right = (boxes[..., i] for i in range(4))
    return (top < 0) | (left < 0) | (bottom >= height) | (right >= width)


def _box_is_upside_down(boxes, height, width):
    del height, width
    return (boxes[..., 0] > boxes[..., 2]) | (boxes[..., 1] > boxes[..., 3])


# Keypoints [B, 18, 3], boxes [B, P, 4], the others flat.
RULES = (
    Rule(schema.KEYPOINTS, "holds values that are not finite", _is_not_finite),
    Rule(schema.KEYPOINTS, "has a visibility that is neither 0 nor 1", _has_other_visibility),
    Rule(schema.KEYPOINTS, "has a visible keypoint outside the image", _is_seen_outside),
    Rule(schema.KEYPOINTS, "has coordinates far outside the image", keypoint_ops.is_far_outside),
    Rule(schema.PART_BOXES, "has a box outside the image", _box_is_outside),
    Rule(schema.PART_BOXES, "has a box upside down", _box_is_upside_down),
    Rule(schema.PART_VISIBILITY, "holds a value that is neither 0 nor 1", _is_not_binary),
)
