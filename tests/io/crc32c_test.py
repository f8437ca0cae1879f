import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.io import crc32c


def by_bits(data):
    """The definition, a bit at a time."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


def test_the_published_value():
    assert crc32c.crc32c(b"123456789") == 0xE3069283


# Around a lane, a block, and the bytes that a block may begin with.
LENGTHS = (0, 1, 63, 64, 95, 96, 97, 130, 32768 - 1, 32768, 32768 + 1, 32768 + 99, 70_001)


@pytest.mark.parametrize("length", LENGTHS)
def test_every_length(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c.crc32c(data) == by_bits(data)
    first, second = data[: length // 3], data[length // 3 :]
    zeros = crc32c.zeros_after(len(second))
    joined = crc32c.joined(crc32c.crc32c(first), crc32c.crc32c(second), zeros)
    assert joined == crc32c.crc32c(data)
    if length:
        places = np.unique(np.random.default_rng(0).integers(0, length, 5))
        changed = bytearray(data)
        for place in places:
            changed[place] ^= 1
        flipped = crc32c.flipped(crc32c.crc32c(data), length, places)
        assert flipped == crc32c.crc32c(bytes(changed))


def test_masked_as_tensorflow_writes_it(tmp_path):
    data = np.random.default_rng(0).bytes(5000)
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as file:
        file.write(data)
    stored = (tmp_path / "one").read_bytes()[-4:]
    assert crc32c.masked_crc32c(data) == int.from_bytes(stored, "little")
