"""JSON of strangers: read within bounds, or refused with file and place."""

import json
import math
import os
import pathlib
import re
from typing import Any

from dpig_tf2.errors import DpigError

# What one file may ask for; COCO's training annotations have 240 MB.
MAX_FILE_BYTES = 512 << 20
MAX_MEMORY = 3 << 30  # bytes of what is built, estimated from above
MAX_DEPTH = 64
_LONGEST_INTEGER = 300  # digits; whole numbers beyond the range of float become infinite
_LIST, _DICT, _VALUE = 72, 250, 34  # estimated sizes in memory, bytes
_BRACKET_OR_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


class JsonError(DpigError):
    """A JSON file that is damaged or goes beyond a limit; the message names file and place."""


def read_json(path: str | os.PathLike, finite: bool = False) -> Any:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    NaN and Infinity are admitted, as in files that Python writes; whole numbers of more than 300
    digits become infinite.

    Args:
        path: the file.
        finite: refuse NaN and what is infinite, which JSON does not have.

    Raises:
        JsonError: naming the file and the line at fault, if it is no JSON, is nested deeper than
            `MAX_DEPTH`, or is larger than the limits of this module.
        OSError: if the file cannot be read.
    """
    path = pathlib.Path(path)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise JsonError(
            f"{path}: {size} bytes of JSON, at most {MAX_FILE_BYTES} are read", file=path
        )
    data = path.read_bytes()
    if data[:4] == b"PK\3\4":
        raise JsonError(f"{path}: not JSON: it is a zip archive; unpack it first", file=path)
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise JsonError(
            f"{path}: not JSON: byte {error.start}: {error.reason}", file=path
        ) from None
    memory = _LIST * text.count("[") + _DICT * text.count("{") + _VALUE * text.count(",")
    if memory > MAX_MEMORY:
        raise JsonError(
            f"{path}: its content would take more than {MAX_MEMORY >> 20} MiB of memory", file=path
        )
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text, path)
    try:
        if not finite:
            return json.loads(text.removeprefix("\ufeff"), parse_int=_integer)
        return json.loads(
            text.removeprefix("\ufeff"),
            parse_int=lambda digits: _finite(_integer(digits)),
            parse_float=lambda digits: _finite(float(digits)),
            parse_constant=lambda name: _finite(float(name)),
        )
    except OverflowError as error:
        raise JsonError(f"{path}: not JSON: {error}", file=path) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise JsonError(f"{path}: not JSON: {place}: {error.msg}", file=path) from None


def _integer(digits):
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _finite(number):
    if not isinstance(number, int) and not math.isfinite(number):
        raise OverflowError(f"it holds the number {number}")
    return number


def _check_depth(text, path):
    """Before parsing: Python's parser may take all of the stack for nested content."""
    depth = 0
    for match in _BRACKET_OR_TEXT.finditer(text):
        character = match.group()
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            line = text.count("\n", 0, match.start()) + 1
            raise JsonError(
                f"{path}: not JSON: line {line}: nested more than {MAX_DEPTH} deep", file=path
            )
