"""Own photos with keypoints -> records."""

import collections
import dataclasses
import functools
import pathlib
import random
import re

import numpy as np

from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.io.hashes import sha256_of_arrays, sha256_of_texts
from dpig_tf2.io.images import upright_size
from dpig_tf2.preparation import conversion, keypoint_formats, photos
from dpig_tf2.preparation.keypoint_formats.names import in_shop_name
from dpig_tf2.preparation.pairs import make_pairs, read_pairs_csv
from dpig_tf2.progress import Progress
from dpig_tf2.records import schema

IDENTITY_BEFORE_UNDERSCORE = "([^_]+)_"
_CAMERA = re.compile(r"-?\d+_c(\d{1,9})")  # as in Market-1501's names


def convert(
    images_dir,
    keypoints,
    out_dir,
    split: str = "train",
    *,
    keypoint_format: str = "auto",
    units: str | None = None,
    variant: str = "keypoints",
    height: int | None = None,
    width: int | None = None,
    resize: str = "none",
    background: photos.Color = photos.GRAY,
    identity: str = IDENTITY_BEFORE_UNDERSCORE,
    pair_mode: str = "same_identity",
    pairs_csv=None,
    options: conversion.Options = conversion.DEFAULTS,
    detected: DetectedPoses | None = None,
) -> conversion.Conversion:
    """Writes the records of one split from a folder of photos and their keypoints.

    Args:
        images_dir: folder of photos.
        keypoints: file or folder, see `keypoint_formats`; None: they are found in the photos.
        out_dir: folder for the records.
        split: split part of the file names; the order of "train" is shuffled.
        keypoint_format: one of `keypoint_formats.FORMATS`, or "auto".
        units: of the keypoints, see `keypoint_formats.load`.
        variant: record schema and box rule, "keypoints", "market1501" or "deepfashion".
        height, width: image size in the records, pixels; None: the variant's.
        resize: one of `photos.RESIZE_MODES`.
        background: what shines through transparent pixels.
        identity: who is on a photo: a regular expression whose first group is the identity, matched
            at the start of the file's name; "folder" is the folder that the photo is in, "column"
            takes the CSV's column, "image" is one per photo.
        pair_mode: one of `pairs.PAIR_MODES`.
        pairs_csv: file of from,to rows; replaces `pair_mode`.
        options: shards and the like; nothing is mirrored unless asked for.
        detected: finds the persons if there are no keypoints, and keeps what was found.

    Raises:
        DpigError: naming what is missing, unknown or contradictory, or if no pair can be formed.
        OutputError: if the folder holds records made with other settings.
    """
    if (keypoints is None) == (detected is None):
        raise DpigError("expected either keypoints or a detector of poses", field="keypoints")
    chosen = schema.variant(variant)
    size = (height or chosen.height, width or chosen.width)
    not_listed: list[str] = []
    names, left_out = photos.find_images(images_dir, not_listed)
    target = conversion.Target(out_dir, variant, split, *size, _image_format(names))
    with conversion.session(target, options) as session:
        problems = session.problems
        problems += not_listed
        if detected is None:
            annotations = _given(images_dir, keypoints, keypoint_format, units, names, problems)
        else:
            annotations = _detected(images_dir, detected, names, background, problems)
        found = session.usable_photos(
            images_dir, annotations.keypoints, resize, background, bool(options.flip)
        )
        if not found:
            first = f": {problems[0]}" if problems else ""
            raise DpigError(f"{images_dir}: no usable image{first}", file=images_dir)
        identity_of = _identity_function(identity, annotations, keypoints)
        listed = session.new_pairs("listed")
        for block in _choose_pairs(found, identity_of, pair_mode, pairs_csv, session):
            listed.append(block)
        if not len(listed):
            raise _no_pairs(found, identity_of, pairs_csv)
        if split == "train":
            listed.shuffle(random.Random(options.seed))
        settings = {"source": "keypoints", "resize": resize, "background": list(background)}
        persons, pairs = _persons(session, found, listed, identity_of)
        made = session.write(
            persons,
            pairs,
            found.values(),
            len(names),
            settings | (detected.settings if detected else {}),
            {
                "pairs": sha256_of_arrays(listed.blocks()),
                # Pairs that do not go by the person stay the same for another `identity`.
                "identities": sha256_of_texts(str(person.identity) for person in persons),
            },
        )
        return dataclasses.replace(made, left_out=made.left_out + left_out)


