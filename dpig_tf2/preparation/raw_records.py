"""What the converters of the two published datasets share: image sets -> pairs -> records."""

import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import conversion, detections
from dpig_tf2.preparation.pairs import make_pairs
from dpig_tf2.records import schema


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images of one folder, some of them with detections.

    `mirrored` takes the mirrored views of these; published folders of mirrored images are image
    sets of their own. `fields` gives further `writer.Person` fields of a name. Persons are numbered
    from `first_identity` on.
    """

    names: Sequence[str]  # all images, sorted
    photos: Mapping[str, conversion.UsablePhoto]  # the usable ones
    rows: Mapping[str, object]  # of the detector, see `detections.Detection`
    fields: Callable[[str], dict] = lambda name: {}
    mirrored: bool = False
    first_identity: int = 0


def read_images(
    session: conversion.Session,
    folder,
    names: Sequence[str],
    poses: pathlib.Path,
    person_only: bool,
    shared_poses: bool = False,
    mirrored: bool = False,
) -> ImageSet:
    """The usable images of a folder; everything else becomes a problem.

    Args:
        session: the conversion, which gets a line for each problem.
        folder: where the images lie.
        names: the images wanted, sorted.
        poses: path of the pose pickles with "{kind}" for all_peaks and subsets.
        person_only: see `detections.read`.
        shared_poses: the pickles also serve other folders.
        mirrored: whether mirrored views are made as well.

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
    wanted, problems = set(names), session.problems
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
    keypoints = {name: found[name].keypoints for name in names if name in found}
    usable = session.usable_photos(folder, keypoints, mirrored=mirrored)
    if not usable:
        first = f": {problems[0]}" if problems else ""
        raise DpigError(f"{folder}: no usable image with keypoints{first}", file=folder)
    return ImageSet(names, usable, {name: found[name].row for name in usable})


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a dataset becomes records.

    Args:
        image_sets: in the order in which their pairs are drawn; records hold the last set first.
        pair_mode: see `pairs.make_pairs`.
        identity: the person of a name.
        camera: the camera of a name, -1 if unknown.
        shuffle: whether the pairs are shuffled as the release did.
    """

    image_sets: Sequence[ImageSet]
    pair_mode: str
    identity: Callable[[str], str]
    camera: Callable[[str], int]
    shuffle: bool


def target(out_dir, variant: str, split: str) -> conversion.Target:
    """Records of the size that the published ones of a data set have."""
    size = schema.variant(variant)
    return conversion.Target(out_dir, variant, split, size.height, size.width)


def convert(
    session: conversion.Session,
    plan: Plan,
    settings: Mapping[str, object],
    inputs: Mapping[str, str] | None = None,
) -> conversion.Conversion:
    """Writes the records of a plan; pairs without keypoints on both sides are left out.

    Args:
        session: the conversion.
        plan: what to write.
        settings, inputs: as in `Session.write`.

    Raises:
        DpigError: if no pair is left, or as `Session.write`.
        OutputError: if the folder holds records made from something else.
    """
    generator = random.Random(session.options.seed)
    persons: list[conversion.Individual] = []
    by_set = [_pairs_of(session, plan, images, generator, persons) for images in plan.image_sets]
    pairs = session.new_pairs("pairs")
    for listed, person_of in reversed(by_set):
        for block in listed.blocks():
            numbers = person_of[block]
            pairs.append(numbers[(numbers >= 0).all(axis=1)])
    if not len(pairs):
        raise DpigError(
            "no two usable images with keypoints show the same person, as their names begin"
        )
    return session.write(
        persons,
        pairs,
        [photo for images in plan.image_sets for photo in images.photos.values()],
        sum(len(images.names) for images in plan.image_sets),
        settings,
        inputs,
    )


def _pairs_of(session, plan, images, generator, persons):
    """Pairs of an image set's numbers, and the person of each, -1 without; adds the persons.

    The release paired and numbered all images, then left out what it could not use.
    """
    per_image = session.options.pairs_per_image
    names = [name for name in images.names if per_image is None or name in images.photos]
    identities = list(map(plan.identity, names))
    listed = session.new_pairs("listed")
    for block in make_pairs(plan.pair_mode, identities, per_image, session.options.seed):
        listed.append(block)
    if plan.shuffle:
        listed.shuffle(generator)
    index = listed.numbered(identities)
    person_of = np.full(len(names), -1)
    for number, (name, identity) in enumerate(zip(names, identities, strict=True)):
        if name in images.photos and identity in index:
            person_of[number] = len(persons)
            persons.append(
                conversion.Individual(
                    images.photos[name],
                    int(images.mirrored),
                    images.first_identity + index[identity],
                    plan.camera(name),
                    functools.partial(images.fields, name),
                )
            )
    return listed, person_of
