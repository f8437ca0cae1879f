"""Persons for the sampling tasks, read from image and keypoint files; needs no TensorFlow."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.detection import crops
from dpig_tf2.detection.photo_poses import PhotoPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import keypoint_formats, photos
from dpig_tf2.sampling.persons import Namer, Persons, Place, concatenate


class FileReader:
    """Persons of image files, brought to the model's size, in batches.

    Args:
        folder: where the images are.
        names: of the files, as paths below the folder.
        poses: gives the poses of each: from a keypoint file, or found in the image.
        resize: one of `photos.RESIZE_MODES`, see `photos.place`.
        model: gives the image size.
        batch_size: persons per batch.
        limit: persons at most.
        crop: "none", or "person": the person is cut out with the model's proportions and a margin,
            whatever the image's size.
        body_mask: "keypoints", or "detected": the mask that was found, or the opaque part of a
            picture whose background was cut out, stands in for the mask drawn from the keypoints,
            which is what the networks were trained with.
        skipped: a line for each image that is left out already.
        background: what shines through transparent pixels.

    Attributes:
        files: the photos, `limit` at most.
        poses: as given.
        skipped: a line for each image or person that was left out.
        notes: a line for each doubtful annotation.
        done, total: how far reading is, in images.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        names: Sequence[str],
        poses: PhotoPoses,
        resize: str,
        model: ModelConfig,
        batch_size: int,
        limit: int | None = None,
        crop: str = "none",
        body_mask: str = "keypoints",
        skipped: Sequence[str] = (),
        background: photos.Color = photos.GRAY,
    ):
        self._folder, self._names, self._limit = folder, list(names)[:limit], limit
        self.files = [folder / name for name in self._names]
        self.poses = poses
        self._resize, self._size = resize, (model.height, model.width)
        self._batch_size = batch_size
        self._crop, self._body_mask, self._background = crop, body_mask, background
        self._namer = Namer()
        self.notes = poses.notes
        self.skipped = list(skipped)
        self.done, self.total = 0, len(self._names)

    def keep_names(self, names: dict[str, str]) -> None:
        """Goes on with the names of an earlier run, {person: name}; adds those of this run.

        Else a photo that is added or removed would change the names of others.
        """
        self._namer = Namer(names)

    def begin(self) -> None:
        """Begins to look for the poses of the first batch, beside what the caller does next."""
        names = self._names[: self._batch_size]
        self.poses.look_ahead(photos.read_all(self._folder, names, [], self._background))

    def pairs(self) -> Iterator[tuple[Persons, Persons]]:
        """Photos have none. Raises DpigError."""
        raise DpigError("photos have no pairs: name target poses, or take all pairs of persons")

    def persons(self) -> Iterator[Persons]:
        """Every person of every usable image."""
        room = self._limit
        for start in range(0, self.total, self._batch_size):
            files = self._names[start : start + self._batch_size]
            everyone = (person for file in files for person in self._read(file))
            found = list(itertools.islice(everyone, room))  # reads no further file than it needs
            self.done = min(start + self._batch_size, self.total)
            if found:
                yield concatenate(found)
            if room is not None:
                room -= len(found)

    def _read(self, file) -> list[Persons]:
        """The persons of one file, each alone; what is wrong goes to `skipped`."""
        path = self._folder / file
        # Also of what cannot be used: names do not depend on it.
        name = self._namer.keep(file, file)
        try:
            photo = photos.read(path, self._background)
            placement = None
            if self._crop == "none":
                placement = photos.place(photo.size, self._size, self._resize)
            poses = self.poses.of(file, np.asarray(photo.image))
        except ValueError as error:
            self.skipped.append(f"{path}: {error}")
            return []
        if self._body_mask == "detected" and len(poses) == 1 and photo.cutout is not None:
            poses = [dataclasses.replace(poses[0], mask=photo.cutout)]
        # As make_records has it: the file's own name up to an underscore, else all of its path.
        who, underscore, _ = path.name.partition("_")
        identity = self.poses.identity(file) or (underscore and who) or name
        found = []
        for number, pose in enumerate(poses, 1):
            if number > 1:
                source = pathlib.PurePosixPath(file)
                source = str(source.with_stem(f"{source.stem}_person{number}"))
                name = self._namer.keep(f"{file} person {number}", source)
            who = identity if number == 1 else f"{identity} person {number}"
            try:
                found.append(self._person(path, name, who, photo, pose, placement))
            except ValueError as error:
                self.skipped.append(f"{path}: {'' if number == 1 else who + ': '}{error}")
        return found

    def _person(self, path, name, identity, photo, pose, placement) -> Persons:
        if placement:
            cut = None
            keypoints = fit_keypoints(pose.keypoints, placement)
            if lost := _lost(pose.keypoints, keypoints, "the image"):
                self.notes.append(f"{path}: {lost}")
            image, mask = photo.placed(placement), placement.mask(pose.mask)
        else:
            cut = crops.person_crop(pose.box, photo.size, *self._size)
            keypoints = _checked(cut.to_crop(pose.keypoints))
            image = cut.cut(np.asarray(photo.image))
            mask = None if pose.mask is None else cut.body_mask(pose.mask)
        parts = {}
        if self._body_mask == "detected":
            if mask is None:
                raise DpigError(
                    "no outline of the person: with keypoints given, only a picture whose "
                    "background was cut out has one"
                )
            parts = {"body_mask": mask[None]}
        return Persons(
            (name,),
            keypoints[None],
            image[None],
            (identity,),
            parts,
            (Place(path, cut, self._background),) if cut else (),
        )


