"""Ways to damage a file, all drawn from one generator of random numbers."""

import copy
import json
import pickletools
import random
import struct

_LARGEST = 1 << 24  # bytes that a change may add
_LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)


def mutate(data: bytes, generator: random.Random, others: list[bytes], special=()) -> bytes:
    """One to four changes; `others` are files to splice with, `special` the kind's own changes."""
    ways = [flip, cut, insert, remove, repeat, swap, overwrite_length]
    if special:  # damage of the kind's own form goes deeper than what no reader takes for it
        ways = [*special, *(ways if generator.random() < 0.5 else ())]
    for _ in range(generator.choice((1, 1, 1, 2, 3, 4))):
        if generator.random() < 0.1:
            data = splice(data, generator, generator.choice(others))
        else:
            data = generator.choice(ways)(data, generator)
    return data


def flip(data, generator):
    changed = bytearray(data)
    for _ in range(generator.randint(1, 8) if data else 0):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


def cut(data, generator):
    return data[: generator.randint(0, len(data))]


def insert(data, generator):
    place = generator.randint(0, len(data))
    return data[:place] + generator.randbytes(generator.randint(1, 16)) + data[place:]


def remove(data, generator):
    place = generator.randint(0, len(data))
    return data[:place] + data[place + generator.randint(1, 16) :]


def repeat(data, generator):
    start = generator.randint(0, len(data))
    part = data[start : start + generator.randint(1, 64)]
    return data[:start] + part * generator.choice((2, 3, 50)) + data[start:]


def swap(data, generator):
    a, b = sorted(generator.randint(0, len(data)) for _ in range(2))
    return data[b:] + data[a:b] + data[:a]


def splice(data, generator, other):
    return data[: generator.randint(0, len(data))] + other[generator.randint(0, len(other)) :]


def overwrite_length(data, generator):
    """A number where there may have been a length."""
    value = generator.choice(_LENGTHS)
    form = generator.choice(("<B", "<H", "<I", ">I", "<Q"))
    packed = struct.pack(form, value % 256 ** struct.calcsize(form))
    place = generator.randint(0, max(0, len(data) - len(packed)))
    return data[:place] + packed + data[place + len(packed) :]


# Pickles.

_CODES = [code.code.encode("latin-1") for code in pickletools.opcodes]
_NAMES = (
    b"cos\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\nscalar\n",
    b"c_codecs\nencode\n", b"cnumpy.core.numeric\n_frombuffer\n", b"cnumpy.core._ufunc\nx\n",
)  # fmt: skip


def _instructions(data):
    """(start, end) of the instructions, as far as they can be told."""
    starts = []
    try:
        for _, _, position in pickletools.genops(data):
            starts.append(position)
    except Exception:  # damaged already
        pass
    starts = starts or [0]
    return list(zip(starts, [*starts[1:], len(data)], strict=True))


def change_instruction(data, generator):
    start, _ = generator.choice(_instructions(data))
    return data[:start] + generator.choice(_CODES) + data[start + 1 :]


def move_instruction(data, generator):
    steps = [data[a:b] for a, b in _instructions(data)]
    steps.insert(generator.randint(0, len(steps)), steps.pop(generator.randrange(len(steps))))
    return b"".join(steps)


def double_instruction(data, generator):
    start, end = generator.choice(_instructions(data))
    times = min(generator.choice((1, 2, 500)), 1 + _LARGEST // (end - start or 1))
    return data[:end] + data[start:end] * times + data[end:]


def insert_call(data, generator):
    start, _ = generator.choice(_instructions(data))
    arguments = generator.choice((b"(S'true'\ntR", b")R", b"b", b"(S'O8'\nI0\nI1\ntR", b"0"))
    return data[:start] + generator.choice(_NAMES) + arguments + data[start:]


PICKLE = (change_instruction, move_instruction, double_instruction, insert_call)


# MATLAB files.


def change_tag(data, generator):
    """Another type or length at a multiple of eight bytes, where tags are."""
    if len(data) < 136:
        return data
    place = generator.randrange(128, len(data) - 7, 8)
    kind = generator.choice((0, 1, 5, 6, 9, 14, 15, 16, 0x00040001, 0x00080001))
    length = generator.choice((*_LENGTHS[:9], len(data) - place, 8, 16))
    if generator.random() < 0.5:
        (kind,) = struct.unpack_from("<I", data, place)
    return data[:place] + struct.pack("<II", kind, length) + data[place + 8 :]


def change_word(data, generator):
    """Class, size or flags: a small number at a multiple of four bytes."""
    if len(data) < 136:
        return data
    place = generator.randrange(124, len(data) - 3, 4)
    word = struct.pack("<I", generator.choice((*range(19), 0x0801, 0x4D490100, 2**31 - 1, 2**31)))
    return data[:place] + word + data[place + 4 :]


MAT = (change_tag, change_word)


# Text.

_TEXTS = (
    "null", "true", "{}", "[]", "[[]]", "-1", "1e999", "NaN", "-Infinity", "9" * 400, "0.5", '""',
    "1e300", '"a"', "\\u0000", "\\ud800", '"\\ud800"', "[" * 3000, '{"a":' * 3000, "\x1b[2J", ":",
    ",", "\n", '"', "[-1]", "17", "[1, 2, 3]",
)  # fmt: skip


def insert_text(data, generator):
    place = generator.randint(0, len(data))
    return data[:place] + generator.choice(_TEXTS).encode() + data[place:]


def replace_value(data, generator):
    """Another value in place of one between commas, colons or brackets."""
    borders = [i for i, byte in enumerate(data) if byte in b",:[]{}\n "]
    if len(borders) < 2:
        return data
    i = generator.randrange(len(borders) - 1)
    start, end = borders[i] + 1, borders[generator.randint(i + 1, min(i + 3, len(borders) - 1))]
    return data[:start] + generator.choice(_TEXTS).encode() + data[end:]


def change_json(data, generator):
    """Another value, or one more or less, somewhere in sound JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return replace_value(data, generator)
    places: list[tuple] = []
    _collect(content, places)
    if not places:
        return data
    # Lists of numbers have most of the places; what is above them is tried as often.
    short = [place for place in places if len(place[0]) < 20]
    owner, key = generator.choice(short if short and generator.random() < 0.6 else places)
    match generator.randrange(5):
        case 0 | 1:
            owner[key] = copy.deepcopy(generator.choice(_VALUES))
        case 2:
            del owner[key]
        case 3:
            other, name = generator.choice(places)
            if name in other if isinstance(other, dict) else name < len(other):
                owner[key] = copy.deepcopy(other[name])
        case _ if isinstance(owner, list):
            owner.insert(key, copy.deepcopy(generator.choice((owner[key], *_VALUES))))
        case _:
            owner[generator.choice(("people", "image_id", "size", "b.jpg"))] = owner[key]
    try:
        return json.dumps(content).encode()
    except (ValueError, RecursionError):  # a copy that holds itself
        return data


def _collect(value, places):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            _collect(value[key], places)


_VALUES = (
    None, True, False, 0, -1, 1, 2.5, -0.0, 1e300, 1e39, 10**299, float("nan"), float("inf"), "",
    "a.jpg", "\x1b[2J", "\ud800", "x" * 5000, [], {}, [[]], [None], [0, 0, 0], {"x": 1, "y": 2},
    [{}], [[1, 2]] * 17, [1.0] * 51, {"people": []}, -(10**18), "5", 785,
)  # fmt: skip
TEXT = (insert_text, replace_value, change_json, change_json, change_json, change_json)
