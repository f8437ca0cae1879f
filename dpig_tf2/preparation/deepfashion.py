"""The raw DeepFashion (In-shop) folder -> records in the released schema."""

import dataclasses
import pathlib

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import conversion, photos, raw_records

# Folder of images by split; the first that exists is taken.
_FOLDERS = {
    "train": ("filted_up_train", "train"),
    "test": ("filted_up_test", "test"),
    "test_samples": ("filted_up_test_samples", "test_samples"),
    "test_seq": ("filted_up_test_seq", "filted_up_test_samples", "test_seq"),
}
SPLITS = tuple(_FOLDERS)
_POSES = "PoseFiltered/{kind}_dic_DeepFashion.p"
# Published mirrored images, which have their own poses.
_FLIPPED_FOLDER = "filted_up_train_flip"
_FLIPPED_POSES = "PoseFiltered/{kind}_dic_DeepFashion_Flip.p"


def convert(
    raw_dir,
    out_dir,
    split: str,
    person_only: bool = False,
    options: conversion.Options = conversion.DEFAULTS,
) -> conversion.Conversion:
    """Writes the records of one split.

    Args:
        raw_dir: folder with the image folders (`filted_up_train`, ...) and `PoseFiltered` with
            `all_peaks_dic_DeepFashion.p` and `subsets_dic_DeepFashion.p`; those of the folder
            `filted_up_train_flip`, if it is there, end in `_Flip.p`.
        out_dir: folder for the records.
        split: one of `SPLITS`; "test_seq" pairs every image with every image, itself
            included, as the release did.
        person_only: take keypoints of the most confident person only. The release took the first
            candidate of each keypoint, and so do we unless this is set.
        options: shards and the like. Mirrored images come from `filted_up_train_flip` where it
            exists, else they are made here; unless told otherwise for "train" only, as in the
            release.

    Raises:
        DpigError: naming the file or folder that is missing or unusable.
    """
    if split not in SPLITS:
        raise DpigError(f"split must be one of {', '.join(SPLITS)}; got {split!r}", field="split")
    raw_dir = pathlib.Path(raw_dir)
    if options.flip is None:
        options = dataclasses.replace(options, flip=split == "train")
    candidates = [raw_dir / name for name in _FOLDERS[split]]
    folder = next((path for path in candidates if path.is_dir()), candidates[0])
    target = raw_records.target(out_dir, "deepfashion", "train" if split == "train" else "test")
    with conversion.session(target, options) as session:
        return _convert(session, folder, raw_dir, split, person_only)


def _convert(session, folder, raw_dir, split, person_only):
    def read(folder, poses, shared_poses, mirrored):
        return raw_records.read_images(
            session,
            folder,
            photos.list_images(folder, session.problems),
            raw_dir / poses,
            person_only,
            shared_poses,
            mirrored,
        )

    flip = session.options.flip
    flipped = raw_dir / _FLIPPED_FOLDER
    has_folder = split == "train" and flipped.is_dir()
    image_sets = [read(folder, _POSES, shared_poses=True, mirrored=flip and not has_folder)]
    if flip and has_folder:
        image_sets.append(read(flipped, _FLIPPED_POSES, shared_poses=False, mirrored=False))
    elif flip:
        image_sets.append(dataclasses.replace(image_sets[0], mirrored=True))
    plan = raw_records.Plan(
        image_sets=image_sets,
        pair_mode="all_to_all" if split == "test_seq" else "same_identity",
        identity=identity,
        camera=lambda name: -1,
        shuffle=split == "train",
    )
    settings = {"source": "deepfashion", "split": split, "person_only": person_only}
    return raw_records.convert(session, plan, settings)


def identity(name: str) -> str:
    """The person in a file name: the text before the first underscore."""
    return name.partition("_")[0]
