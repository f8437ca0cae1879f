"""MediaPipe's pose landmarks: 33 for each person, normalized by the photo's width and height."""

from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.keypoint_formats import openpose
from dpig_tf2.preparation.keypoint_formats.layouts import numbers
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Source,
    kind_of,
    member,
    shown,
    size_of,
)

NAME = "mediapipe"
EXPECTED = "33 landmarks with x, y and visibility, or a dictionary with these as landmarks"
_COUNT = 33
_KEYS = ("landmarks", "pose_landmarks", "poseLandmarks")
_VISIBLE = 0.5


def recognizes(content: object) -> bool:
    return _persons(content) is not None or (
        isinstance(content, dict) and any(_persons(value) for value in content.values())
    )


def read(source: Source) -> Iterator[Entry]:
    content, path = source.content, str(source.path)
    persons = _persons(content)
    if persons is not None:
        fields = content if isinstance(content, dict) else {}
        sizes = [(fields.get(f"{p}height"), fields.get(f"{p}width")) for p in ("image_", "")]
        size = size_of(*sizes[0]) or size_of(*sizes[1])
        people = source.people(persons, _person, path)
        yield source.own_photo(people, units="normalized", size=size)
        return
    for name, value in content.items():
        where = f"{path}: {shown(name)}"
        persons = _persons(value)
        if persons is None:
            source.problems.append(f"{where}: {kind_of(value)}, expected {EXPECTED}")
            yield Entry(name, None, path)
            continue
        yield Entry(name, source.people(persons, _person, where), path, units="normalized")


def _persons(value):
    """The lists of landmarks of each person, or None if it is something else."""
    if isinstance(value, dict):
        found = [value[key] for key in _KEYS if key in value]
        return _persons(found[0]) if found and isinstance(found[0], list) else None
    if not isinstance(value, list) or not value:
        return None if not isinstance(value, list) else []
    if _is_landmark(value[0]):
        return [value]
    return value if isinstance(value[0], list) and value[0] and _is_landmark(value[0][0]) else None


def _is_landmark(value):
    return isinstance(value, dict) and {"x", "y"} <= value.keys()


def _person(landmarks):
    if not isinstance(landmarks, list) or len(landmarks) != _COUNT:
        count = len(landmarks) if isinstance(landmarks, list) else kind_of(landmarks)
        raise KeypointsError(f"{count} landmarks, expected {_COUNT}")
    points = [[member(mark, "x"), member(mark, "y")] for mark in landmarks]
    points = numbers(points, "landmarks")
    scores = [mark.get("visibility", mark.get("presence")) for mark in landmarks]
    scores = numbers([1 if score is None else score for score in scores], "visibility")
    if points.shape != (_COUNT, 2) or scores.shape != (_COUNT,):
        raise KeypointsError("landmarks whose x, y or visibility are not numbers")
    with np.errstate(invalid="ignore"):
        # Some builds write the logit of the visibility.
        logits = bool((scores < 0).any() or (scores > 1).any())
        visible = scores >= (0 if logits else _VISIBLE)
        visible &= ((points >= 0) & (points <= 1)).all(axis=1)  # others lie outside of the photo
    return openpose.scored(np.c_[points, visible], (_COUNT,))
