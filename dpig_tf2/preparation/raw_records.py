"""What the converters of the two published datasets share: image sets -> pairs -> records."""

import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable, Mapping, Sequence

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import conversion, detections, pairs
from dpig_tf2.records import schema, writer

_SHUFFLE_SEED = 0  # the release's


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images of one folder, some of them with detections.

    `mirror` makes the mirrored images and keypoints from these; published folders of mirrored
    images are image sets of their own. `fields` gives further `writer.Person` fields of a name.
    """

    names: Sequence[str]  # all images, sorted
    photos: Mapping[str, conversion.UsablePhoto]  # the usable ones
    rows: Mapping[str, object]  # of the detector, see `detections.Detection`
    fields: Callable[[str], dict] = lambda name: {}
    mirror: bool = False


def read_images(
    folder,
    names: Sequence[str],
    poses: pathlib.Path,
    variant: str,
    person_only: bool,
    problems: list[str],
    shared_poses: bool = False,
) -> ImageSet:
    """The usable images of a folder; everything else becomes a problem.

    Args:
        folder: where the images lie.
        names: the images wanted, sorted.
        poses: path of the pose pickles with "{kind}" for all_peaks and subsets.
        variant: record schema, for the image size.
        person_only: see `detections.read`.
        problems: gets a line for each.
        shared_poses: the pickles also serve other folders.

    Raises:
        DpigError: if a pickle is missing or cannot be used, or no image is usable.
    """
    peaks, subsets = (pathlib.Path(str(poses).format(kind=kind)) for kind in detections.KINDS)
    for path in (peaks, subsets):
        if not path.exists():
            raise DpigError(
                f"{path} does not exist: it holds the detected poses of {folder}", file=path
            )
    found, unusable = detections.read(peaks, subsets, person_only)
    wanted = set(names)
    problems += [
        f"{peaks.parent}: {name}: {problem}"
        for name, problem in unusable.items()
        if name in wanted or not shared_poses
    ]
    problems += [
        f"{folder / name}: no keypoints, its pairs are skipped"
        for name in names
        if name not in found and name not in unusable
    ]
    if not shared_poses:
        problems += [f"{peaks}: {name}: no such image" for name in sorted(set(found) - wanted)]
    size = schema.variant(variant)
    keypoints = {name: found[name].keypoints for name in names if name in found}
    usable = conversion.usable_photos(
        folder, keypoints, (size.height, size.width), "none", problems
    )
    if not usable:
        first = f": {problems[0]}" if problems else ""
        raise DpigError(f"{folder}: no usable image with keypoints{first}", file=folder)
    return ImageSet(names, usable, {name: found[name].row for name in usable})


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a dataset becomes records.

    Args:
        variant: record schema.
        split: split part of the file names.
        image_sets: in the order in which their pairs are drawn; records hold the last set first.
        pair_mode: see `pairs.make_pairs`.
        identity: the person of a name.
        camera: the camera of a name, -1 if unknown.
        shuffle: whether the pairs are shuffled as the release did.
    """

    variant: str
    split: str
    image_sets: Sequence[ImageSet]
    pair_mode: str
    identity: Callable[[str], str]
    camera: Callable[[str], int]
    shuffle: bool


def convert(
    plan: Plan,
    out_dir,
    settings: Mapping[str, object],
    inputs: Mapping[str, str],
    options: conversion.Options,
    problems: Sequence[str],
) -> conversion.Conversion:
    """Writes the records of a plan; pairs without keypoints on both sides are left out.

    Args:
        plan: what to write.
        out_dir: folder for the records.
        settings, inputs, options, problems: as in `conversion.write`.

    Raises:
        DpigError: if no pair is left.
        OutputError: if the folder holds records made from something else.
    """
    generator = random.Random(_SHUFFLE_SEED)
    by_set = []
    for images in plan.image_sets:
        listed = pairs.make_pairs(plan.pair_mode, images.names, plan.identity)
        if plan.shuffle:
            listed = pairs.python2_shuffle(listed, generator)
        by_set.append(_pairs_of(plan, images, listed))
    examples = [pair for part in reversed(by_set) for pair in part]
    if not examples:
        raise DpigError("no two usable images with keypoints show the same person")
    variant = schema.variant(plan.variant)
    return conversion.write(
        conversion.Target(out_dir, plan.variant, plan.split, variant.height, variant.width),
        examples,
        [photo for images in plan.image_sets for photo in images.photos.values()],
        sum(len(images.names) for images in plan.image_sets),
        {**settings, "seed": _SHUFFLE_SEED},
        inputs,
        options,
        problems,
    )


def _pairs_of(plan, images, listed):
    numbers = pairs.number_identities(listed, plan.identity)

    @functools.cache
    def person(name):
        return images.photos[name].person(
            images.mirror,
            identity=numbers[plan.identity(name)],
            camera=plan.camera(name),
            **images.fields(name),
        )

    return [
        writer.Pair(person(source), person(target), _same(plan, source, target))
        for source, target in listed
        if source in images.photos and target in images.photos
    ]


def _same(plan, source, target):
    # The release labels every pair of a sequence as positive, whoever is on it.
    return plan.pair_mode != "same_identity" or plan.identity(source) == plan.identity(target)
