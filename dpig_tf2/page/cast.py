"""Who and what can be chosen on the page: synthetic persons, persons on photos, poses."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.config import ModelConfig
from dpig_tf2.detection import crops
from dpig_tf2.detection.detector import PoseDetector, main_person
from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import photos

MAX_UPLOAD = "20mb"
# Of coordinates. The files of a result say them whole: pose maps truncate, where 9.96 is not 10.
DECIMALS = 2
_LARGEST_SIDE = 1600  # pixels; a larger photo is made smaller before anything is looked for in it
_SMALLEST_SIDE = 32  # pixels
_SEED = 2018  # of the synthetic persons
_PERSONS, _POSES = 8, 12  # to choose from


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """A person that can be chosen.

    Attributes:
        label: how the page calls the person.
        image: uint8 [H, W, 3] of the model's size.
        keypoints: float32 [18, 3], pixels of the image, to `DECIMALS`.
        photo: uint8 [rows, columns, 3], the whole photo; None for a synthetic person.
        crop: where in the photo the image was cut out; None for a synthetic person.
        factors: {factor: dataclass} that a synthetic person is drawn from; empty for others.
    """

    label: str
    image: np.ndarray
    keypoints: np.ndarray
    photo: np.ndarray | None = None
    crop: crops.Crop | None = None
    factors: Mapping[str, object] = dataclasses.field(default_factory=dict)


def synthetic_members(model: ModelConfig) -> list[Member]:
    """Persons that no camera has seen, each in another place."""
    members = []
    for number, made in enumerate(synthetic.make_images(_SEED, _PERSONS, 1), 1):
        factors = {factor: getattr(made, factor) for factor in synthetic.FACTORS}
        members.append(
            Member(
                f"Person {number}",
                synthetic.render(**factors, height=model.height, width=model.width),
                _rounded(synthetic.pose_keypoints(made.pose, model.height, model.width)),
                factors=factors,
            )
        )
    return members


def gallery_poses(model: ModelConfig) -> list[np.ndarray]:
    """Poses to choose from, float32 [18, 3] each, with every keypoint of the body in the image."""
    poses = []
    rng = np.random.default_rng(_SEED)
    while len(poses) < _POSES:
        pose = synthetic.pose_keypoints(synthetic.sample_pose(rng), model.height, model.width)
        if pose[:14, 2].all():
            poses.append(_rounded(pose))
    return poses


def read_photo(path: str | os.PathLike) -> np.ndarray:
    """A photo of any size as uint8 [rows, columns, 3], made smaller where it is large.

    Raises:
        DpigError: as a sentence, if it cannot be read or is too small or too large.
    """
    if not pathlib.Path(path).suffix:
        raise DpigError("The file has no ending that tells what it is: use JPEG or PNG.", file=path)
    try:
        image = photos.read(path).image
    except DpigError as error:
        reason = str(error).rstrip(".")
        raise DpigError(f"This file cannot be used as a photo: it {reason}.", file=path) from error
    if min(image.size) < _SMALLEST_SIDE:
        raise DpigError(
            f"This photo is too small: {image.width} x {image.height} pixels; the shorter side "
            f"needs at least {_SMALLEST_SIDE}.",
            file=path,
        )
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def member_on_photo(
    path: str | os.PathLike, label: str, model: ModelConfig, detector: PoseDetector
) -> Member:
    """The main person of a photo, cut out.

    Raises:
        DpigError: as a sentence, if the photo cannot be used or nobody is found on it.
    """
    photo = read_photo(path)
    person = main_person(detector.detect([photo])[0])
    if person is None:
        raise DpigError(
            "No person was found on this photo. It works best with one person who is seen from "
            "head to foot.",
            file=path,
        )
    crop = crops.person_crop(person.box, photo.shape[:2], model.height, model.width)
    keypoints = _rounded(crop.to_crop(person.keypoints))
    if not keypoints[:, 2].any():
        raise DpigError("The person on this photo could not be made out.", file=path)
    return Member(label, crop.cut(photo), keypoints, photo, crop)


def moved_pose(points: object, model: ModelConfig) -> np.ndarray:
    """Keypoints float32 [18, 3] as the skeleton editor gives them, kept inside the image.

    Raises:
        DpigError: as a sentence, if they are no 18 points, or none is shown.
    """
    try:
        pose = np.asarray(points, np.float32)
    except (TypeError, ValueError):
        pose = np.empty(0)
    if pose.shape != (18, 3) or not np.isfinite(pose).all():
        raise DpigError("The pose is not one of 18 points; choose it once more.", field="pose")
    seen = pose[:, 2:] > 0.5
    if not seen.any():
        raise DpigError("All points of the pose are hidden: show at least one.", field="pose")
    inside = np.clip(pose[:, :2], 0, (model.height - 1, model.width - 1))
    return _rounded(np.where(seen, np.concatenate([inside, seen], axis=1), 0))


def _rounded(keypoints):
    return np.round(np.asarray(keypoints, np.float32), DECIMALS)
