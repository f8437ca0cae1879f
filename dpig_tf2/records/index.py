"""Where every record of a set of record files begins, and reading one record by its number."""

import dataclasses
import mmap
import pathlib
import struct
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

# The only reader in TensorFlow that seeks and checks the checksums; not in its public listing.
from tensorflow.python.lib.io.tf_record import tf_record_random_reader

from dpig_tf2.records.schema import RecordError

# A record: uint64 length, uint32 checksum of the length, the data, uint32 checksum of the data.
_HEADER = 12
_FOOTER = 4


@dataclasses.dataclass(frozen=True)
class FileIndex:
    """Byte offsets of the records of one file; `damage` says what ended the listing early."""

    path: pathlib.Path
    offsets: np.ndarray  # int64 [records]
    damage: str | None = None


def index_file(path) -> FileIndex:
    """The record offsets of a file, from the length headers alone; the data is not read."""
    path = pathlib.Path(path)
    size = path.stat().st_size
    offsets, damage = [], None
    if size:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            offset = 0
            while offset < size:
                damage = _header_damage(data, offset, size, len(offsets))
                if damage:
                    break
                offsets.append(offset)
                (length,) = struct.unpack_from("<Q", data, offset)
                offset += _HEADER + length + _FOOTER
    return FileIndex(path, np.asarray(offsets, np.int64), damage)


def _header_damage(data, offset, size, number):
    if offset + _HEADER > size:
        return f"record {number} is cut off: {size - offset} bytes are left for its header"
    (length,) = struct.unpack_from("<Q", data, offset)
    (checksum,) = struct.unpack_from("<I", data, offset + 8)
    if masked_crc32c(data[offset : offset + 8]) != checksum:
        return f"record {number} has a damaged header (wrong checksum of its length)"
    if offset + _HEADER + length + _FOOTER > size:
        left = size - offset - _HEADER
        return f"record {number} is cut off: {left} of {length + _FOOTER} bytes are left"
    return None


class RecordReader:
    """Random access to the records of some files, numbered through from 0 in the files' order.

    Args:
        files: indexed files; their damage, if any, is the caller's business.
    """

    def __init__(self, files: Sequence[FileIndex]):
        self.files = tuple(files)
        counts = [len(file.offsets) for file in self.files]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._readers: dict[int, object] = {}
        self._lock = threading.Lock()  # a reader keeps a position

    def __len__(self) -> int:
        return int(self._starts[-1])

    def locate(self, number: int) -> tuple[FileIndex, int]:
        """The file that holds a record, and the record's number within it."""
        which = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.files[which], int(number - self._starts[which])

    def describe(self, number: int) -> str:
        """`<file> record <number within it>`, for messages."""
        file, record = self.locate(number)
        return f"{file.path} record {record}"

    def read(self, number: int) -> bytes:
        """The serialized example. Raises RecordError if its checksum is wrong."""
        which = int(np.searchsorted(self._starts, number, side="right")) - 1
        offset = int(self.files[which].offsets[number - self._starts[which]])
        try:
            with self._lock:
                return self._reader(which).read(offset)[0]
        except (IndexError, tf.errors.OpError) as error:
            raise RecordError(f"{self.describe(number)}: damaged ({_first_line(error)})") from error

    def __iter__(self) -> Iterator[bytes]:
        return (self.read(number) for number in range(len(self)))

    def _reader(self, which):
        if which not in self._readers:
            self._readers[which] = tf_record_random_reader(str(self.files[which].path))
        return self._readers[which]


def masked_crc32c(data: bytes) -> int:
    """The masked CRC-32C that record files use, of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def _first_line(error):
    return str(error).splitlines()[0] if str(error) else type(error).__name__
