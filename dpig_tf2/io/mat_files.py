"""Variables of MATLAB files of version 5 (`save -v6` and `-v7`): numbers, text, structs, cells.

Why an own reader: SciPy's trusts what the file says about itself; a file of 248 bytes ended the
interpreter, and no caller can catch that. The few kinds of data that data sets need take little
code, in which every length is checked against what the file holds.
"""

import dataclasses
import math
import os
import pathlib
import struct
import zlib
from typing import Any

import numpy as np

from dpig_tf2.errors import DpigError

# What one file may ask for; the published attribute and keypoint files have a few MiB.
MAX_FILE_BYTES = 256 << 20
MAX_INFLATED_BYTES = 256 << 20  # of all compressed elements together
MAX_DEPTH = 16  # structs and cells in structs and cells
MAX_PARTS = 2_000_000  # cells, fields of structs, rows of text
MAX_AXES = 32

_HEADER_BYTES = 128
_TAG_BYTES = 8
_MATRIX, _COMPRESSED = 14, 15
_UTF8, _UTF16, _UTF32 = 16, 17, 18
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800
_OTHER_CLASSES = {
    3: "an object", 5: "a sparse matrix", 16: "a function", 17: "an opaque object",
    18: "an object",
}  # fmt: skip


class MatError(DpigError):
    """A MATLAB file that is damaged, holds something unusual or lacks a variable.

    Attributes:
        position: of the fault, bytes from the start of the file, or of the compressed element.
    """

    def __init__(self, message: str, *, file: object, field: str | None = None, position: int = 0):
        super().__init__(message, file=file, field=field)
        self.position = position


class _Refused(ValueError):
    """Why an element is not read."""