def read_poses(
    path: str,
    keypoint_format: str,
    size: tuple[int, int] | None,
    resize: str,
    model: ModelConfig,
    limit: int | None,
    units: str | None = None,
) -> tuple[Persons, list[str], list[str]]:
    """The poses of a keypoint file, notes on it, and a line for each pose that is left out.

    Args:
        path: file or folder of keypoints.
        keypoint_format: one of `keypoint_formats.FORMATS`, or "auto".
        size: (rows, columns) of the images that they belong to; None: as the file says, else the
            model's.
        resize: how these images would be brought to the model's size.
        model: gives the image size.
        limit: poses at most.
        units: of the keypoints, see `keypoint_formats.load`.

    Raises:
        DpigError: if there is no usable pose.
    """
    model_size = (model.height, model.width)
    annotations = keypoint_formats.load(
        path, keypoint_format, (), (lambda name: size) if size else None, units
    )
    namer, left_out = Namer(), []
    names, poses, notes = [], [], list(annotations.problems)
    guessed = f"{model.height} x {model.width} pixels"
    for source, keypoints in list(annotations.keypoints.items())[:limit]:
        known = size or annotations.sizes.get(source)
        name = None
        try:
            name = namer.name(source)  # refuses an empty one
            placement = photos.place(known or model_size, model_size, resize)
            poses.append(fit_keypoints(keypoints, placement))
            names.append(name)
        except ValueError as error:
            outside = name and not known and keypoints[:, 2].any()
            way_out = f" of {guessed}; --target_size says how large it is" if outside else ""
            left_out.append(f"{path}: {source}: {error}{way_out}")
            continue
        if lost := _lost(keypoints, poses[-1], "their image" if known else guessed):
            way_out = "" if known else "; --target_size says how large their image is"
            notes.append(f"{path}: {source}: {lost}{way_out}")
    if not poses:
        reasons = [*left_out, *annotations.problems]
        raise DpigError(f"{path}: no usable pose; {reasons[0]}", file=path)
    return Persons(tuple(names), np.stack(poses)), notes, left_out


def _lost(given, kept, where):
    """How many keypoints are no longer visible, and why, for a note; empty if none."""
    before, after = (int(np.count_nonzero(points[:, 2])) for points in (given, kept))
    lost = f"{before - after} of {before} keypoints are outside of {where} and count as missing"
    return lost if after < before else ""


def fit_keypoints(keypoints: np.ndarray, placement: photos.Placement) -> np.ndarray:
    """Keypoints in the model's pixels, those outside the image missing.

    Raises:
        DpigError: if none is left.
    """
    moved = placement.keypoints(keypoints)
    return _checked(np.where(placement.is_outside(moved)[:, None], np.float32(0), moved))


def _checked(keypoints):
    if not keypoints[:, 2].any():
        raise DpigError("not one keypoint is visible inside the image")
    return keypoints
