"""Seeded damage to a serialized record: fields removed, cut, retyped, and set to odd values."""

import random

import tensorflow as tf

from dpig_tf2.records import schema

_KINDS = ("bytes_list", "int64_list", "float_list")
_NUMBERS = (0, 1, -1, 2, 7, -7, 63, 64, 1e3, -1e3, 1e7, 1e9, 0.5, 1e30)
_ODD_FLOATS = (float("nan"), float("inf"), float("-inf"), -0.5, 63.5, 31.99)
_ODD_INTEGERS = (2**31, -(2**31), 2**62, -(2**63), 2**63 - 1)
_KEYS = tuple(key for feature in schema.FEATURES for key in feature.keys)
_READ_MOST = tuple(
    key
    for feature in (
        schema.IMAGE, schema.KEYPOINTS, schema.PART_BOXES, schema.PART_VISIBILITY,
        schema.SPARSE_INDICES[4], *schema.BODY_MASKS.values(),
    )
    for key in feature.keys
)  # fmt: skip


def mutate(example: bytes, seed: int) -> bytes:
    """The example with one to three faults; the same for the same seed.

    Some mutations leave the record as good as it was: what counts is that all readers agree.
    """
    rng = random.Random(seed)
    parsed = tf.train.Example.FromString(example)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        keys = _READ_MOST if rng.random() < 0.7 else _KEYS
        there = [key for key in keys if key in parsed.features.feature]
        if there:
            rng.choice(_FIELD_FAULTS)(rng, parsed.features.feature, rng.choice(there))
    serialized = parsed.SerializeToString()
    return _flip_bytes(rng, serialized) if rng.random() < 0.15 else serialized


def _values(features, key):
    kind = features[key].WhichOneof("kind")
    return (kind, getattr(features[key], kind).value) if kind else (None, [])


def _remove(rng, features, key):
    del rng
    del features[key]


def _remove_kind(rng, features, key):
    """Removes a key with what may stand in for it."""
    side = key.replace("_rcv", "")[-1]
    _remove(rng, features, key)
    for feature in (schema.SPARSE_INDICES[4], schema.KEYPOINTS):
        if side in "01" and rng.random() < 0.5:
            features.pop(feature.keys[int(side)], None)


def _clear(rng, features, key):
    kind, values = _values(features, key)
    if kind and rng.random() < 0.5:
        del values[:]  # an empty list of the right kind
    else:
        features[key].Clear()


def _retype(rng, features, key):
    kind = rng.choice(_KINDS)
    count = rng.choice((0, 1, len(_values(features, key)[1])))
    value = {"bytes_list": b"1", "int64_list": 1, "float_list": 1.0}[kind]
    features[key].Clear()
    getattr(features[key], kind).value.extend([value] * count)
    getattr(features[key], kind).SetInParent()


def _change_length(rng, features, key):
    _, values = _values(features, key)
    if not len(values) or rng.random() < 0.4:
        values.extend(list(values[-1:]) * rng.choice((1, 2, 18)))
    else:
        del values[rng.randrange(len(values)) :]


def _set_values(rng, features, key):
    kind, values = _values(features, key)
    if not len(values):
        return
    if kind == "bytes_list":
        values[0] = _broken_bytes(rng, values[0])
        return
    for _ in range(rng.choice((1, 1, 2, 5))):
        odd = _ODD_FLOATS if kind == "float_list" else _ODD_INTEGERS
        value = rng.choice(odd if rng.random() < 0.4 else _NUMBERS)
        values[rng.randrange(len(values))] = value if kind == "float_list" else int(value) % 2**63


def _set_small_values(rng, features, key):
    kind, values = _values(features, key)
    if kind in ("int64_list", "float_list") and len(values):
        values[rng.randrange(len(values))] = rng.choice((-1, 0, 1, 2, 31, 32, 63, 64))


def _set_all(rng, features, key):
    kind, values = _values(features, key)
    if kind in ("int64_list", "float_list"):
        values[:] = [rng.choice((-1, 0, 1, 2, 1000))] * len(values)


def _reverse(rng, features, key):
    del rng
    _, values = _values(features, key)
    values[:] = list(values)[::-1]


def _swap_sides(rng, features, key):
    del rng
    other = key.replace("_0", "_X").replace("_1", "_0").replace("_X", "_1")
    if other in features and other != key:
        first = features[key].SerializeToString()
        features[key].CopyFrom(features[other])
        features[other].ParseFromString(first)


def _broken_bytes(rng, content):
    choice = rng.randrange(6)
    if choice == 0:
        return content[: rng.randrange(len(content) + 1)]
    if choice == 1:
        return b""
    if choice == 2:
        return bytes(rng.randrange(256) for _ in range(40))
    if choice == 3:  # a header that promises more
        return content[:16] + bytes([0, 0, 64, 0, 0, 0, 64, 0]) + content[24:]
    if choice == 4:
        return content + bytes(20)
    return _flip_bytes(rng, content)


def _flip_bytes(rng, content):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


_FIELD_FAULTS = (
    _remove, _remove_kind, _clear, _retype, _change_length, _set_values, _set_values,
    _set_small_values, _set_small_values, _set_all, _reverse, _swap_sides,
)  # fmt: skip
