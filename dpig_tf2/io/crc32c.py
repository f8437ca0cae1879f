"""CRC-32C, the checksum of record files, in NumPy.

The checksum without its initial and final inversion is linear over GF(2): that of a text is the XOR
of those of its parts, each followed by as many zero bytes as come after it. So columns of the text
are looked up at once, and the checksum of a joined text follows from those of its pieces.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_ONES = 0xFFFFFFFF
_LANE = 64  # bytes looked up in one row
_BLOCK = 512 * _LANE  # bytes looked up at once; more leave the processor's cache
_SHORT = 96  # bytes below which a plain loop is faster


def masked_crc32c(data: bytes) -> int:
    """The checksum as record files store it."""
    return mask(crc32c(data))


def mask(checksum: int) -> int:
    """A checksum as record files store it."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & _ONES


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes."""
    first = len(data) if len(data) < _SHORT else len(data) % _BLOCK
    if first < _SHORT:
        checksum = _ONES
        for byte in data[:first]:
            checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    else:
        # Zeros in front change nothing; the inversion at the start is that of the first four bytes.
        padded = np.zeros(-(-first // _LANE) * _LANE, np.uint8)
        padded[-first:] = np.frombuffer(data, np.uint8, first)
        padded[-first:][:4] ^= 0xFF
        checksum = _of_lanes(padded)
    for start in range(first, len(data), _BLOCK):
        block = np.frombuffer(data, np.uint8, _BLOCK, start)
        checksum = _product(checksum, zeros_after(_BLOCK)) ^ _of_lanes(block)
    return checksum ^ _ONES


def joined(first: int, second: int, zeros: int) -> int:
    """The checksum of two texts joined.

    Args:
        first, second: their checksums.
        zeros: `zeros_after` of the length of the second.
    """
    return _product(first, zeros) ^ second


def flipped(checksum: int, length: int, positions: np.ndarray) -> int:
    """The checksum of a text of some bytes when the lowest bit of those at `positions` changes."""
    changes = _flips_before(length.bit_length())[length - 1 - positions]
    return checksum ^ int(np.bitwise_xor.reduce(changes))


@functools.cache
def _flips_before(bits):
    """What the lowest bit of a byte changes that 0 to 2 ** bits - 1 bytes follow, uint32."""
    if not bits:
        return np.array(_TABLE[1:2], np.uint32)
    nearer = _flips_before(bits - 1)
    return np.concatenate([nearer, _followed(nearer, _zeros_after_power(bits - 1))])


@functools.lru_cache(maxsize=1 << 16)
def zeros_after(length: int) -> int:
    """What a text's checksum is multiplied with when `length` zero bytes follow it."""
    power = 1 << 31
    for bit in range(length.bit_length()):
        if length >> bit & 1:
            power = _product(power, _zeros_after_power(bit))
    return power


@functools.cache
def _zeros_after_power(bit):
    """`zeros_after` of 2 ** bit bytes."""
    if not bit:
        return 1 << 23  # x^8
    half = _zeros_after_power(bit - 1)
    return _product(half, half)


def _product(a, b):
    """The product of two polynomials modulo that of the checksum; the highest bit is x^0."""
    result = 0
    while a:
        if a & 0x80000000:
            result ^= b
        a = a << 1 & _ONES
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return result


def _of_lanes(data):
    """The linear part for uint8 [n * _LANE], at most `_BLOCK` of them."""
    lanes = data.reshape(-1, _LANE)
    by_byte, by_lane = _tables()
    checksums = np.bitwise_xor.reduce(by_byte[lanes + np.arange(0, 256 * _LANE, 256)], axis=1)
    return int(np.bitwise_xor.reduce(by_lane[-len(lanes) :] * _bits(checksums), axis=None))


@functools.cache
def _tables():
    """Linear parts uint32 of each byte at each place of a lane, and of each bit at a lane's end."""
    at_end = np.asarray(_TABLE, np.uint32)
    by_byte = np.empty((_LANE, 256), np.uint32)
    for place in reversed(range(_LANE)):
        by_byte[place] = at_end
        at_end = at_end >> 8 ^ np.asarray(_TABLE, np.uint32)[at_end & 0xFF]
    by_lane = np.empty((_BLOCK // _LANE, 32), np.uint32)
    by_lane[-1] = 1 << np.arange(32)
    for lane in reversed(range(len(by_lane) - 1)):
        by_lane[lane] = _followed(by_lane[lane + 1], zeros_after(_LANE))
    return by_byte.ravel(), by_lane


def _followed(values, zeros):
    """Linear parts uint32 [N], each multiplied with `zeros_after` of a number."""
    return np.bitwise_xor.reduce(_basis(zeros) * _bits(values), axis=1)


@functools.cache
def _basis(zeros):
    """What becomes of each bit, uint32 [32]."""
    return np.array([_product(1 << bit, zeros) for bit in range(32)], np.uint32)


def _bits(values):
    """uint32 [N, 32] in {0, 1} of uint32 [N]."""
    return values[:, None] >> np.arange(32, dtype=np.uint32) & 1


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()
