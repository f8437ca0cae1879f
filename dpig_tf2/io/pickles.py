"""Pickles of strangers: numbers, text, containers and numpy arrays, without the pickle machine.

A pickle is a program. Python's own machine calls what the program names, and even the few classes
that arrays need can be turned against the process: a forged type makes pointers of plain numbers.
This reader interprets only the instructions that data files use. Its stack holds numbers, text,
bytes, tuples, lists, dictionaries and inert notes of what an array should be, nothing that can be
called; arrays are made at the end, from notes that have been checked.
"""

import codecs
import dataclasses
import math
import os
import pathlib
import struct
from typing import Any

import numpy as np

from dpig_tf2.errors import DpigError

# What one file may ask for. The largest published pickle, the pose candidates of DeepFashion, holds
# three million numpy numbers and comes to about half of it.
MAX_FILE_BYTES = 512 << 20
MAX_MEMORY = 2 << 30  # bytes of everything that is built, estimated from above
MAX_DEPTH = 32  # containers in containers
MAX_MEMO = 20_000_000  # values kept for later use
MAX_MEMO_GAP = 1000  # numbers of kept values that are skipped
MAX_VALUES = 50_000_000  # of the result, those that are used several times counted each time
MAX_INTEGER_BYTES = 16
MAX_NUMBER_LENGTH = 64  # characters of a number that is written as text

# What the names in a pickle may be. Numpy 2 renamed its inner package.
_NAMES = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
    **{
        (f"numpy.{core}.{module}", name): name.strip("_")
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    },
}
_TYPE_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_BYTE_ORDERS = ("<", ">", "|", "=")
_MAX_AXES = 32  # numpy's own limit for arrays of its first version
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
_MAX_INTEGER_KEY = 2**61 - 1  # larger keys can be chosen to collide, which takes quadratic time
# Estimated sizes in memory, bytes.
_SIZE, _SLOT, _LIST, _DICT, _ENTRY = 40, 9, 88, 240, 110
_SMALL = 16  # containers of up to so many values are looked through again and again
_ABSENT = object()


class PickleError(DpigError):
    """A pickle that is damaged or that asks for something other than arrays and containers.

    Attributes:
        position: of the instruction at fault, bytes from the start of the file.
    """

    def __init__(self, message: str, *, file: object, position: int):
        super().__init__(message, file=file)
        self.position = position


class _Refused(ValueError):
    """Why an instruction is not followed."""


@dataclasses.dataclass(slots=True)
class _Name:
    """One of the names in `_NAMES`."""

    name: str


@dataclasses.dataclass(slots=True)
class _Type:
    """Note of a numpy type."""

    code: str
    order: str = "="

    def checked(self) -> np.dtype:
        if self.order == "|" and self.code[1] != "1":
            raise _Refused(f"type {self.code!r} needs a byte order")
        return np.dtype(self.code if self.order == "|" else self.order + self.code)


@dataclasses.dataclass(slots=True)
class _Array:
    """Note of an array."""

    type: _Type | None = None
    shape: tuple = ()
    order: str = "C"
    data: bytes = b""

    def checked(self) -> np.ndarray:
        """The array, over the bytes that were read, read-only."""
        if self.type is None:
            raise _Refused("an array without content")
        shape, dtype = self.shape, self.type.checked()
        if not (isinstance(shape, tuple) and len(shape) <= _MAX_AXES):
            raise _Refused("the shape of an array is not a short tuple")
        if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
            raise _Refused("the shape of an array does not consist of sizes")
        if not isinstance(self.data, bytes) or self.order not in ("C", "F"):
            raise _Refused("an array whose content is not bytes")
        if math.prod(shape) * dtype.itemsize != len(self.data):
            raise _Refused(f"an array of shape {list(shape)} has {len(self.data)} bytes")
        if not self.data:
            return np.empty(shape, dtype)
        if self.type.code == "b1" and max(self.data) > 1:
            raise _Refused("a truth value that is neither 0 nor 1")
        return np.frombuffer(self.data, dtype).reshape(shape, order=self.order)


