"""AlphaPose: a results list with names, or dictionaries {name: people} in its other formats.

"open" writes `people` with `pose_keypoints_2d`, "cmu" `bodies` with `joints`.
"""

from collections.abc import Iterator

from dpig_tf2.preparation.keypoint_formats import coco_results, openpose
from dpig_tf2.preparation.keypoint_formats.layouts import LEAST_SCORE, triples
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    member,
    shown,
)

NAME = "alphapose"
EXPECTED = "a list of dictionaries with image_id and keypoints, or a dictionary {name: people}"
_COUNTS = (17, 18, 25, 26, 133, 136)


def recognizes(content: object) -> bool:
    if isinstance(content, list):
        return coco_results.is_results(content, str)
    return isinstance(content, dict) and (
        "bodies" in content or any(_is_photo(value) for value in content.values())
    )


def _is_photo(value):
    return isinstance(value, dict) and ("people" in value or "bodies" in value)


def read(source: Source) -> Iterator[Entry]:
    content, path = source.content, str(source.path)
    if isinstance(content, list):
        yield from coco_results.by_image(source, _name)
    elif "bodies" in content:
        yield source.own_photo(source.people(member(content, "bodies", list), _person, path))
    else:
        for name, photo in content.items():
            where = f"{path}: {shown(name)}"
            try:
                people = _people(photo)
            except KeypointsError as error:
                source.problems.append(f"{where}: {error}")
                yield Entry(name, None, path)
                continue
            yield Entry(name, source.people(people, _person, where), path)


def _people(photo):
    if isinstance(photo, dict) and "bodies" in photo:
        return member(photo, "bodies", list)
    return member(photo, "people", list)


def _person(person) -> Person:
    key = "joints" if isinstance(person, dict) and "joints" in person else "pose_keypoints_2d"
    return openpose.scored(triples(member(person, key, list)), _COUNTS, LEAST_SCORE)


def _name(source, result):
    if isinstance(result["image_id"], str):
        return result["image_id"], None
    source.problems.append(f"{source.path}: image_id {shown(result['image_id'])} is no name")
    return None
