"""COCO annotations: images and annotations with 17 keypoints of (x, y, v)."""

from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.keypoint_formats.layouts import from_coco, numbers
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    kind_of,
    member,
    shown,
    size_of,
)

NAME = "coco"
EXPECTED = "a dictionary with images and annotations"
PERSON = 1  # COCO's own category number


def recognizes(content: object) -> bool:
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read(source: Source) -> Iterator[Entry]:
    path, content = str(source.path), source.content
    images = image_table(source)
    is_person = _person_test(content)
    people: dict[object, list] = {}
    others = 0
    for i, annotation in enumerate(member(content, "annotations", list)):
        try:
            image_id = _key(member(annotation, "image_id"))
        except KeypointsError as error:
            source.problems.append(f"{path}: annotation {i}: {error}")
            continue
        if is_person(annotation):
            people.setdefault(image_id, []).append(annotation)
        else:
            others += 1
    if others:
        source.problems.append(f"{path}: {others} annotations of other categories are ignored")
    for image_id, found in people.items():
        if image_id not in images:
            source.problems.append(f"{path}: image_id {image_id!r} is not among the images"[:300])
            continue
        name, size = images[image_id]
        where = f"{path}: {shown(name)}"
        persons = source.people(found, _person, where, "annotation")
        if persons:
            yield Entry(name, persons, path, size=size)


def image_table(source: Source) -> dict:
    """{image id: (file name, size or None)}; unusable images and doubled numbers are reported."""
    path, images = str(source.path), {}
    for i, image in enumerate(member(source.content, "images", list)):
        try:
            image_id, name = _key(member(image, "id")), member(image, "file_name", str)
        except KeypointsError as error:
            source.problems.append(f"{path}: image {i}: {error}")
            continue
        size = size_of(image.get("height"), image.get("width"))
        if images.setdefault(image_id, (name, size))[0] != name:
            source.problems.append(
                f"{path}: image id {image_id!r} appears twice, the first one is kept"[:300]
            )
    return images


def _key(value):
    if isinstance(value, str | int | float):
        return value
    raise KeypointsError(f"an image number that is {kind_of(value)}")


def _person_test(content):
    """Whether an annotation is one of a person."""
    categories = content.get("categories")
    categories = categories if isinstance(categories, list) else []
    categories = [c for c in categories if isinstance(c, dict)]
    persons = [c.get("id") for c in categories if str(c.get("name")).strip().lower() == "person"]
    if not persons:  # without categories, or with names of its own
        persons = [c.get("id") for c in categories if "keypoints" in c or len(categories) == 1]
    usual = persons[0] if persons else PERSON
    return lambda annotation: annotation.get("category_id", usual) in (persons or [PERSON])


def _person(annotation):
    """Ranked by its visible keypoints, which are counted, then by its area."""
    points = numbers(annotation.get("keypoints"), "keypoints")
    if points.size != 51:
        count = 0 if annotation.get("keypoints") is None else points.size
        raise KeypointsError(f"{count} numbers, expected 51")
    area = annotation.get("area") or 0
    if not isinstance(area, int | float):
        raise KeypointsError(f"area is {kind_of(area)}, expected a number")
    keypoints = from_coco(points)
    return Person(keypoints, (int(np.count_nonzero(keypoints[:, 2] > 0)), area))