def load(path: str | os.PathLike) -> Any:
    """The content of a pickle of protocol 0 to 5: numbers, text, bytes, containers, numpy arrays.

    Byte strings of Python 2 become text (Latin-1). Arrays are read-only.

    Raises:
        PickleError: naming the file and the byte at fault, if it is damaged, holds anything else or
            goes beyond a limit of this module.
        OSError: if the file cannot be read.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise PickleError(
            f"{path}: not a readable pickle: {size} bytes, at most {MAX_FILE_BYTES} are read",
            file=path,
            position=0,
        )
    return loads(path.read_bytes(), path)


def loads(data: bytes, path: object = "pickle") -> Any:
    """`load` for content that has been read already; `path` names it in messages."""
    machine = _Machine(data)
    try:
        return machine.run()
    except (ValueError, LookupError, OverflowError, TypeError, struct.error) as error:
        ended = isinstance(error, IndexError)
        reason = "it ends or takes a value where there is none" if ended else error
        raise PickleError(
            f"{path}: not a readable pickle: byte {machine.start}: {reason}",
            file=path,
            position=machine.start,
        ) from error


class _Machine:
    """Interpreter of one pickle."""

    def __init__(self, data: bytes):
        self.data = data
        self.start = self.position = 0  # of the instruction; of what is read next
        self.stack: list = []
        self.marked: list[list] = []  # the stacks below each mark
        self.memo: list = []
        self.left = MAX_MEMORY

    def run(self):
        steps, data = self._STEPS, self.data
        while True:
            self.start = position = self.position
            code = data[position] if position < len(data) else _END
            if code == _STOP:
                break
            step = steps.get(code)
            if step is None:
                raise _Refused(_reason(code))
            self.position = position + 1
            step(self)
        if self.marked or len(self.stack) != 1:
            raise _Refused("it ends with unused values")
        return _Finish().value(self.stack.pop())

    # Reading.

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise _Refused(f"{count} bytes are announced, {len(self.data) - self.position} left")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def number(self, form: str):
        if form == "B":
            return self.byte()
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self, longest: int | None = None) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0 or (longest is not None and end - self.position > longest):
            raise _Refused("a line of text does not end where it should")
        line = self.data[self.position : end]
        self.position = end + 1
        return line

    def counted(self, form: str) -> bytes:
        """Bytes behind their count; `spend` knows that text of them may take four times as many."""
        count = self.number(form)
        if count < 0:
            raise _Refused("a negative length")
        self.spend(_SIZE + 4 * min(count, len(self.data) - self.position))
        return self.take(count)

    # Building.

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _Refused(f"it would take more than {MAX_MEMORY >> 20} MiB of memory")

    def push(self, value) -> None:
        self.spend(_SIZE)
        self.stack.append(value)

    def pop_marked(self) -> list:
        if not self.marked:
            raise _Refused("a mark is missing")
        items, self.stack = self.stack, self.marked.pop()
        return items

    def remember(self, index: int) -> None:
        missing = index - len(self.memo)
        if not (0 <= index < MAX_MEMO and missing <= MAX_MEMO_GAP):
            raise _Refused(f"a value is kept under the number {index}, out of order or range")
        if missing >= 0:
            self.spend(_SLOT * (missing + 1))
            self.memo.extend([_ABSENT] * (missing + 1))
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        if not 0 <= index < len(self.memo) or self.memo[index] is _ABSENT:
            raise _Refused(f"value {index} was not kept")
        self.push(self.memo[index])

    # Instructions.

    def mark(self):
        self.spend(_LIST)
        self.marked.append(self.stack)
        self.stack = []

    def pop(self):
        if self.stack:
            self.stack.pop()
        else:
            self.pop_marked()

    def protocol(self):
        version = self.byte()
        if version > 5:
            raise _Refused(f"protocol {version}, 0 to 5 are known")

    def frame(self):
        length = self.number("<Q")
        if length > len(self.data) - self.position:
            raise _Refused(f"{length} bytes are announced, {len(self.data) - self.position} left")

    def integer_line(self):
        line = self.line(MAX_NUMBER_LENGTH)
        self.push(line == b"01" if line in (b"00", b"01") else int(line))

    def long_line(self):
        self.push(int(self.line(MAX_NUMBER_LENGTH).removesuffix(b"L")))

    def long_bytes(self, form):
        count = self.number(form)
        if not 0 <= count <= MAX_INTEGER_BYTES:
            raise _Refused(f"a whole number of {count} bytes, at most {MAX_INTEGER_BYTES} are read")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def quoted(self):
        line = self.line().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
            raise _Refused("text without quotation marks")
        self.spend(_SIZE + 2 * len(line))
        self.stack.append(codecs.escape_decode(line[1:-1])[0].decode("latin-1"))

    def escaped(self):
        line = self.line()
        self.spend(_SIZE + 4 * len(line))
        text = line.decode("raw_unicode_escape")
        text.encode()  # halves of characters cannot be shown
        self.stack.append(text)

    def tuple_of(self, count):
        if count > len(self.stack):
            raise IndexError
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.spend(_SIZE + _SLOT * count)
        self.stack.append(items)

    def tuple_marked(self):
        items = tuple(self.pop_marked())
        self.spend(_SIZE + _SLOT * len(items))
        self.stack.append(items)

    def list_marked(self):
        self.empty_list(self.pop_marked())

    def empty_list(self, items=()):
        self.spend(_LIST + _SLOT * len(items))
        self.stack.append(list(items))

    def dict_marked(self):
        items = self.pop_marked()
        self.empty_dict()
        self.put(items)

    def empty_dict(self):
        self.spend(_DICT)
        self.stack.append({})

    def append(self, items):
        if type(self.stack[-1]) is not list:
            raise _Refused("values are added to something that is not a list")
        self.spend(2 * _SLOT * len(items))
        self.stack[-1].extend(items)

    def put(self, items):
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise _Refused("entries are added to something that is not a dictionary")
        self.spend(_ENTRY * (len(items) // 2))
        for key in items[::2]:
            if type(key) not in _PLAIN and not isinstance(key, np.generic):
                raise _Refused("a dictionary key that is neither text nor a number")
            if type(key) is int and abs(key) >= _MAX_INTEGER_KEY:
                raise _Refused("a dictionary key that is too large a number")
        target.update(zip(items[::2], items[1::2], strict=True))

    def name(self, module, name):
        if (module, name) not in _NAMES:
            asked = ascii(f"{module}.{name}"[:200])[1:-1]
            raise _Refused(f"it asks for {asked}, which is not admitted")
        self.push(_Name(_NAMES[module, name]))

    def name_lines(self):
        module, name = self.line(), self.line()
        self.name(module.decode(), name.decode())

    def name_of_stack(self):
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise _Refused("a name that is not text")
        self.name(module, name)

    def reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not _Name or type(arguments) is not tuple:
            raise _Refused("it would call something that is not admitted")
        if function.name == "scalar":  # millions of them in some files
            self.push(_scalar(*arguments))
            return
        match function.name, arguments:
            case "dtype", (str(code), *_):
                if code not in _TYPE_CODES:
                    raise _Refused(f"type {code[:20]!r} is not admitted, only numbers are")
                self.push(_Type(code))
            case "reconstruct", (_Name("ndarray"), *_):
                self.push(_Array())
            case "frombuffer", (bytes(data), _Type() as type_, tuple(shape), str(order)):
                self.spend(_SIZE * 3)
                self.push(_Array(type_, shape, order, data))
            case "encode", (str(text), "latin1" | "latin-1"):
                self.spend(_SIZE + len(text))
                self.stack.append(text.encode("latin-1"))
            case "bytes", ():
                self.push(b"")
            case _:
                raise _Refused(f"{function.name} with unusual arguments, which are not admitted")

    def build(self):
        state, target = self.stack.pop(), self.stack[-1]
        match target, state:
            case _Type(), (int(), str(order), None, None, None, *_) if order in _BYTE_ORDERS:
                target.order = order
            case _Array(), (int(), tuple(), _Type(), fortran, str() | bytes() as data):
                self.spend(len(data))
                target.shape, target.type, target.data = state[1], state[2], _bytes(data)
                target.order = "F" if fortran in (1, True) else "C"
            case _:
                raise _Refused("a state that is not admitted")

    _STEPS = {
        ord(code): step
        for code, step in {
            "(": mark,
            "0": pop,
            "1": pop_marked,
            "2": lambda self: self.push(self.stack[-1]),
            "\x80": protocol,
            "\x95": frame,
            "N": lambda self: self.push(None),
            "\x88": lambda self: self.push(True),
            "\x89": lambda self: self.push(False),
            "I": integer_line,
            "L": long_line,
            "K": lambda self: self.push(self.byte()),
            "M": lambda self: self.push(self.number("<H")),
            "J": lambda self: self.push(self.number("<i")),
            "\x8a": lambda self: self.long_bytes("B"),
            "\x8b": lambda self: self.long_bytes("<i"),
            "F": lambda self: self.push(float(self.line(MAX_NUMBER_LENGTH))),
            "G": lambda self: self.push(self.number(">d")),
            "S": quoted,
            "T": lambda self: self.stack.append(self.counted("<i").decode("latin-1")),
            "U": lambda self: self.stack.append(self.counted("B").decode("latin-1")),
            "V": escaped,
            "X": lambda self: self.stack.append(self.counted("<I").decode()),
            "\x8c": lambda self: self.stack.append(self.counted("B").decode()),
            "\x8d": lambda self: self.stack.append(self.counted("<Q").decode()),
            "B": lambda self: self.stack.append(self.counted("<I")),
            "C": lambda self: self.stack.append(self.counted("B")),
            "\x8e": lambda self: self.stack.append(self.counted("<Q")),
            "\x96": lambda self: self.stack.append(self.counted("<Q")),  # bytearray
            ")": lambda self: self.tuple_of(0),
            "\x85": lambda self: self.tuple_of(1),
            "\x86": lambda self: self.tuple_of(2),
            "\x87": lambda self: self.tuple_of(3),
            "t": tuple_marked,
            "]": empty_list,
            "l": list_marked,
            "a": lambda self: self.append([self.stack.pop()]),
            "e": lambda self: self.append(self.pop_marked()),
            "}": empty_dict,
            "d": dict_marked,
            "s": lambda self: self.put([self.stack.pop(), self.stack.pop()][::-1]),
            "u": lambda self: self.put(self.pop_marked()),
            "p": lambda self: self.remember(int(self.line(MAX_NUMBER_LENGTH))),
            "q": lambda self: self.remember(self.byte()),
            "r": lambda self: self.remember(self.number("<I")),
            "\x94": lambda self: self.remember(len(self.memo)),
            "g": lambda self: self.recall(int(self.line(MAX_NUMBER_LENGTH))),
            "h": lambda self: self.recall(self.byte()),
            "j": lambda self: self.recall(self.number("<I")),
            "c": name_lines,
            "\x93": name_of_stack,
            "R": reduce,
            "b": build,
        }.items()
    }


_STOP = ord(".")
_END = -1  # where no instruction is left
_NOT_ADMITTED = {
    "P": "it refers to objects outside the file",
    "Q": "it refers to objects outside the file",
    "\x97": "it refers to data outside the file",
    "\x98": "it refers to data outside the file",
    "i": "it asks for an object, which is not admitted",
    "o": "it asks for an object, which is not admitted",
    "\x81": "it asks for an object, which is not admitted",
    "\x92": "it asks for an object, which is not admitted",
    "\x8f": "it holds a set, which is not admitted",
    "\x90": "it holds a set, which is not admitted",
    "\x91": "it holds a set, which is not admitted",
}  # fmt: skip


def _reason(code):
    if code == _END:
        return "it ends too early"
    return _NOT_ADMITTED.get(chr(code), f"no instruction of a pickle: {code:#04x}")


def _bytes(data):
    """Bytes as Python 2 wrote them, which were read as text."""
    return data.encode("latin-1") if isinstance(data, str) else data


def _scalar(type_=None, data=None):
    """A numpy number."""
    if type(type_) is not _Type or not isinstance(data, str | bytes):
        raise _Refused("scalar with unusual arguments, which are not admitted")
    return _Array(type_, (1,), "C", _bytes(data)).checked()[0]


class _Finish:
    """Arrays in place of their notes; loops, deep nesting and endless repetition are refused."""

    def __init__(self):
        self._done: dict[int, tuple] = {}  # by id: value, number of values in it, height
        self._open: set[int] = set()
        self._kept: list = []  # what ids stand for must live as long as they are used

    def value(self, value):
        return self._finish(value, 0)[0]

    def _finish(self, value, depth):
        if type(value) in _PLAIN or isinstance(value, np.generic):
            return value, 1, 0
        if isinstance(value, _Type | _Name):
            raise _Refused("it holds a name that stands alone")
        if not isinstance(value, _Array) and len(value) <= _SMALL and _plain(value):
            return value, 1 + len(value), 1
        key = id(value)
        if key in self._open:
            raise _Refused("a container that contains itself")
        if depth > MAX_DEPTH:
            raise _Refused(f"containers are nested more than {MAX_DEPTH} deep")
        if key not in self._done:
            self._open.add(key)
            self._done[key] = self._content(value, depth)
            self._open.remove(key)
            self._kept.append(value)
        finished, size, height = self._done[key]
        if depth + height > MAX_DEPTH:
            raise _Refused(f"containers are nested more than {MAX_DEPTH} deep")
        return finished, size, height

    def _content(self, value, depth):
        if isinstance(value, _Array):
            return value.checked(), 1, 0
        if _plain(value):
            return value, 1 + len(value), 1
        items = value.values() if isinstance(value, dict) else value
        parts = [self._finish(item, depth + 1) for item in items]
        size = 1 + sum(part[1] for part in parts)
        if size > MAX_VALUES:
            raise _Refused(f"it repeats its values more than {MAX_VALUES} times")
        finished = [part[0] for part in parts]
        height = 1 + max(part[2] for part in parts)
        if isinstance(value, tuple):
            return tuple(finished), size, height
        if isinstance(value, dict):
            value.update(zip(list(value), finished, strict=True))
        else:
            value[:] = finished
        return value, size, height


def _plain(container):
    """Whether a container holds numbers, text and bytes only."""
    items = container.values() if isinstance(container, dict) else container
    return all(type(item) in _PLAIN for item in items)
