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
that has keypoints, may hold anything.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np
import tensorflow as tf

from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.records import schema

# Stands in a picture that a record lacks; no picture holds it.
ABSENT = tf.int64.min
SPARSE_RADIUS = 4  # of the sparse pose map that every record with sparse maps holds
_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}
_DEFAULTS = {"bytes": "", "int64": -1}  # of single values that are absent


_SPARSE = schema.SPARSE_INDICES[SPARSE_RADIUS]
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


@dataclasses.dataclass(frozen=True)
class Finding:
    """How one rule came out for a batch.

    Attributes:
        key: as it stands in the record.
        problem: what is said if one of `broken` is True.
        broken: bool tensor, [B, entries] or flat.
        entries: the values behind each, for messages, or None.
    """

    key: str
    problem: str
    broken: tf.Tensor
    entries: tf.Tensor | None = None


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


def parsing_spec(
    height: int,
    width: int,
    stored: Collection[str] | None = None,
    images: bool | None = None,
) -> dict:
    """What `tf.io.parse_example` is to look for: every key of a reader, with its dtype.

    Args:
        height, width: image size, pixels.
        stored: keys that nearly all records hold; None: may be any. Pictures among these are parsed
            as such, in half the time, and have `ABSENT` pixels where a record lacks them, which
            takes time in turn.
        images: the encoded images alone, or all but these; None: everything.
    """
    spec = {}
    for feature in schema.FEATURES:
        if feature in (*UNREAD, _SPARSE) or images not in (None, feature is schema.IMAGE):
            continue
        dtype = _DTYPES[feature.kind]
        for key in feature.keys:
            if feature.length == "1":
                default = None if feature.required else _DEFAULTS[feature.kind]
                spec[key] = tf.io.FixedLenFeature([], dtype, default)
            elif feature.length == "H*W" and (stored is None or key in stored):
                pixels = height * width
                spec[key] = tf.io.FixedLenFeature([pixels], dtype, np.full(pixels, ABSENT))
            else:
                spec[key] = tf.io.RaggedFeature(dtype)
    return spec


def sparse_indices(serialized: tf.Tensor, side: int) -> tf.RaggedTensor:
    """The sparse pose maps of a batch, which are looked at where keypoints are absent."""
    key = _SPARSE.keys[side]
    parsed = tf.io.parse_example(serialized, {key: tf.io.RaggedFeature(tf.int64)})
    return cast(tf.RaggedTensor, parsed[key])


def findings(
    parsed: Mapping[str, tf.Tensor],
    side: int,
    keypoints: tf.Tensor,
    keypoints_absent: tf.Tensor,
    height: int,
    width: int,
) -> list[Finding]:
    """Every rule applied to one side of a batch.

    Args:
        parsed: by `parsing_spec`.
        side: 0 for the source, 1 for the target.
        keypoints: float32 [B, 18, 3], those of the record or of its sparse pose map.
        keypoints_absent: bool [B], the record holds neither.
        height, width: image size, pixels.
    """
    found = []
    for feature in schema.FEATURES:
        allowed = feature.allowed_lengths(height, width)
        # What has a fixed length has been parsed as such; a key that is absent has no values.
        key = feature.keys[min(side, len(feature.keys) - 1)]
        if allowed is None or not isinstance(parsed.get(key), tf.RaggedTensor):
            continue
        lengths = parsed[key].row_lengths()
        fits = tf.reduce_any(lengths[:, None] == sorted({0, *allowed}), axis=1)
        expected = " or ".join(map(str, allowed))
        found.append(Finding(key, f"holds {{}} values, expected {expected}", ~fits, lengths))
    missing = f"is missing, and so is {_SPARSE.keys[side]}"
    found.append(Finding(schema.KEYPOINTS.keys[side], missing, keypoints_absent))
    for rule in RULES:
        key = rule.feature.keys[side]
        if rule.feature is schema.KEYPOINTS:
            values = keypoints
        elif rule.feature is schema.PART_BOXES:
            most = max(schema.PART_COUNTS)
            values = tf.reshape(dense(parsed[key], 4 * most), [-1, most, 4])
        else:
            values = parsed[key].flat_values
        broken = rule.is_broken(values, height, width)
        found.append(Finding(key, rule.problem, broken, values))
    return found


def dense(values: tf.RaggedTensor, length: int, default=0) -> tf.Tensor:
    """The first `length` values of each row, [B, length]; shorter rows are filled up."""
    return tf.ensure_shape(values.to_tensor(default, shape=[None, length]), [None, length])
