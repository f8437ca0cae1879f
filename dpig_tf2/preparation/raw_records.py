"""What the converters of the two published datasets share: image sets -> pairs -> records."""

import dataclasses
import functools
import pathlib
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.preparation import pairs, photos, record_folder
from dpig_tf2.preparation.detections import Detection
from dpig_tf2.preparation.keypoint_folder import Conversion
from dpig_tf2.records import schema, writer

_SHUFFLE_SEED = 0  # the release's


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images of one folder with their detections.

    `mirror` makes the mirrored images and keypoints from these; published folders of mirrored
    images are image sets of their own. `fields` gives further `writer.Person` fields of a name, and
    is told whether the image is mirrored.
    """

    folder: pathlib.Path
    names: Sequence[str]
    detections: Mapping[str, Detection]
    fields: Callable[[str, bool], dict] = lambda name, mirror: {}
    mirror: bool = False


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
        parts: part regions in the records, 7 or 37.
    """

    variant: str
    split: str
    image_sets: Sequence[ImageSet]
    pair_mode: str
    identity: Callable[[str], str]
    camera: Callable[[str], int]
    shuffle: bool
    parts: int = 37


def convert(
    plan: Plan,
    out_dir,
    settings: Mapping[str, object],
    problems: Sequence[str],
    num_shards: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Conversion:
    """Writes the records of a plan; pairs without keypoints on both sides are left out.

    Args:
        plan: what to write.
        out_dir: folder for the records.
        settings: what the plan was made from, for the manifest.
        problems: what was met on the way, for the report.
        num_shards, overwrite, dry_run: as in `keypoint_folder.convert`.

    Raises:
        ValueError: if no pair is left.
        record_folder.OutputError: if the folder holds records made with other settings.
    """
    variant = schema.variant(plan.variant)
    problems = list(problems)
    generator = random.Random(_SHUFFLE_SEED)
    by_set = []
    for images in plan.image_sets:
        listed = pairs.make_pairs(plan.pair_mode, images.names, plan.identity)
        if plan.shuffle:
            listed = pairs.python2_shuffle(listed, generator)
        by_set.append(_pairs_of(plan, images, listed))
    examples = [pair for part in reversed(by_set) for pair in part]
    if not examples:
        first = f": {problems[0]}" if problems else ""
        folders = ", ".join(str(images.folder) for images in plan.image_sets)
        raise ValueError(f"{folders}: no pair of two images with keypoints{first}")
    size = (variant.height, variant.width)
    _check_sizes(examples, plan, size)
    settings = {
        **settings,
        "variant": plan.variant,
        "parts": plan.parts,
        "inputs": record_folder.hash_inputs(
            (f"{pair.source.name} {pair.target.name}", pair.source.keypoints) for pair in examples
        ),
    }
    people = {person.identity for pair in examples for person in (pair.source, pair.target)}
    text = (
        f"{len(examples)} examples of {len(people)} identities, {size[0]} x {size[1]} pixels, in "
        f"{num_shards} files {variant.file_prefix}_{plan.split}"
    )
    if dry_run:
        return Conversion(None, text, tuple(problems))
    encoder = writer.PairEncoder(plan.variant, *size, plan.parts)
    output = record_folder.Output(
        pathlib.Path(out_dir), variant.file_prefix, plan.split, num_shards, overwrite
    )
    report = {"problems": problems}
    written = record_folder.write_pairs(output, examples, encoder, settings, report)
    return Conversion(written, text, tuple(problems))


def _pairs_of(plan, images, listed):
    numbers = pairs.number_identities(listed, plan.identity)

    @functools.cache
    def person(name):
        path = images.folder / name
        keypoints = images.detections[name].keypoints
        if images.mirror:
            width = schema.variant(plan.variant).width
            keypoints = keypoint_ops.flip_horizontal(keypoints, width).numpy()
        return writer.Person(
            name=name,
            encoded=functools.partial(_image_bytes, path, images.mirror),
            keypoints=keypoints,
            identity=numbers[plan.identity(name)],
            camera=plan.camera(name),
            **images.fields(name, images.mirror),
        )

    return [
        writer.Pair(person(source), person(target), _same(plan, source, target))
        for source, target in listed
        if source in images.detections and target in images.detections
    ]


def _same(plan, source, target):
    # The release labels every pair of a sequence as positive, whoever is on it.
    return plan.pair_mode != "same_identity" or plan.identity(source) == plan.identity(target)


def _image_bytes(path, mirror):
    height, width = photos.size_of(path)
    return photos.encode(path, photos.Placement(height, width), mirror)


def _check_sizes(examples, plan, size):
    """Raises ValueError if the first image is not of the dataset's size."""
    name = examples[0].source.name
    for images in plan.image_sets:
        path = images.folder / name
        if path.exists():
            try:
                photos.place(photos.size_of(path), size, "none")
            except ValueError as error:
                raise ValueError(f"{path}: {error}; or use --source=keypoints") from None


def mirror_segmentation(segmentation: np.ndarray) -> np.ndarray:
    """Left to right, int [H, W]."""
    return segmentation[:, ::-1]
