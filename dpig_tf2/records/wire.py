"""Examples and record files as bytes, equal to those that TensorFlow writes, without TensorFlow.

`tf.train.Example` is a map from keys to lists of bytes, floats or integers; a record file frames
each with its length and checksums. What is written here is tested against TensorFlow.
"""

import functools
import hashlib
import os
import pathlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dpig_tf2.io import crc32c
from dpig_tf2.io.atomic import replacing

# Field numbers of tf.train.Feature, as tags of length-delimited fields.
_KIND_TAGS = {"bytes": b"\x0a", "float": b"\x12", "int64": b"\x1a"}
_FIRST = b"\x0a"  # tag of field 1: features, an entry of the map, its key, the values of a list
_SECOND = b"\x12"  # tag of field 2: the value of an entry
_BUFFER = 1 << 20  # bytes


def feature(kind: str, values: Sequence) -> bytes:
    """A serialized tf.train.Feature.

    Args:
        kind: "bytes", "float" or "int64".
        values: bytes objects, or numbers of any shape, flattened.
    """
    if kind == "bytes":
        content = b"".join(_delimited(_FIRST, value) for value in values)
    elif kind == "float":
        content = _packed(np.asarray(values, "<f4").tobytes())
    else:
        content = _packed(_varints(np.ravel(values).astype(np.int64)))
    return _delimited(_KIND_TAGS[kind], content)


def features(serialized: Mapping[str, bytes]) -> bytes:
    """Serialized tf.train.Features {key: serialized feature}, in TensorFlow's order of keys."""
    pieces = []
    for key, head in _ordered(tuple(serialized)):
        value = serialized[key]
        length = _varint(len(value))
        whole = len(head) + len(length) + len(value)
        pieces += [_FIRST, _varint(whole), head, length, value]
    return b"".join(pieces)


@functools.lru_cache(maxsize=64)
def _ordered(keys):
    """(key, what stands before the length of its value) in order; "ab" comes before "a"."""
    ordered = sorted(keys, key=lambda key: key + "\x7f")
    return [(key, _delimited(_FIRST, key.encode()) + _SECOND) for key in ordered]


def example_head(length: int) -> bytes:
    """What stands before serialized features of some bytes to make them a tf.train.Example."""
    return _FIRST + _varint(length)


def write_records(path: os.PathLike, records: Iterable[tuple[bytes, int]]) -> dict[str, Any]:
    """Writes a record file, which appears only when it is complete.

    Args:
        path: the file.
        records: each with its CRC-32C.

    Returns:
        `examples`, `bytes` and `sha256` of the file.
    """
    path = pathlib.Path(path)
    count = written = 0
    digest = hashlib.sha256()
    with replacing(path) as temporary, open(temporary, "wb", buffering=_BUFFER) as file:
        for record, checksum in records:
            length = struct.pack("<Q", len(record))
            head = length + struct.pack("<I", crc32c.masked_crc32c(length))
            for piece in (head, record, struct.pack("<I", crc32c.mask(checksum))):
                file.write(piece)
                digest.update(piece)
                written += len(piece)
            count += 1
    return {"examples": count, "bytes": written, "sha256": digest.hexdigest()}


def _packed(content):
    return _delimited(_FIRST, content) if content else b""


def _delimited(tag, content):
    return tag + _varint(len(content)) + content


@functools.lru_cache(maxsize=1 << 16)
def _varint(value):
    if value <= 0x7F:
        return bytes([value])
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varints(values):
    """Integers as varints, one after the other; negative ones take ten bytes."""
    values = values.view(np.uint64)
    if not len(values) or values.max() <= 0x7F:
        return values.astype(np.uint8).tobytes()
    length = (int(values.max()).bit_length() + 6) // 7
    groups = values[:, None] >> np.arange(0, 7 * length, 7, dtype=np.uint64)
    encoded = (groups & 0x7F).astype(np.uint8)
    encoded[:, :-1] |= (groups[:, 1:] > 0).astype(np.uint8) << 7
    used = groups > 0
    used[:, 0] = True
    return encoded[used].tobytes()
