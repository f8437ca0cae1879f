"""Keypoints from the files that people have, as {photo: float32 [18, 3]} in pixels.

What a file is, is found by its content; each format has a module here. Whatever cannot be meant is
refused with the reason; one unusable person or photo costs only itself, and is reported.
"""

import codecs
import contextlib
import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io.folders import files_below
from dpig_tf2.io.json_files import read_json
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, is_far_outside
from dpig_tf2.preparation.keypoint_formats import (
    alphapose,
    coco,
    coco_results,
    joint2d,
    keypoint_csv,
    labelme,
    mediapipe,
    mmpose,
    openpose,
    pickled,
    points_text,
    pose_editor,
)
from dpig_tf2.preparation.keypoint_formats.frames import UNITS, Frames
from dpig_tf2.preparation.keypoint_formats.layouts import from_coco
from dpig_tf2.preparation.keypoint_formats.model import (
    Entry,
    KeypointsError,
    Source,
    kind_of,
    shown,
)
from dpig_tf2.preparation.keypoint_formats.names import KEPT, PhotoNames
from dpig_tf2.progress import write_line

__all__ = [
    "FORMATS",
    "UNITS",
    "Annotations",
    "KeypointsError",
    "from_coco",
    "load",
    "read_keypoint_csv",
]

# In this order the JSON formats are tried.
_JSON_READERS = (
    pose_editor, openpose, coco, mmpose, coco_results, alphapose, mediapipe, labelme,
)  # fmt: skip
_READERS = {
    reader.NAME: reader for reader in (keypoint_csv, pickled, joint2d, points_text, *_JSON_READERS)
}
FORMATS = tuple(_READERS)
_ENDINGS = {
    ".json": None, ".csv": keypoint_csv, ".txt": points_text, ".mat": joint2d,
    ".p": pickled, ".pkl": pickled, ".pickle": pickled,
}  # fmt: skip
_SNIFFED_BYTES = 4096
_SCALED_NOTES = 3  # of which the first are spelled out


@dataclasses.dataclass
class Annotations:
    """Keypoints by image name, what was wrong with the file, and what else it tells.

    `keypoints` float32 [18, 3]: pixels (row, column, visibility), (0, 0, 0) where missing.
    `sizes` (rows, columns) of the images that they belong to, where the file says so.
    `others` further persons of an image, if they were asked for, the most certain first.
    `unusable` images of which the file tells nothing but what cannot be used.
    """

    keypoints: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    identities: dict[str, str] = dataclasses.field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    others: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    unusable: list[str] = dataclasses.field(default_factory=list)

    def lines_on_unusable(self, paths: Mapping[str, os.PathLike]) -> list[str]:
        """A line for each of the images {name: path} that are `unusable`, by name."""
        return [f"{paths[n]}: unusable keypoints" for n in sorted(paths.keys() & self.unusable)]


