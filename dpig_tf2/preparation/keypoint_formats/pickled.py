"""Pickles {name: [18, 3]} of (row, column, visibility)."""

from collections.abc import Iterator

from dpig_tf2.io import pickles
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.preparation.keypoint_formats.layouts import numbers
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Person,
    Source,
    shown,
)

NAME = "pickle"
EXPECTED = "a pickle of a dictionary {name: [18, 3]}"


def read(source: Source) -> Iterator[Entry]:
    path = source.path
    content = pickles.load(path)
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise KeypointsError(
            f"{path}: expected a dictionary of image names, got a {kind}", file=path
        )
    for name, value in content.items():
        name = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        try:
            array = numbers(value, "keypoints")
        except KeypointsError:
            shape = "no numbers"
        else:
            if array.shape == (NUM_KEYPOINTS, 3):
                yield Entry(name, [Person(array)], str(path), exact=True)
                continue
            shape = f"shape {list(array.shape)}"
        source.problems.append(f"{path}: {shown(name)}: has {shape}, expected [18, 3]")
        yield Entry(name, None, str(path), exact=True)
