"""Own photos with keypoints -> records."""

import collections
import dataclasses
import functools
import pathlib
import random
import re
from collections.abc import Sequence

import numpy as np

from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.preparation import keypoint_formats, pairs, photos, record_folder
from dpig_tf2.records import schema, writer

IDENTITY_BEFORE_UNDERSCORE = "([^_]+)_"
_NAMED = 3  # file names given as examples in a report line


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was written (None after a dry run), what would be, and every fault that was met."""

    written: record_folder.Written | None
    plan: str
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Photo:
    """One usable photo of the folder."""

    name: str
    placement: photos.Placement
    keypoints: np.ndarray  # float32 [18, 3], pixels of the record


def convert(
    images_dir,
    keypoints,
    out_dir,
    split: str = "train",
    *,
    keypoint_format: str = "auto",
    variant: str = "keypoints",
    height: int | None = None,
    width: int | None = None,
    resize: str = "none",
    identity: str = IDENTITY_BEFORE_UNDERSCORE,
    pair_mode: str = "same_identity",
    pairs_csv=None,
    flip: bool | None = None,
    parts: int = 37,
    seed: int = 0,
    num_shards: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Conversion:
    """Writes the records of one split from a folder of photos and their keypoints.

    Args:
        images_dir: folder of photos.
        keypoints: file or folder, see `keypoint_formats`.
        out_dir: folder for the records.
        split: split part of the file names; the order of "train" is shuffled.
        keypoint_format: one of `keypoint_formats.FORMATS`, or "auto".
        variant: record schema and box rule, "keypoints", "market1501" or "deepfashion".
        height, width: image size in the records, pixels; None: the variant's.
        resize: "none", "stretch" or "letterbox".
        identity: who is on a photo: a regular expression whose first group is the identity, matched
            at the start of the name; "column" takes the CSV's column, "image" is one per photo.
        pair_mode: one of `pairs.PAIR_MODES`.
        pairs_csv: file of from,to rows; replaces `pair_mode`.
        flip: add every pair once more, mirrored left to right. None: no.
        parts: part regions in the records, 7 or 37.
        seed: of the order of "train".
        num_shards: record files.
        overwrite: replace records made with other settings.
        dry_run: report without writing.

    Raises:
        ValueError: naming what is missing, unknown or contradictory, or if no pair can be formed.
        record_folder.OutputError: if the folder holds records made with other settings.
    """
    chosen = schema.variant(variant)
    size = (height or chosen.height, width or chosen.width)
    names = photos.list_images(images_dir)
    annotations = keypoint_formats.load(keypoints, keypoint_format, names)
    problems = list(annotations.problems)
    found = _usable_photos(images_dir, names, annotations, size, resize, problems)
    identity_of = _identity_function(identity, annotations, keypoints)
    listed = _choose_pairs(found, identity_of, pair_mode, pairs_csv, problems)
    if split == "train":
        listed = pairs.python2_shuffle(listed, random.Random(seed))

    examples = _examples(images_dir, found, listed, identity_of, bool(flip))
    people = {pair.source.identity for pair in examples}
    people |= {pair.target.identity for pair in examples}
    plan = (
        f"{len(examples)} examples of {len(people)} identities from {len(found)} of {len(names)} "
        f"images, {size[0]} x {size[1]} pixels, in {num_shards} files {chosen.file_prefix}_{split}"
    )
    if dry_run:
        return Conversion(None, plan, tuple(problems))
    settings = {
        "source": "keypoints",
        "variant": variant,
        "height": size[0],
        "width": size[1],
        "resize": resize,
        "parts": parts,
        "flip": bool(flip),
        "seed": seed,
        "pairs": record_folder.hash_text(repr(listed)),
        "inputs": record_folder.hash_inputs((n, p.keypoints) for n, p in sorted(found.items())),
    }
    image_format = "png" if names[0].lower().endswith(".png") else "jpg"
    encoder = writer.PairEncoder(variant, *size, parts, image_format)
    output = record_folder.Output(
        pathlib.Path(out_dir), chosen.file_prefix, split, num_shards, overwrite
    )
    report = {"problems": problems}
    written = record_folder.write_pairs(output, examples, encoder, settings, report)
    return Conversion(written, plan, tuple(problems))


def _examples(images_dir, found, listed, identity_of, flip):
    """Pairs ready to be written: all of the list, then all of it mirrored."""
    numbers = pairs.number_identities(listed, identity_of)

    @functools.cache
    def person(name, mirrored):
        return _person(found[name], images_dir, numbers[identity_of(name)], mirrored)

    # Photos of different persons that are paired on purpose count as positive, as in the release.
    return [
        writer.Pair(person(source, mirrored), person(target, mirrored), same_person=True)
        for mirrored in ([False, True] if flip else [False])
        for source, target in listed
    ]


def _usable_photos(images_dir, names, annotations, size, resize, problems):
    """Photos that have keypoints and fit, by name; every other one becomes a problem."""
    without = [name for name in names if name not in annotations.keypoints]
    unknown = sorted(set(annotations.keypoints) - set(names))
    for what, those in (
        ("images without keypoints", without),
        ("keypoints without image", unknown),
    ):
        if those:
            problems.append(f"{len(those)} {what}: {_some(those)}")
    found = {}
    for name in names:
        if name not in annotations.keypoints:
            continue
        path = pathlib.Path(images_dir) / name
        try:
            placement = photos.place(photos.size_of(path), size, resize)
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        keypoints = placement.keypoints(annotations.keypoints[name])
        keypoints = _inside(keypoints, size, path, problems)
        if keypoints[:, 2].any():
            found[name] = _Photo(name, placement, keypoints)
        else:
            problems.append(f"{path}: no visible keypoint, left out")
    if not found:
        raise ValueError(f"{images_dir}: no usable image; {_some(problems)}")
    return found


def _inside(keypoints, size, path, problems):
    """Keypoints with those outside the image marked missing, each one reported."""
    outside = (keypoints[:, 2] > 0) & (keypoints[:, :2] >= size).any(axis=1)
    for k in np.flatnonzero(outside):
        row, column, _ = keypoints[k]
        problems.append(
            f"{path}: {keypoint_ops.KEYPOINT_NAMES[k]} is out of frame (row {row:g}, column "
            f"{column:g} of {size[0]} x {size[1]}), taken as missing"
        )
    return np.where(outside[:, None], np.float32(0), keypoints)


def _identity_function(identity, annotations, keypoints):
    if identity == "image":
        return lambda name: name
    if identity == "column":
        if not annotations.identities:
            raise ValueError(f"{keypoints} has no column named identity")
        return lambda name: annotations.identities.get(name, name)
    try:
        pattern = re.compile(identity)
    except re.error as error:
        raise ValueError(
            f"identity pattern {identity!r} is no regular expression: {error}"
        ) from None
    if not pattern.groups:
        raise ValueError(f"identity pattern {identity!r} needs a group, such as ([^_]+)_")

    @functools.cache
    def from_name(name):
        match = pattern.match(name)
        return match.group(1) if match else name

    return from_name


def _choose_pairs(found, identity_of, pair_mode, pairs_csv, problems):
    if pairs_csv is not None:
        wanted = pairs.read_pairs_csv(pairs_csv)
        listed = [pair for pair in wanted if found.keys() >= set(pair)]
        dropped = [f"{a} -> {b}" for a, b in wanted if not found.keys() >= {a, b}]
        if dropped:
            problems.append(f"{len(dropped)} pairs with an unusable image: {_some(dropped)}")
        if not listed:
            raise ValueError(f"{pairs_csv}: no pair of two usable images")
        return listed
    listed = pairs.make_pairs(pair_mode, list(found), identity_of)
    if not listed:
        people = collections.Counter(map(identity_of, found))
        raise ValueError(
            f"no two of the {len(found)} usable images show the same person ({len(people)} "
            "identities); choose another identity pattern, or pairs each_once or one_to_all"
        )
    return listed


def _person(photo, images_dir, identity, mirrored):
    keypoints = photo.keypoints
    if mirrored:
        keypoints = keypoint_ops.flip_horizontal(keypoints, photo.placement.width).numpy()
    path = pathlib.Path(images_dir) / photo.name
    camera = re.match(r"-?\d+_c(\d)", photo.name)  # Market-1501 names tell the camera
    return writer.Person(
        name=photo.name,
        encoded=functools.partial(photos.encode, path, photo.placement, mirrored),
        keypoints=keypoints,
        identity=identity,
        camera=int(camera.group(1)) if camera else -1,
    )


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