def load(
    path,
    keypoint_format: str = "auto",
    image_names: Iterable[str] = (),
    photo_sizes: Mapping[str, tuple] | Callable[[str], tuple | None] | None = None,
    units: str | None = None,
    may_be_empty: bool = False,
    everyone: bool = False,
    any_name: bool = False,
) -> Annotations:
    """Reads keypoints in any of the known formats.

    Args:
        path: file, or folder of files (also in folders below), each for one photo or for many.
        keypoint_format: one of `FORMATS`, or "auto": by the content.
        image_names: the photos, as paths below their folder; a name in the file means the one with
            which it shares the longest path. Empty: the names are those of the file.
        photo_sizes: {name: (rows, columns[, EXIF orientation])} of the photos as they are seen, or
            a function of the name that returns this or None. Asked only where the file says what
            size it means, or has normalized coordinates.
        units: "pixels" or "normalized" (0 to 1, or -1 to 1 where more than a tenth of all are
            negative, by columns and rows); None: what the format says. Coordinates in pixels that
            all lie between -1.5 and 1.5 are refused unless this says that they are meant.
        may_be_empty: files that can be read and say that nobody was found are not refused.
        everyone: all persons of an image are wanted, not the most certain one alone.
        any_name: one photo, and a file that has persons of one image, belong together whatever
            their names.

    Raises:
        KeypointsError: if the file does not exist, its format is not known, or nothing in it can be
            used. Faults of single images become `problems`.
        DpigError: if the file is damaged.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise KeypointsError(f"keypoints {path} do not exist", file=path)
    if keypoint_format not in ("auto", *FORMATS):
        raise KeypointsError(
            f"keypoint format must be one of {', '.join(FORMATS)}; got {keypoint_format!r}",
            field="keypoint_format",
        )
    if units not in (None, *UNITS):
        raise KeypointsError(f"units must be one of {UNITS}; got {units!r}", field="keypoint_units")
    annotations = Annotations()
    problems, names = annotations.problems, PhotoNames(image_names, any_name)
    entries = list(_entries(path, _READERS.get(keypoint_format), names, problems))
    frames = Frames(units, photo_sizes, entries)
    for name, entry in names.assign(entries, problems):
        _add(annotations, name, entry, frames, everyone)
    if frames.range_note:
        problems.append(f"{path}: {frames.range_note}")
    if frames.scaled:
        first = "; ".join(map(shown, frames.scaled[:_SCALED_NOTES]))
        problems.append(f"{path}: keypoints of {len(frames.scaled)} photos are scaled: {first}")
    nobody = entries and not any(entry.people is None or entry.people for entry in entries)
    if not annotations.keypoints and not (may_be_empty and nobody):
        first = f"; {problems[0]}" if problems else ""
        raise KeypointsError(f"{path}: no keypoints could be read{first}", file=path)
    return annotations


def read_keypoint_csv(path, size: tuple[int, int] | None = None) -> tuple[list[str], np.ndarray]:
    """Names, and keypoints float32 [N, 18, 3] in pixels, of a keypoint CSV.

    The file has lines `name: [18 rows]: [18 columns]` under a header; -1 is a missing keypoint,
    which becomes (0, 0, 0).

    Args:
        path: the file.
        size: (rows, columns) of the images that it must be in pixels of; None: any.

    Raises:
        KeypointsError: naming the file and line of the first problem, or a keypoint far outside of
            the images. A doubled row is none: the first one is kept, and a line says so.
    """
    annotations = load(path, keypoint_csv.NAME)
    for problem in annotations.problems:
        if not problem.endswith(KEPT):
            raise KeypointsError(problem, file=path)
        write_line(f"note: {problem}")
    names, keypoints = list(annotations.keypoints), np.stack(list(annotations.keypoints.values()))
    if size and (far := np.argwhere(is_far_outside(keypoints, *size))).size:
        person, number = far[0]
        row, column = keypoints[person, number, :2]
        raise KeypointsError(
            f"{path}: {shown(names[person])}: {KEYPOINT_NAMES[number]} at row {row:g}, column "
            f"{column:g} is far outside the image; expected pixels of images of {size[0]} x "
            f"{size[1]}",
            file=path,
        )
    return names, keypoints


def _add(annotations, name, entry, frames, everyone):
    """Takes one photo's keypoints, or reports why not."""
    problems, where = annotations.problems, f"{entry.place}: {shown(name)}"
    if entry.people is None:
        annotations.unusable.append(name)
        return
    if not entry.people:
        problems.append(f"{where}: no person was detected")
        return
    if any("\ud800" <= character <= "\udfff" for character in name):
        problems.append(f"{where}: the name holds half a character, left out")
        return
    people = sorted(entry.people, key=lambda person: _comparable(person.rank), reverse=True)
    if len(people) > 1 and not everyone:
        problems.append(f"{where}: {len(people)} persons, the most certain one is taken")
        people = people[:1]
    poses = []
    for person in people:
        try:
            keypoints = frames.to_pixels(name, entry, person.keypoints)
        except KeypointsError as error:
            problems.append(f"{where}: {error}")
            continue
        cleaned, faults = _clean(keypoints)
        problems += [f"{where}: {fault}" for fault in faults]
        poses.append(cleaned)
    if not poses:
        annotations.unusable.append(name)
        return
    annotations.keypoints[name], *others = poses
    if others:
        annotations.others[name] = others
    if entry.size:
        annotations.sizes[name] = (round(entry.size[0]), round(entry.size[1]))
    if entry.identity:
        annotations.identities[name] = entry.identity


def _comparable(rank):
    return tuple(-math.inf if isinstance(n, float) and math.isnan(n) else n for n in rank)


def _clean(keypoints):
    """Keypoints float32 with unusable ones marked missing, and a line for each of these."""
    problems = []
    with np.errstate(over="ignore", invalid="ignore"):
        keypoints = keypoints.astype(np.float32)  # what is too large becomes infinite
        finite = np.isfinite(keypoints).all(axis=1)
        usable = finite & (keypoints >= 0).all(axis=1) & (keypoints[:, 2] > 0)
        faulty = ~usable & ~(keypoints[:, 2] <= 0)
    for k in np.flatnonzero(faulty):
        row, column, _ = keypoints[k]
        what = f"negative (row {row:g}, column {column:g})" if finite[k] else "not a finite number"
        problems.append(f"{KEYPOINT_NAMES[k]} is {what}, taken as missing")
    keypoints[:, 2] = 1
    return np.where(usable[:, None], keypoints, np.float32(0)), problems