def read(path: str | os.PathLike, variable: str) -> Any:
    """A variable of a .mat file.

    Returns:
        Numbers as an array of the file's shape (two axes or more) and the type they are stored in;
        text as str, of several rows as a list; cells as a list, column after column; a struct as
        {field: value}, an array of structs as a list of these.

    Raises:
        MatError: naming file and byte, if the file is damaged, goes beyond a limit of this module,
            or has no such variable.
        OSError: if the file cannot be read.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    reader = None
    try:
        if size > MAX_FILE_BYTES:
            raise _Refused(f"{size} bytes, at most {MAX_FILE_BYTES} are read")
        reader = _Reader(path.read_bytes())
        names = []
        for name, matrix in reader.variables():
            if name == variable:
                return reader.content(matrix)
            names.append(name)
    except (ValueError, struct.error, zlib.error) as error:
        position = reader.position if reader else 0
        raise MatError(
            f"{path}: not a readable .mat file: byte {position}: {error}",
            file=path,
            field=variable,
            position=position,
        ) from error
    shown = [name for name in names if name and name.isprintable()]
    there = ", ".join(shown)[:200] or "nothing"
    raise MatError(f"{path}: no variable {variable}; it holds {there}", file=path, field=variable)


@dataclasses.dataclass(frozen=True)
class _Span:
    """A stretch of bytes, of the file or of what was inflated."""

    data: memoryview
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class _Matrix:
    """A variable, cell or field before its content is read."""

    class_: int
    is_complex: bool
    shape: tuple[int, ...]
    rest: _Span  # behind its name
    depth: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


class _Reader:
    def __init__(self, data: bytes):
        self.position = 0
        self._inflatable = MAX_INFLATED_BYTES
        self._parts = MAX_PARTS
        if data.startswith(b"\x89HDF") or data[512:516] == b"\x89HDF":
            raise _Refused("it is of version 7.3 (HDF5); save it with -v7")
        if data[:2] == b"PK":
            raise _Refused("it is a zip archive; unpack it first")
        if len(data) < _HEADER_BYTES or data[126:128] not in (b"IM", b"MI"):
            raise _Refused("no MATLAB file of version 5")
        self._order = "<" if data[126:128] == b"IM" else ">"
        self._file = _Span(memoryview(data), _HEADER_BYTES, len(data))

    def variables(self):
        """(name, matrix) of each variable."""
        rest = self._file
        while rest.end - rest.start >= _TAG_BYTES:
            kind, content, rest = self._element(rest)
            if kind == _COMPRESSED:
                kind, content, _ = self._element(self._inflate(content))
            if kind == _MATRIX:
                yield self._matrix(content, 0)
        if any(rest.data[rest.start : rest.end]):
            self.position = rest.start
            raise _Refused("it ends too early")

    def content(self, matrix: _Matrix) -> object:
        self.position = matrix.rest.start
        if matrix.depth > MAX_DEPTH:
            raise _Refused(f"structs and cells are nested more than {MAX_DEPTH} deep")
        if matrix.class_ in _NUMERIC_CLASSES:
            return self._numeric(matrix)
        if matrix.class_ == _CHAR:
            return self._text(matrix)
        if matrix.class_ == _CELL:
            return self._children(matrix, matrix.count, matrix.rest)
        if matrix.class_ == _STRUCT:
            return self._struct(matrix)
        kind = _OTHER_CLASSES.get(matrix.class_, f"class {matrix.class_}")
        raise _Refused(f"it holds {kind}; numbers, text, structs and cells are read")

    def _element(self, span: _Span):
        """(type, content, what follows) of the element at the start of a span."""
        data, start = span.data, self._at(span, _TAG_BYTES)
        (first,) = struct.unpack_from(self._order + "I", data, start)
        if first >> 16:  # up to four bytes in the tag itself
            kind, length, begin, step = first & 0xFFFF, first >> 16, start + 4, _TAG_BYTES
            if length > 4:
                raise _Refused(f"a short element of {length} bytes")
        else:
            kind, begin = first, start + _TAG_BYTES
            (length,) = struct.unpack_from(self._order + "I", data, start + 4)
            padding = 0 if kind == _COMPRESSED else -length % 8
            step = _TAG_BYTES + length + padding
        if begin + length > span.end:
            raise _Refused(f"{length} bytes are announced, {span.end - begin} left")
        rest = _Span(data, min(start + step, span.end), span.end)
        return kind, _Span(data, begin, begin + length), rest

    def _at(self, span, count):
        """The start of a span that holds at least so many bytes."""
        self.position = span.start
        if span.end - span.start < count:
            raise _Refused("it ends too early")
        return span.start

    def _inflate(self, span):
        self.position = span.start
        inflater = zlib.decompressobj()
        data = inflater.decompress(span.data[span.start : span.end], self._inflatable)
        self._inflatable -= len(data)
        if inflater.unconsumed_tail or not self._inflatable:
            raise _Refused(f"compressed elements of more than {MAX_INFLATED_BYTES >> 20} MiB")
        if not inflater.eof:
            raise _Refused("a compressed element ends too early")
        return _Span(memoryview(data), 0, len(data))

    def _matrix(self, span: _Span, depth: int) -> tuple[str, _Matrix]:
        """Name and head of a matrix."""
        self._count(1)
        if span.start == span.end:  # how an empty cell or field may be written
            return "", _Matrix(6, False, (0, 0), span, depth)
        kind, flags, span = self._element(span)
        if kind != 6 or flags.end - flags.start != 8:
            raise _Refused("a matrix without its class")
        (word,) = struct.unpack_from(self._order + "I", flags.data, flags.start)
        kind, sizes, span = self._element(span)
        if kind != 5:
            raise _Refused("a matrix without its size")
        shape = tuple(int(size) for size in self._array(kind, sizes))
        if not 2 <= len(shape) <= MAX_AXES or min(shape) < 0:
            raise _Refused(f"a matrix of size {list(shape[:MAX_AXES])}")
        kind, name, span = self._element(span)
        if kind not in (1, 2, _UTF8):
            raise _Refused("a matrix without its name")
        text = bytes(name.data[name.start : name.end]).decode("latin-1")
        return text, _Matrix(word & 0xFF, bool(word & _COMPLEX), shape, span, depth)

    def _count(self, parts):
        self._parts -= parts
        if self._parts < 0:
            raise _Refused(f"more than {MAX_PARTS} cells, fields and rows of text")

    def _array(self, kind, span):
        """The numbers of an element, flat."""
        if kind not in _NUMBERS:
            raise _Refused(f"an element of type {kind}, expected numbers")
        dtype = np.dtype(self._order + _NUMBERS[kind])
        if (span.end - span.start) % dtype.itemsize:
            raise _Refused(f"{span.end - span.start} bytes are no whole count of numbers")
        if span.start == span.end:
            return np.empty(0, dtype)
        return np.frombuffer(span.data[span.start : span.end], dtype)

    def _numeric(self, matrix):
        if matrix.is_complex:
            raise _Refused("it holds complex numbers")
        if not matrix.count and matrix.rest.start == matrix.rest.end:
            return np.empty(matrix.shape)
        kind, span, _ = self._element(matrix.rest)
        numbers = self._array(kind, span)
        if len(numbers) != matrix.count:
            raise _Refused(f"{len(numbers)} numbers for a matrix of size {list(matrix.shape)}")
        return numbers.reshape(matrix.shape, order="F")

    def _text(self, matrix):
        if not matrix.count:
            return ""
        kind, span, _ = self._element(matrix.rest)
        data = bytes(span.data[span.start : span.end])
        if kind in (1, 2, _UTF8):
            text = data.decode("utf-8" if kind == _UTF8 else "latin-1")
        elif kind in (4, _UTF16, _UTF32):
            code = "utf-32" if kind == _UTF32 else "utf-16"
            text = data.decode(code + ("-le" if self._order == "<" else "-be"))
        else:
            raise _Refused(f"text of type {kind}")
        if len(text) != matrix.count or len(matrix.shape) > 2:
            raise _Refused(f"{len(text)} characters for text of size {list(matrix.shape)}")
        self._count(matrix.shape[0] - 1)  # its first row is counted with the matrix
        rows = [text[row :: matrix.shape[0]] for row in range(matrix.shape[0])]
        return rows[0] if len(rows) == 1 else rows

    def _struct(self, matrix):
        kind, length, span = self._element(matrix.rest)
        lengths = self._array(kind, length)
        if len(lengths) != 1 or not 0 < lengths[0] < 2**16:
            raise _Refused("a struct without the length of its names")
        _, names, span = self._element(span)
        data, step = bytes(names.data[names.start : names.end]), int(lengths[0])
        if len(data) % step:
            raise _Refused("names of fields that are cut off")
        fields = [
            data[i : i + step].partition(b"\0")[0].decode("latin-1")
            for i in range(0, len(data), step)
        ]
        if len(set(fields)) != len(fields):
            raise _Refused("a struct with two fields of one name")
        values = self._children(matrix, matrix.count * len(fields), span)
        step = max(1, len(fields))
        items = [
            dict(zip(fields, values[i : i + step], strict=True))
            for i in range(0, len(values), step)
        ]
        return items[0] if len(items) == 1 else items

    def _children(self, matrix, count, span):
        if count * _TAG_BYTES > span.end - span.start:
            raise _Refused(f"{count} cells or fields are announced, too many for the bytes left")
        values = []
        for _ in range(count):
            kind, content, span = self._element(span)
            if kind != _MATRIX:
                raise _Refused(f"a cell or field of type {kind}")
            values.append(self.content(self._matrix(content, matrix.depth + 1)[1]))
        return values
