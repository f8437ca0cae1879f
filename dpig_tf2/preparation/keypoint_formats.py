"""Keypoints from the files that people have, as {image name: float32 [18, 3]} in pixels."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Iterable

import numpy as np
from absl import logging

from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, NUM_KEYPOINTS
from dpig_tf2.preparation import csv_rows, mat_files, safe_pickle

_MISSING = -1  # of the keypoint CSVs
_KEPT = "appears twice, the first one is kept"
_NECK = KEYPOINT_NAMES.index("neck")
_SHOULDERS = (KEYPOINT_NAMES.index("right_shoulder"), KEYPOINT_NAMES.index("left_shoulder"))
# Where COCO's 17 keypoints (nose, left eye, right eye, ...) stand among the 18; no neck.
_FROM_COCO = tuple(
    KEYPOINT_NAMES.index(name)
    for name in (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    )
)  # fmt: skip
# OpenPose's BODY_25 keypoints that the 18 consist of, in our order: no middle hip, no feet.
_FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)


@dataclasses.dataclass
class Annotations:
    """Keypoints by image name, what was wrong with the file, and identities where it has them.

    `keypoints` float32 [18, 3]: pixels (row, column, visibility), (0, 0, 0) where missing.
    """

    keypoints: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    identities: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, name: str, keypoints: np.ndarray, where: str) -> None:
        """Takes one image's keypoints, or reports why not."""
        if name in self.keypoints:
            self.problems.append(f"{where}: {name} {_KEPT}")
            return
        cleaned, problems = _clean(np.asarray(keypoints, np.float64))
        self.problems += [f"{where}: {name}: {problem}" for problem in problems]
        self.keypoints[name] = cleaned


def _clean(keypoints):
    """Keypoints with unusable ones marked missing, and a line for each of these."""
    problems = []
    for k, (row, column, visibility) in enumerate(keypoints):
        if visibility <= 0:
            continue
        if not (math.isfinite(row) and math.isfinite(column) and math.isfinite(visibility)):
            problems.append(f"{KEYPOINT_NAMES[k]} is not a finite number, taken as missing")
        elif row < 0 or column < 0:
            where = f"(row {row:g}, column {column:g})"
            problems.append(f"{KEYPOINT_NAMES[k]} is negative {where}, taken as missing")
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(keypoints).all(axis=1) & (keypoints >= 0).all(axis=1)
        usable &= keypoints[:, 2] > 0
    cleaned = np.where(usable[:, None], np.c_[keypoints[:, :2], np.ones(len(keypoints))], 0.0)
    return cleaned.astype(np.float32), problems