def _given(images_dir, keypoints, keypoint_format, units, names, problems):
    """What a keypoint file says about the photos."""
    folder = pathlib.Path(images_dir)
    annotations = keypoint_formats.load(
        keypoints, keypoint_format, names, lambda name: upright_size(folder / name), units
    )
    problems += annotations.problems
    without = [name for name in names if name not in annotations.keypoints]
    unknown = sorted(set(annotations.keypoints) - set(names))
    problems += [f"{images_dir}/{name}: image without keypoints, skipped" for name in without]
    problems += [f"{keypoints}: {name}: keypoints without image" for name in unknown]
    known = {name: annotations.keypoints[name] for name in names if name in annotations.keypoints}
    if not known:
        raise DpigError(
            f"{keypoints}: no keypoints of the photos in {images_dir}: they are of "
            f"{', '.join(unknown[:3])}, the photos are {', '.join(names[:3])}; a file for one "
            "photo is named after it",
            file=keypoints,
        )
    return dataclasses.replace(annotations, keypoints=known)


def _detected(images_dir, detector, names, background, problems):
    """What is found in the photos."""
    keypoints = {}
    progress = Progress("detecting", len(names))
    for number, name in enumerate(names, 1):
        path = pathlib.Path(images_dir, name)
        try:
            photo = photos.read(path, background).image
            keypoints[name] = detector.of(name, np.asarray(photo))[0].keypoints
        except ValueError as error:
            problems.append(f"{path}: {error}, skipped")
        progress.update(number)
    return keypoint_formats.Annotations(keypoints)


def _image_format(names):
    return "png" if names[0].lower().endswith(".png") else "jpg"


def _persons(session, found, listed, identity_of):
    """Who stands in the pairs, and the pairs: all of the list, then all of it mirrored."""
    identities = list(map(identity_of, found))
    numbers = listed.numbered(identities)
    persons, pairs = [], session.new_pairs("pairs")
    for view in range(1 + bool(session.options.flip)):
        for block in listed.blocks():
            pairs.append(block + len(persons))
        for photo, identity in zip(found.values(), identities, strict=True):
            camera = _CAMERA.match(_file_name(photo.name))
            persons.append(
                conversion.Individual(
                    photo,
                    view,
                    numbers.get(identity, -1),  # not in the pairs
                    int(camera.group(1)) if camera else -1,
                )
            )
    return persons, pairs


def _file_name(name):
    return pathlib.PurePosixPath(name).name


def _identity_function(identity, annotations, keypoints):
    if identity == "image":
        return lambda name: name
    if identity == "folder":
        return lambda name: pathlib.PurePosixPath(name).parent.as_posix()
    if identity == "column":
        if not annotations.identities:
            raise DpigError(f"{keypoints} has no column named identity", file=keypoints)
        return lambda name: annotations.identities.get(name, name)
    try:
        pattern = re.compile(identity)
    except re.error as error:
        raise DpigError(
            f"identity pattern {identity!r} is no regular expression: {error}", field="identity"
        ) from None
    if not pattern.groups:
        raise DpigError(
            f"identity pattern {identity!r} needs a group, such as ([^_]+)_", field="identity"
        )

    @functools.cache
    def from_name(name):
        match = pattern.match(_file_name(name))
        return (match and match.group(1)) or name

    return from_name


def _photos_by_any_name(names):
    """{spelling: name} of photos: by path, by file name where only one has it, In-shop names."""
    counts = collections.Counter(map(_file_name, names))
    by_file_name = {_file_name(name): name for name in names if counts[_file_name(name)] == 1}
    in_shop = {in_shop_name(name) or name: name for name in names}
    return by_file_name | in_shop | {name: name for name in names}


def _choose_pairs(found, identity_of, pair_mode, pairs_csv, session):
    """Pairs of numbers of the photos found, in blocks."""
    options = session.options
    if pairs_csv is None:
        identities = list(map(identity_of, found))
        return make_pairs(pair_mode, identities, options.pairs_per_image, options.seed)
    number = {name: position for position, name in enumerate(found)}
    meant = _photos_by_any_name(found)
    listed = []
    for pair in read_pairs_csv(pairs_csv):
        named = [meant.get(name) or meant.get(in_shop_name(name) or name, name) for name in pair]
        if found.keys() >= set(named):
            listed.append([number[name] for name in named])
        else:
            session.problems.append(
                f"{pairs_csv}: {named[0]} -> {named[1]}: pair with an unusable image, skipped"
            )
    return [np.array(listed).reshape(-1, 2)]


def _no_pairs(found, identity_of, pairs_csv):
    if pairs_csv is not None:
        return DpigError(f"{pairs_csv}: no pair of two usable images", file=pairs_csv)
    people = len(set(map(identity_of, found)))
    return DpigError(
        f"no two of the {len(found)} usable images show the same person ({people} identities): "
        "--identity says how a photo tells its person, by default by the text before the first "
        "underscore of its name; or choose other --pairs, such as each_once",
        field="identity",
    )
