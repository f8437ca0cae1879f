"""CSV of lines `name: [18 rows]: [18 columns]`, as published for both data sets; -1 is missing.

Further columns tell the `identity`, and which `person` of several on one photo it is.
"""

import json
from collections.abc import Iterator

import numpy as np

from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.preparation import csv_rows
from dpig_tf2.preparation.keypoint_formats.layouts import numbers
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    shown,
)

NAME = "csv"
EXPECTED = "a CSV with the header name:keypoints_y:keypoints_x"
COLUMNS = ("name", "keypoints_y", "keypoints_x")
_MISSING = -1
_MOST_CHARACTERS = 10_000  # of a list of 18 numbers


def read(source: Source) -> Iterator[Entry]:
    _explain_header(source.path)
    several: dict[str, list[Person]] = {}
    for where, row in csv_rows.read(source.path, COLUMNS, ":"):
        name = row["name"].strip()
        try:
            points = np.stack([_numbers(row[key], key) for key in COLUMNS[1:]], axis=1)
        except KeypointsError as error:
            source.problems.append(f"{where}: {shown(name)}: {error}")
            yield Entry(name, None, where, exact=True)
            continue
        person = Person(visible_unless(points, _MISSING))
        identity = (row.get("identity") or "").strip() or None
        if row.get("person") and name in several:
            several[name].append(person)
            continue
        people = several[name] = [person]
        yield Entry(name, people, where, exact=True, identity=identity)


def _numbers(text, what):
    try:
        values = json.loads(text[:_MOST_CHARACTERS] or "null")
    except (ValueError, RecursionError) as error:
        raise KeypointsError(f"{what} is not a list of numbers") from error
    if not isinstance(values, list):
        raise KeypointsError(f"{what} is not a list of numbers")
    values = numbers(values, what)
    if values.shape != (NUM_KEYPOINTS,):
        raise KeypointsError(f"{what} has {values.size} numbers, expected {NUM_KEYPOINTS}")
    return values


def visible_unless(points: np.ndarray, missing: float) -> np.ndarray:
    """Points [K, 2] with a visibility: 0 where both coordinates have the value for missing."""
    return np.column_stack([points, (points != missing).any(axis=1)])


def _explain_header(path):
    """Raises KeypointsError for the common ways in which a header is not as expected."""
    with open(path, "rb") as file:
        line = file.readline(1000).decode("utf-8", "replace").lstrip("\ufeff").strip()
    reason = None
    if line.count("[") == 2:
        reason = "it has no header"
    else:
        for separator, title in ((",", "commas"), (";", "semicolons"), ("\t", "tabs")):
            if [field.strip() for field in line.split(separator)[:3]] == list(COLUMNS):
                reason = f"its fields are separated by {title}, not by colons"
    if reason:
        raise KeypointsError(
            f"{path}: expected the header {':'.join(COLUMNS)}; {reason}", file=path
        )
