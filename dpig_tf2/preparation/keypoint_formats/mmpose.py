"""MMPose's inferencer: instances of one photo, alone or with `meta_info`; also frames of these.

Its `predictions` are a list for each photo, also within a list of batches.
"""

from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.keypoint_formats import openpose
from dpig_tf2.preparation.keypoint_formats.layouts import COCO_NAMES, LEAST_SCORE, numbers
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Source,
    member,
)

NAME = "mmpose"
EXPECTED = "a list of instances with keypoints and keypoint_scores, or instance_info with these"


def recognizes(content: object) -> bool:
    if isinstance(content, dict):
        return "instance_info" in content or "predictions" in content
    return isinstance(content, list) and any(
        recognizes(item)
        if isinstance(item, list)
        else isinstance(item, dict) and "keypoint_scores" in item
        for item in content
    )


def read(source: Source) -> Iterator[Entry]:
    content, path = source.content, str(source.path)
    order = None
    if isinstance(content, dict):
        order = _order(content.get("meta_info"))
        key = "instance_info" if "instance_info" in content else "predictions"
        content = member(content, key, list)
    while len(content) == 1 and isinstance(content[0], list):
        content = content[0]
    if content and all(isinstance(item, list) for item in content):
        content = [{"instances": item} for item in content]
    if not any(isinstance(item, dict) and "instances" in item for item in content):
        people = source.people(content, lambda item: _person(item, order), path)
        yield source.own_photo(people)
        return
    names = [source.name] if len(content) == 1 else source.photos_in_order(len(content))
    if len(content) > 1:
        source.problems.append(f"{path}: {len(content)} frames are taken for the photos in order")
    for i, (name, frame) in enumerate(zip(names, content, strict=True)):
        where = f"{path}: frame {i}"
        try:
            instances = member(frame, "instances", list)
        except KeypointsError as error:
            source.problems.append(f"{where}: {error}")
            continue
        people = source.people(instances, lambda item: _person(item, order), where)
        yield Entry(name, people, where, from_file=len(content) == 1)


def _order(meta):
    """Where COCO's keypoints stand, if the file names its keypoints and has all of them."""
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(names, dict):
        return None
    numbers_ = {name: key for key, name in names.items() if isinstance(name, str)}
    absent = [name for name in COCO_NAMES if not str(numbers_.get(name)).isdecimal()]
    if absent:
        raise KeypointsError(f"its keypoints have no {absent[0]}, expected COCO's names")
    return [int(numbers_[name][:6]) for name in COCO_NAMES]


def _person(instance, order):
    points = numbers(member(instance, "keypoints", list), "keypoints")
    scores = numbers(member(instance, "keypoint_scores", list), "keypoint_scores")
    if points.ndim != 2 or points.shape[1] != 2 or scores.shape != points.shape[:1]:
        raise KeypointsError(
            f"keypoints {list(points.shape)} with scores {list(scores.shape)}, expected [K, 2] "
            "and [K]"
        )
    points = np.c_[points, scores]
    if order is not None:
        if max(order) >= len(points):
            raise KeypointsError(f"{len(points)} keypoints, fewer than the file names")
        points = points[order]
    return openpose.scored(points, (17, 18, 26, 133, 136), LEAST_SCORE)