def load(path, keypoint_format: str = "auto", image_names: Iterable[str] = ()) -> Annotations:
    """Reads keypoints in any of the known formats.

    Args:
        path: file or folder.
        keypoint_format: one of `FORMATS`, or "auto": by the name of the file.
        image_names: the images; formats that name images without their ending are matched to these.

    Raises:
        ValueError: if the file does not exist, its format is not known, or nothing in it can be
            read. Faults of single images become `problems`.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"keypoints {path} do not exist")
    if keypoint_format == "auto":
        keypoint_format = _guess_format(path)
    if keypoint_format not in _READERS:
        choices = ", ".join(FORMATS)
        raise ValueError(f"keypoint format must be one of {choices}; got {keypoint_format!r}")
    stems = {pathlib.PurePath(name).stem: name for name in image_names}
    return _READERS[keypoint_format](path, stems)


def _guess_format(path):
    if path.is_dir():
        if any(path.glob("*_keypoints.json")):
            return "openpose"
        if any(path.glob("*.mat")):
            return "joint2d"
    if path.suffix.lower() == ".json":
        content = _read_json(path)
        return "openpose" if isinstance(content, dict) and "people" in content else "coco"
    endings = {
        ".csv": "csv", ".mat": "joint2d",
        ".p": "pickle", ".pkl": "pickle", ".pickle": "pickle",
    }  # fmt: skip
    if path.suffix.lower() not in endings:
        raise ValueError(f"{path}: cannot tell the keypoint format, name it: {', '.join(FORMATS)}")
    return endings[path.suffix.lower()]


def read_keypoint_csv(path) -> tuple[list[str], np.ndarray]:
    """Names, and keypoints float32 [N, 18, 3] in pixels, of a keypoint CSV.

    The file has lines `name: [18 rows]: [18 columns]` under a header; -1 is a missing keypoint,
    which becomes (0, 0, 0).

    Raises:
        ValueError: naming the file and line of the first fault; a doubled row is none.
    """
    annotations = _read_csv(pathlib.Path(path), {})
    for problem in annotations.problems:
        if not problem.endswith(_KEPT):
            raise ValueError(problem)
        logging.warning("%s", problem)
    return list(annotations.keypoints), np.stack(list(annotations.keypoints.values()))


def _read_csv(path, stems):
    del stems  # a CSV names whole files
    annotations = Annotations()
    for where, row in csv_rows.read(path, ("name", "keypoints_y", "keypoints_x"), ":"):
        name = row["name"].strip()
        try:
            points = np.stack(
                [_numbers(row[key], NUM_KEYPOINTS, key) for key in ("keypoints_y", "keypoints_x")],
                axis=1,
            )
        except ValueError as error:
            annotations.problems.append(f"{where}: {name}: {error}")
            continue
        annotations.add(name, _visible_unless(points, _MISSING), where)
        if row.get("identity"):
            annotations.identities.setdefault(name, row["identity"].strip())
    return _not_empty(annotations, path)


def _numbers(text, count, what):
    try:
        values = np.asarray(json.loads(text or "null"), np.float64)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not a list of numbers") from error
    if values.shape != (count,):
        raise ValueError(f"{what} has {values.size} numbers, expected {count}")
    return values


def _visible_unless(points, missing):
    """Points [K, 2] with a visibility: 0 where both coordinates have the value for missing."""
    return np.c_[points, (points != missing).any(axis=1)]


def _read_pickle(path, stems):
    del stems  # the pickle names whole files
    annotations = Annotations()
    content = safe_pickle.load(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dictionary of image names, got {type(content)}")
    for name, value in content.items():
        array = _array(value)
        if array is None or array.shape != (NUM_KEYPOINTS, 3):
            shape = "no numbers" if array is None else f"shape {list(array.shape)}"
            annotations.problems.append(f"{path}: {name}: has {shape}, expected [18, 3]")
            continue
        annotations.add(str(name), array, str(path))
    return _not_empty(annotations, path)


def _array(value):
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _read_openpose(path, stems):
    annotations = Annotations()
    for file in sorted(path.glob("*_keypoints.json")) if path.is_dir() else [path]:
        stem = file.stem.removesuffix("_keypoints")
        try:
            people = [_openpose_person(person) for person in _read_json(file)["people"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            annotations.problems.append(f"{file}: not an OpenPose file ({error})")
            continue
        if not people:
            annotations.problems.append(f"{file}: no person was detected")
            continue
        best = max(people, key=lambda person: person[:, 2].sum())
        if len(people) > 1:
            annotations.problems.append(
                f"{file}: {len(people)} persons, the most confident one is taken"
            )
        annotations.add(stems.get(stem, stem), best, str(file))
    return _not_empty(annotations, path)


def _openpose_person(person):
    """Keypoints (row, column, confidence) [18, 3] of one detected person."""
    values = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
    points = np.asarray(values, np.float64).reshape(-1, 3)
    if len(points) == 25:
        points = points[list(_FROM_BODY_25)]
    if len(points) != NUM_KEYPOINTS:
        raise ValueError(f"{len(points)} keypoints, expected 18 or 25")
    return points[:, [1, 0, 2]]


def _read_coco(path, stems):
    annotations = Annotations()
    content = _read_json(path)
    try:
        names: dict[object, str] = {}
        for image in content["images"]:
            if names.setdefault(image["id"], image["file_name"]) != image["file_name"]:
                annotations.problems.append(
                    f"{path}: image id {image['id']!r} appears twice, the first one is kept"
                )
        people: dict[object, list[dict]] = {}
        for person in content["annotations"]:
            people.setdefault(person["image_id"], []).append(person)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a COCO keypoints file, no {error}") from error
    for image_id, found in people.items():
        if image_id not in names:
            annotations.problems.append(f"{path}: image_id {image_id!r} is not among the images")
            continue
        name = names[image_id]
        if len(found) > 1:
            annotations.problems.append(
                f"{path}: {name}: {len(found)} persons, the fullest is taken"
            )
        try:
            points = _fullest(found)
        except (ValueError, TypeError) as error:
            annotations.problems.append(f"{path}: {name}: unusable annotation: {error}")
            continue
        name = stems.get(pathlib.PurePath(str(name)).stem, str(name))
        annotations.add(name, from_coco(points), str(path))
    return _not_empty(annotations, path)


def _fullest(people):
    """The 51 numbers of the person with most keypoints, the largest of several."""
    best = max(people, key=lambda one: (one.get("num_keypoints") or 0, one.get("area") or 0))
    points = _array(best.get("keypoints"))
    if points is None or points.size != 51:
        raise ValueError(f"{0 if points is None else points.size} numbers, expected 51")
    return points


def from_coco(points) -> np.ndarray:
    """The 18 keypoints of COCO's 17; the neck is the midpoint of the shoulders.

    Args:
        points: float [17, 3] of (column, row, visibility), or flat; visibility > 0 is visible.

    Returns:
        float64 [18, 3] of (row, column, visibility in {0, 1}, or NaN where that was given).
    """
    points = np.asarray(points, np.float64).reshape(17, 3)
    keypoints = np.zeros((NUM_KEYPOINTS, 3))
    keypoints[list(_FROM_COCO)] = points[:, [1, 0, 2]]
    visibility = keypoints[:, 2]
    keypoints[:, 2] = np.where(np.isnan(visibility), visibility, visibility > 0)
    shoulders = keypoints[list(_SHOULDERS)]
    if shoulders[:, 2].all():
        keypoints[_NECK] = shoulders.mean(axis=0)
    return keypoints


def _read_joint2d(path, stems):
    annotations = Annotations()
    for file in sorted(path.glob("*.mat")) if path.is_dir() else [path]:
        try:
            points = _joint2d_points(file)
        except ValueError as error:
            annotations.problems.append(str(error))
            continue
        annotations.add(stems.get(file.stem, file.stem), from_coco(points), str(file))
    return _not_empty(annotations, path)


def _joint2d_points(file):
    """Points [17, 3] from joint2d, [17, 2 or 3] or transposed, of (column, row[, score])."""
    joints = _array(mat_files.read(file, "joint2d"))
    if joints is None:
        raise ValueError(f"{file}: joint2d holds no numbers")
    joints = np.squeeze(joints)
    if joints.ndim == 2 and joints.shape[1] == 17:
        joints = joints.T
    if joints.ndim != 2 or joints.shape[0] != 17 or joints.shape[1] not in (2, 3):
        shape = list(joints.shape)
        raise ValueError(f"{file}: joint2d has shape {shape}, expected [17, 2] or [17, 3]")
    # Mask-RCNN gives every joint; tools that blank one write zeros.
    return joints if joints.shape[1] == 3 else _visible_unless(joints, 0)


def _read_json(path):
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error


def _not_empty(annotations, path):
    if not annotations.keypoints:
        first = f"; {annotations.problems[0]}" if annotations.problems else ""
        raise ValueError(f"{path}: no keypoints could be read{first}")
    return annotations


_READERS: dict[str, Callable[[pathlib.Path, dict[str, str]], Annotations]] = {
    "csv": _read_csv,
    "pickle": _read_pickle,
    "openpose": _read_openpose,
    "coco": _read_coco,
    "joint2d": _read_joint2d,
}
FORMATS = tuple(_READERS)
