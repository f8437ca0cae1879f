"""labelme's JSON: points whose labels name the keypoints; `group_id` tells persons apart."""

import re
from collections.abc import Iterator

import numpy as np

from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, NUM_KEYPOINTS
from dpig_tf2.preparation.keypoint_formats.layouts import numbers, with_neck
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    member,
    shown,
    size_of,
)

NAME = "labelme"
EXPECTED = "a dictionary with shapes, points labeled with the names of the keypoints"
_SIDES = {"r": "right", "right": "right", "l": "left", "left": "left"}
_SIDE = re.compile(r"(right|left|r|l)_?(eye|ear|shoulder|elbow|wrist|hip|knee|ankle)")


def recognizes(content: object) -> bool:
    return isinstance(content, dict) and "shapes" in content


def read(source: Source) -> Iterator[Entry]:
    content, path = source.content, str(source.path)
    groups: dict[str, list] = {}
    others = 0
    for i, shape in enumerate(member(content, "shapes", list)):
        if not isinstance(shape, dict):
            source.problems.append(f"{path}: shape {i} is not a dictionary")
        elif shape.get("shape_type", "point") != "point":
            others += 1
        else:
            groups.setdefault(str(shape.get("group_id"))[:99], []).append((i, shape))
    if others:
        source.problems.append(f"{path}: {others} shapes that are no points are ignored")
    people = [_person(shapes, source) for shapes in groups.values()]
    size = size_of(content.get("imageHeight"), content.get("imageWidth"))
    name = content.get("imagePath")
    if isinstance(name, str) and name.strip():
        if not {"/", "\\"} & set(name):  # beside the file
            name = "/".join([*source.name.split("/")[:-1], name])
        yield Entry(name, people, path, size=size)
    else:
        yield source.own_photo(people, size=size)


def _person(shapes, source):
    keypoints = np.zeros((NUM_KEYPOINTS, 3))
    for i, shape in shapes:
        try:
            k, point = _point(shape)
        except KeypointsError as error:
            source.problems.append(f"{source.path}: shape {i}: {error}")
            continue
        if keypoints[k, 2]:
            source.problems.append(
                f"{source.path}: {KEYPOINT_NAMES[k]} appears twice, the first one is kept"
            )
            continue
        keypoints[k] = point[1], point[0], 1
    if not keypoints[KEYPOINT_NAMES.index("neck"), 2]:
        with_neck(keypoints)
    return Person(keypoints, (int(keypoints[:, 2].sum()),))


def _point(shape):
    label = re.sub(r"[\s\-]+", "_", str(member(shape, "label", str)).strip().lower())
    side = _SIDE.fullmatch(label)
    if side:
        label = f"{_SIDES[side.group(1)]}_{side.group(2)}"
    if label not in KEYPOINT_NAMES:
        raise KeypointsError(f"label {shown(label)} names no keypoint")
    point = numbers(member(shape, "points", list), "points").ravel()
    if point.shape != (2,):
        raise KeypointsError(f"{point.size} numbers, expected one point")
    return KEYPOINT_NAMES.index(label), point
