import os

import pytest
import tensorflow as tf

from dpig_tf2.io import crc32c
from dpig_tf2.records import index
from dpig_tf2.records.schema import RecordError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as file:
        for i in range(5):
            file.write(bytes([i]) * (10 + i))
    return path


def test_records_by_number_across_files(path, tmp_path):
    other = tmp_path / "b.tfrecord"
    with tf.io.TFRecordWriter(str(other)) as file:
        file.write(b"last")
    reader = index.RecordReader([index.index_file(path), index.index_file(other)])
    assert len(reader) == 6
    assert reader.read(5) == b"last"
    assert reader.read(2) == b"\x02" * 12
    assert [number for number, _ in reader.scan()] == list(range(6))
    assert dict(reader.scan())[4] == b"\x04" * 14
    assert reader.describe(5) == f"{other} record 0"


def test_a_folder_whose_name_is_not_utf8(path, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    reader = index.RecordReader([index.index_file(path.rename(folder / path.name))])
    assert reader.read(1) == b"\x01" * 11
    assert dict(reader.scan())[4] == b"\x04" * 14


def test_empty_file(tmp_path):
    (tmp_path / "empty.tfrecord").touch()
    file = index.index_file(tmp_path / "empty.tfrecord")
    assert len(file.offsets) == 0 and file.problem is None


@pytest.mark.parametrize("cut", [1, 4, 20, 29])
def test_cut_off_record_is_named(path, cut):
    data = path.read_bytes()
    path.write_bytes(data[:-cut])  # the last record takes 30 bytes
    file = index.index_file(path)
    assert len(file.offsets) == 4
    assert "record 4 is cut off" in file.problem


def test_damaged_header_is_named(path):
    data = bytearray(path.read_bytes())
    data[26] ^= 1  # the length of record 1
    path.write_bytes(data)
    file = index.index_file(path)
    assert len(file.offsets) == 1
    assert "record 1 has a damaged header" in file.problem


def test_wrong_checksum_names_file_and_record(path):
    data = bytearray(path.read_bytes())
    data[26 + 12] ^= 1  # first byte of record 1
    path.write_bytes(data)
    reader = index.RecordReader([index.index_file(path)])
    assert reader.read(0) == b"\x00" * 10
    with pytest.raises(RecordError, match=r"a\.tfrecord record 1: wrong checksum") as raised:
        reader.read(1)
    assert (raised.value.file, raised.value.record) == (str(path), 1)


@pytest.mark.parametrize("left", [26, 26 + 27, 26 + 27 + 5])
def test_a_file_that_was_cut_off_since_names_what_is_lost(path, left):
    reader = index.RecordReader([index.index_file(path)])
    path.write_bytes(path.read_bytes()[:left])
    whole = 1 if left == 26 else 2
    assert [number for number, serialized in reader.scan() if serialized is None] == [
        *range(whole, 5)
    ]
    for number in range(whole, 5):
        with pytest.raises(RecordError, match=f"record {number}: "):
            reader.read(number)


def test_what_was_added_since_is_not_counted(path, tmp_path):
    other = tmp_path / "b.tfrecord"
    with tf.io.TFRecordWriter(str(other)) as file:
        file.write(b"last")
    reader = index.RecordReader([index.index_file(path), index.index_file(other)])
    path.write_bytes(2 * path.read_bytes())
    found = list(reader.scan())
    assert [number for number, _ in found] == list(range(6)) and found[5][1] == b"last"


def test_checksum_of_known_bytes():
    # CRC-32C of "123456789" is 0xE3069283; the mask rotates it by 15 bits and adds a constant.
    crc = 0xE3069283
    expected = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert crc32c.masked_crc32c(b"123456789") == expected
