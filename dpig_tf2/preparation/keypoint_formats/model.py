"""What readers of keypoint files hand over: for each photo, the persons found on it."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dpig_tf2.errors import DpigError

_SHOWN = 80  # characters of a file's own text in messages


class KeypointsError(DpigError):
    """Keypoints that cannot be used; the message names file and entry and what was expected."""


@dataclasses.dataclass(frozen=True)
class Person:
    """`keypoints` float64 [18, 3] of (row, column, visibility or score), in the file's units.

    Of several persons on a photo the one of highest `rank` is taken.
    """

    keypoints: np.ndarray
    rank: tuple = (0,)


@dataclasses.dataclass(frozen=True)
class Entry:
    """Persons on one photo, as a file tells them.

    Attributes:
        name: of the photo: a path, or a file's name, as written in the file.
        people: who was found; None: somebody who cannot be used, which has been reported.
        place: file, and line where there is one, for messages.
        exact: the name holds the photo's ending, which must agree.
        from_file: the name is that of the keypoint file, without its ending.
        size: (rows, columns) of the image that the keypoints belong to, if the file says so.
        units: "pixels" or "normalized", if the format says so.
        identity: who it is, if the file says so.
    """

    name: str
    people: list[Person] | None
    place: str
    exact: bool = False
    from_file: bool = False
    size: tuple[float, float] | None = None
    units: str | None = None
    identity: str | None = None


@dataclasses.dataclass
class Source:
    """A file that is to be read.

    Attributes:
        path: the file.
        name: its path below the folder that was given, without its ending.
        content: of a JSON file.
        problems: where faults of single entries are reported.
        photo_of_number: name of the photo with that number, or None.
        photos_in_order: for frames without names: names of so many photos.
        images: for COCO results: {image id: (file name, size or None)}.
    """

    path: pathlib.Path
    name: str
    content: Any
    problems: list[str]
    photo_of_number: Callable[[int], str | None]
    photos_in_order: Callable[[int], list[str]]
    images: dict = dataclasses.field(default_factory=dict)

    def own_photo(self, people: list[Person] | None, **fields) -> Entry:
        """The photo that is named as the file."""
        return Entry(self.name, people, str(self.path), from_file=True, **fields)

    def people(
        self, items: Iterable, parse: Callable[[Any], Person], where: str, what: str = "person"
    ) -> list[Person] | None:
        """What can be used of several persons, None if none of them can.

        Each of the others is reported and costs only itself.
        """
        people, faulty = [], False
        for item in items:
            try:
                people.append(parse(item))
            except KeypointsError as error:
                faulty = True
                self.problems.append(f"{where}: unusable {what}: {error}")
        return None if faulty and not people else people


def member(value: object, key: str, kind: type = object) -> Any:
    """An entry of a JSON object.

    Raises:
        KeypointsError: if the value is no object, lacks it, or has another kind there.
    """
    if not isinstance(value, dict):
        raise KeypointsError(f"expected a dictionary with {key}, got {kind_of(value)}")
    if key not in value:
        raise KeypointsError(f"no {key}")
    if not isinstance(value[key], kind):
        raise KeypointsError(f"{key} is {kind_of(value[key])}, expected {_KINDS[kind]}")
    return value[key]


_KINDS = {dict: "a dictionary", list: "a list", str: "text"}


def kind_of(value: object) -> str:
    """What a JSON value is, for messages."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


def shown(text: object) -> str:
    """A file's own text as it may stand in a message: on one line, and not too long."""
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text)[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def size_of(rows: Any, columns: Any) -> tuple[float, float] | None:
    """A declared size, or None where there is none, or none that can be meant."""
    for value in (rows, columns):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 1e6:
            return None
    return float(rows), float(columns)
