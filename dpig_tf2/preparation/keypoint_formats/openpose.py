"""OpenPose's JSON, one file for each photo: people with `pose_keypoints_2d` of 18, 25 or 135."""

from collections.abc import Iterator
from typing import Any

from dpig_tf2.preparation.keypoint_formats.layouts import to_keypoints, triples
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    kind_of,
    member,
)

NAME = "openpose"
EXPECTED = "a dictionary with people, each with pose_keypoints_2d"
_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_COUNTS = (17, 18, 25, 135)  # 17: AlphaPose in this format


def recognizes(content: object) -> bool:
    return isinstance(content, dict) and "people" in content


def read(source: Source) -> Iterator[Entry]:
    people = source.people(member(source.content, "people", list), parse, str(source.path))
    yield source.own_photo(people)


def parse(person: Any) -> Person:
    """One detected person; the rank is the sum of all scores."""
    if not isinstance(person, dict):
        raise KeypointsError(f"expected a dictionary with {_KEYS[0]}, got {kind_of(person)}")
    values = person.get(_KEYS[0], person.get(_KEYS[1]))
    if values is None:
        raise KeypointsError(f"no {_KEYS[0]}")
    return scored(triples(values, _KEYS[0]), _COUNTS)


def scored(points, counts, least_score=None) -> Person:
    """A person from (x, y, score) [K, 3], ranked by the sum of the scores."""
    keypoints = to_keypoints(points, counts, least_score)
    return Person(keypoints, (float(points[:, 2].sum()),))
