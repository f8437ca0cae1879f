"""JSON of pose editors: OpenPose people on a canvas of stated size; also a list of such frames."""

from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.keypoint_formats import openpose
from dpig_tf2.preparation.keypoint_formats.layouts import to_keypoints, triples
from dpig_tf2.preparation.keypoint_formats.model import Entry, Person, Source, member, size_of

NAME = "pose_editor"
EXPECTED = "a dictionary with people, canvas_width and canvas_height, or a list of these"


def recognizes(content: object) -> bool:
    if isinstance(content, list):
        return bool(content) and all(isinstance(f, dict) and "people" in f for f in content)
    return isinstance(content, dict) and (
        "canvas_width" in content
        and "people" in content
        or {"width", "height", "keypoints"} <= content.keys()
    )


def read(source: Source) -> Iterator[Entry]:
    content, path = source.content, str(source.path)
    frames = content if isinstance(content, list) else [content]
    names = [source.name] if len(frames) == 1 else source.photos_in_order(len(frames))
    if len(frames) > 1:
        source.problems.append(f"{path}: {len(frames)} frames are taken for the photos in order")
    for i, (name, frame) in enumerate(zip(names, frames, strict=True)):
        where = path if len(frames) == 1 else f"{path}: frame {i}"
        if "people" in frame:
            people = source.people(member(frame, "people", list), openpose.parse, where)
            size = size_of(frame.get("canvas_height"), frame.get("canvas_width"))
        else:
            people = source.people(member(frame, "keypoints", list), _without_scores, where)
            size = size_of(frame["height"], frame["width"])
        yield Entry(name, people, where, from_file=len(frames) == 1, size=size)


def _without_scores(points):
    """A person of [18, 2] points; a missing one is null."""
    if isinstance(points, list):
        points = [[0, 0, 0] if point is None else point for point in points]
        points = [[*p, 1] if isinstance(p, list) and len(p) == 2 else p for p in points]
    keypoints = to_keypoints(triples(points), (18,))
    return Person(keypoints, (int(np.count_nonzero(keypoints[:, 2] > 0)),))
