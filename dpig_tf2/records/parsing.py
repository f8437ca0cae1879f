"""Batches of serialized examples -> parsed values, and what the rules find in them."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import cast

import numpy as np
import tensorflow as tf

from dpig_tf2.records import rules, schema

# Stands in a picture that a record lacks; no picture holds it.
ABSENT = tf.int64.min
_DTYPES = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}
_DEFAULTS = {"bytes": "", "int64": -1}  # of single values that are absent


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


def parsing_spec(
    height: int,
    width: int,
    stored: Collection[str] | None = None,
    images: bool | None = None,
    sides: int = len(schema.SIDES),
) -> dict:
    """What `tf.io.parse_example` is to look for: every key of a reader, with its dtype.

    Args:
        height, width: image size, pixels.
        stored: keys that nearly all records hold; None: may be any. Pictures among these are parsed
            as such, in half the time, and have `ABSENT` pixels where a record lacks them, which
            takes time in turn.
        images: the encoded images alone, or all but these; None: everything.
        sides: how many an example holds, 1 in the lean layout.
    """
    spec = {}
    for feature in schema.FEATURES:
        if feature in (*rules.UNREAD, rules.SPARSE) or images not in (
            None,
            feature is schema.IMAGE,
        ):
            continue
        dtype = _DTYPES[feature.kind]
        for key in feature.keys[:sides]:
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
    key = rules.SPARSE.keys[side]
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
    missing = f"is missing, and so is {rules.SPARSE.keys[side]}"
    found.append(Finding(schema.KEYPOINTS.keys[side], missing, keypoints_absent))
    for rule in rules.RULES:
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
