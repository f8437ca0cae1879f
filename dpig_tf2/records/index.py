"""Where every record of a set of record files begins, and reading records by number."""

import contextlib
import dataclasses
import os
import pathlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

from dpig_tf2.io.crc32c import masked_crc32c
from dpig_tf2.records.schema import RecordError

# A record: uint64 length, uint32 checksum of the length, the data, uint32 checksum of the data.
_HEADER = 12
_FOOTER = 4
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"\x78\x01": "zlib", b"\x78\x9c": "zlib", b"\x78\xda": "zlib",
    b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip",
}  # fmt: skip
_BUFFER = 1 << 16  # bytes read at once; records take 40 to 100 kB


@dataclasses.dataclass(frozen=True)
class FileIndex:
    """Byte offsets of the records of one file; `problem` says what ended the listing early."""

    path: pathlib.Path
    offsets: np.ndarray  # int64 [records]
    problem: str | None = None


def index_file(path) -> FileIndex:
    """The record offsets of a file, from the length headers alone; the data is not read."""
    path = pathlib.Path(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        problem = _compression(file.read(_HEADER))
    if problem:
        return FileIndex(path, np.zeros(0, np.int64), problem)
    offsets, problem = [], None
    offset = 0
    with open(path, "rb", buffering=0) as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER)
            problem = _header_problem(header, size - offset, len(offsets))
            if problem:
                break
            offsets.append(offset)
            (length,) = struct.unpack_from("<Q", header)
            offset += _HEADER + length + _FOOTER
    return FileIndex(path, np.asarray(offsets, np.int64), problem)


def _compression(header):
    """What is wrong with a file that begins like a compressed one, or None."""
    if len(header) == _HEADER and masked_crc32c(header[:8]) == int.from_bytes(header[8:], "little"):
        return None
    for magic, kind in _COMPRESSED.items():
        if header.startswith(magic):
            return f"is compressed ({kind}), which cannot be read by number: unpack it first"
    return None


def _header_problem(header, left, number):
    """What is wrong with a record whose file has `left` bytes from its header on, or None."""
    if len(header) < _HEADER:
        return f"record {number} is cut off: {left} bytes are left for its header"
    length, checksum = struct.unpack("<QI", header)
    if masked_crc32c(header[:8]) != checksum:
        return f"record {number} has a damaged header (wrong checksum of its length)"
    if _HEADER + length + _FOOTER > left:
        return f"record {number} is cut off: {left - _HEADER} of {length + _FOOTER} bytes are left"
    return None


def read_at(paths: tf.Tensor, offsets: tf.Tensor) -> tf.Tensor:
    """The records that begin at the given places, string [...]; for use inside a tf.data graph.

    Args:
        paths: string [...], record files.
        offsets: int64 [...], bytes.

    Raises:
        tf.errors.DataLossError: from the graph, if a checksum is wrong.
        tf.errors.InvalidArgumentError: from the graph, if a file ends there.
    """
    read = tf.map_fn(
        lambda place: _records_from(*place).take(1).get_single_element(),
        (tf.reshape(paths, [-1]), tf.reshape(offsets, [-1])),
        fn_output_signature=tf.string,
    )
    return tf.ensure_shape(tf.reshape(read, tf.shape(offsets)), offsets.shape)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)])
def _read_now(paths, offsets):
    """`read_at` outside a tf.data graph, traced once."""
    return read_at(paths, offsets)


def _records_from(path, offset):
    """Dataset of the records of one file from a byte offset on."""
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=_BUFFER, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


class RecordReader:
    """Access to the records of some files, numbered through from 0 in the files' order.

    Args:
        files: indexed files; their problems, if any, are the caller's business.
    """

    def __init__(self, files: Sequence[FileIndex]):
        self.files = tuple(files)
        counts = [len(file.offsets) for file in self.files]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._offsets = np.concatenate([file.offsets for file in self.files])

    def __len__(self) -> int:
        return len(self._offsets)

    def places(self, numbers) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the files, and byte offsets in them, of some records; int64 [...] each."""
        files = np.searchsorted(self._starts, numbers, side="right") - 1
        return files, self._offsets[numbers]

    def place(self, number: int) -> tuple[pathlib.Path, int]:
        """The file of a record, and its number within it."""
        which = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.files[which].path, int(number - self._starts[which])

    def describe(self, number: int) -> str:
        """`<file> record <number within it>`, for messages."""
        path, record = self.place(number)
        return f"{path} record {record}"

    def error(self, number: int, problem: str) -> RecordError:
        """What to raise for a record that cannot be used."""
        path, record = self.place(number)
        message = f"{path} record {record}: {problem}"
        return RecordError(message, file=path, record=record)

    def read(self, number: int) -> bytes:
        """The serialized example. Raises RecordError if its checksum is wrong, or it is gone."""
        (which,), (offset,) = self.places([number])
        try:
            return bytes(_read_now([os.fsencode(self.files[which].path)], [offset])[0].numpy())
        except tf.errors.DataLossError as error:
            raise self.error(number, "wrong checksum") from error
        except tf.errors.InvalidArgumentError as error:
            raise self.error(number, "is not there any more") from error

    def scan(self) -> Iterator[tuple[int, bytes | None]]:
        """(number, serialized example) of every record; None where it cannot be read.

        Its checksum is wrong, or its file was cut off after it was indexed.
        """
        number = 0
        while number < len(self):
            (which,), (offset,) = self.places([number])
            stop = int(self._starts[which + 1])
            records = self._from(which, offset).take(stop - number)
            with contextlib.suppress(tf.errors.DataLossError):
                for serialized in records.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
                    yield number, bytes(serialized)
                    number += 1
            if number < stop:
                yield number, None
                number += 1

    def _from(self, which, offset):
        """Dataset of the records of a file from a byte offset on."""
        place = (os.fsencode(self.files[which].path), np.int64(offset))
        # TensorFlow fails to serialize the reader as a dataset of its own, but not in a function.
        return tf.data.Dataset.from_tensors(place).flat_map(cast(Any, _records_from))