def _entries(path, wanted, names, problems) -> Iterator[Entry]:
    """What is said about each photo in a file, or in the files of a folder.

    A file of a folder that cannot be read costs only itself.
    """
    folder = path if path.is_dir() else path.parent
    waiting = []  # COCO results need the images of annotation files
    for file in _files(path, wanted, problems):
        with _sparing(path, problems):
            reader, content = _open(file, wanted)
            name = file.relative_to(folder).with_suffix("").as_posix()
            in_order = functools.partial(names.in_order, stem=name)
            source = Source(file, name, content, problems, names.of_number, in_order)
            if reader in (coco, coco_results):
                waiting.append((reader, source))
            elif content is not None and content in ([], {}):
                yield source.own_photo([])
            else:
                yield from _read(reader.read, source)
    results = [source for reader, source in waiting if reader is coco_results]
    images: dict = {}
    for reader, source in waiting:
        with _sparing(path, problems):
            if reader is coco and results:
                images |= _read(coco.image_table, source)
                problems.append(f"{source.path}: only names the images of the results beside it")
            elif reader is coco:
                yield from _read(reader.read, source)
    for source in results:
        source.images = images
        with _sparing(path, problems):
            yield from _read(coco_results.read, source)


def _files(path, wanted, problems):
    """The file itself, or those of a folder that may hold keypoints in the wanted format."""
    if not path.is_dir():
        return [path]
    endings = [
        ending
        for ending, reader in _ENDINGS.items()
        if wanted is None or reader is (None if wanted in _JSON_READERS else wanted)
    ]
    below = files_below(path, problems)
    files = [file for file in below if file.suffix.lower() in endings and os.path.isfile(file)]
    if not files:
        raise KeypointsError(f"{path}: no {', '.join(endings)} in this folder", file=path)
    return files


@contextlib.contextmanager
def _sparing(path, problems):
    """Faults of one file of a folder become problems."""
    try:
        yield
    except (DpigError, OSError) as error:
        if not path.is_dir():
            raise
        problems.append(str(error))


def _read(function, source):
    """What a reader returns, as a list where it generates; errors name the file."""
    try:
        result = function(source)
        return list(result) if isinstance(result, Iterator) else result
    except KeypointsError as error:
        if error.file:
            raise
        raise KeypointsError(
            f"{source.path}: not in the expected format: {error}", file=source.path
        ) from error


def _open(file, wanted):
    """(reader, content if it is JSON) of a file."""
    if wanted in _JSON_READERS:
        content = read_json(file)
        if content not in ([], {}) and not wanted.recognizes(content):
            raise KeypointsError(
                f"{file}: not in the format {wanted.NAME}: expected {wanted.EXPECTED}; got "
                f"{_seen(content)}",
                file=file,
            )
        return wanted, content
    reader = wanted or _sniff(file)
    if reader is not None:
        return reader, None
    content = read_json(file)
    for reader in _JSON_READERS:
        if reader.recognizes(content):
            return reader, content
    if content in ([], {}):
        return openpose, content
    raise KeypointsError(
        f"{file}: no known keypoint format: {_seen(content)}; expected one of "
        + "; ".join(f"{reader.NAME}: {reader.EXPECTED}" for reader in _JSON_READERS),
        file=file,
    )


def _seen(content):
    """What some JSON is, in a few words."""
    if isinstance(content, dict):
        return "a dictionary with " + (shown(", ".join(list(content)[:6])) or "nothing in it")
    if isinstance(content, list):
        first = _seen(content[0]) if content and isinstance(content[0], dict) else ""
        return f"a list of {len(content)}" + (f", the first {first}" if first else "")
    return kind_of(content)


def _sniff(file):
    """The reader of a file by its first bytes; None: it is JSON."""
    with open(file, "rb") as opened:
        head = opened.read(_SNIFFED_BYTES)
    if head.startswith(b"PK\3\4"):
        raise KeypointsError(f"{file}: is a zip archive; unpack it and give the folder", file=file)
    if not head.strip() and file.suffix.lower() in _ENDINGS:
        raise KeypointsError(f"{file}: is empty", file=file)
    if head[126:128] in (b"IM", b"MI") or head.startswith((b"MATLAB", b"\x89HDF")):
        return joint2d
    if head[:1] == b"\x80" or _is_old_pickle(head):
        return pickled
    is_utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = head.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    if text.lstrip()[:1] in ("[", "{"):
        return None
    if is_utf16:
        raise KeypointsError(f"{file}: is text in UTF-16; save it as UTF-8", file=file)
    if "keypoints_y" in text.split("\n")[0] or text.split("\n")[0].count("[") == 2:
        return keypoint_csv
    if points_text.is_points(text):
        return points_text
    if file.suffix.lower() in _ENDINGS:
        return _ENDINGS[file.suffix.lower()]
    raise KeypointsError(
        f"{file}: cannot tell the keypoint format, name it: {', '.join(FORMATS)}", file=file
    )


def _is_old_pickle(head):
    """Pickles of protocol 0 and 1 begin with a container that is filled later."""
    return head.startswith((b"(d", b"(l", b"}q", b"]q", b"ccollections"))
