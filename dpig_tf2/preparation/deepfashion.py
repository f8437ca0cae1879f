"""The raw DeepFashion (In-shop) folder -> records in the released schema."""

import dataclasses
import pathlib

from dpig_tf2.preparation import detections, photos, raw_records
from dpig_tf2.preparation.keypoint_folder import Conversion

# Folder of images by split; the first that exists is taken.
_FOLDERS = {
    "train": ("filted_up_train", "train"),
    "test": ("filted_up_test", "test"),
    "test_samples": ("filted_up_test_samples", "test_samples"),
    "test_seq": ("filted_up_test_seq", "filted_up_test_samples", "test_seq"),
}
SPLITS = tuple(_FOLDERS)
_POSES = "PoseFiltered"


def convert(
    raw_dir,
    out_dir,
    split: str,
    *,
    flip: bool | None = None,
    person_only: bool = False,
    parts: int = 37,
    num_shards: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Conversion:
    """Writes the records of one split.

    Args:
        raw_dir: folder with the image folders (`filted_up_train`, ...) and `PoseFiltered` with
            `all_peaks_dic_DeepFashion.p` and `subsets_dic_DeepFashion.p`.
        out_dir: folder for the records.
        split: one of `SPLITS`; "test_seq" pairs the first image with every image.
        flip: add the mirrored images, made here. None: no.
        person_only: take keypoints of the most confident person only. The release took the first
            candidate of each keypoint, and so do we unless this is set.
        parts: part regions in the records, 7 or 37.
        num_shards, overwrite, dry_run: as in `keypoint_folder.convert`.

    Raises:
        ValueError: naming the file or folder that is missing or unusable.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    raw_dir = pathlib.Path(raw_dir)
    candidates = [raw_dir / name for name in _FOLDERS[split]]
    folder = next((path for path in candidates if path.is_dir()), candidates[0])
    names = photos.list_images(folder)
    peaks, subsets = (
        raw_dir / _POSES / f"{kind}_dic_DeepFashion.p" for kind in ("all_peaks", "subsets")
    )
    for path in (peaks, subsets):
        if not path.exists():
            raise ValueError(f"{path} does not exist: it holds the detected poses of {folder}")
    found, faults = detections.read(peaks, subsets, person_only)
    # The pickles serve every split, so poses of other images are no fault.
    problems = [line for line in faults if line.partition(":")[0] in names]
    problems += [
        f"{folder / name}: no keypoints, its pairs are left out"
        for name in names
        if name not in found
    ]
    images = raw_records.ImageSet(folder, names, found)
    mirrored = [dataclasses.replace(images, mirror=True)] if flip else []
    plan = raw_records.Plan(
        variant="deepfashion",
        split="train" if split == "train" else "test",
        image_sets=[images, *mirrored],
        pair_mode="one_to_all" if split == "test_seq" else "same_identity",
        identity=identity,
        camera=lambda name: -1,
        shuffle=split == "train",
        parts=parts,
    )
    settings = {
        "source": "deepfashion",
        "split": split,
        "flip": bool(flip),
        "person_only": person_only,
    }
    return raw_records.convert(plan, out_dir, settings, problems, num_shards, overwrite, dry_run)


def identity(name: str) -> str:
    """The person in a file name: the text before the first underscore."""
    return name.partition("_")[0]
