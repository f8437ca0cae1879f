"""Persons for the sampling tasks, read from records or from image and keypoint files."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.detection import crops
from dpig_tf2.detection.photo_poses import PhotoPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.preparation import keypoint_formats, photos
from dpig_tf2.records import schema, shards
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.sampling.persons import Namer, Persons, Place, concatenate


class RecordReader:
    """Persons and pairs of a record split, in file order, in batches.

    Args:
        data_dir, split: where the records are.
        model: gives the image size, mask radius and box rule.
        batch_size: records per batch.
        limit: pairs or persons at most.
        skip_bad_records: leave out bad records.
        both_sides: targets count as persons too, each behind its source.

    Attributes:
        files: the manifest, which has the checksums of the records. Others' records have none, and
            are too large to be read for their own.
        poses: none are looked for.
        skipped: a line for each person that was left out.
        notes: other remarks.
        done, total: how far reading is.
    """

    def __init__(
        self,
        data_dir: str,
        split: str,
        model: ModelConfig,
        batch_size: int,
        limit: int | None = None,
        skip_bad_records: bool = False,
        both_sides: bool = False,
    ):
        self._records = RecordSet.open(data_dir, split)
        self._model, self._batch_size = model, batch_size
        self._limit, self._skip_bad_records = limit, skip_bad_records
        self._both_sides = both_sides
        self._names: dict[bytes, str] = {}
        self._namer = Namer()
        first = self._records.paths[0]
        self.files = [first.with_name(schema.manifest_name(shards.stem(first)))]
        self.poses = None
        self.notes: list[str] = []
        self.skipped: list[str] = []
        self.done, self.total = 0, limit or len(self._records)

    def pairs(self) -> Iterator[tuple[Persons, Persons]]:
        """(sources, targets) of the first `limit` records."""
        for source, target in self._batches(self._limit):
            sources, targets = self._persons(source), self._persons(target)
            rows = [i for i, name in enumerate(sources.names) if self._usable(name, sources, i)]
            rows = [i for i in rows if self._usable(targets.names[i], targets, i)]
            self.done += len(sources)
            yield sources.take(rows), targets.take(rows)

    def persons(self) -> Iterator[Persons]:
        """The first `limit` distinct images."""
        seen: set[str] = set()
        taken = 0
        for source, target in self._batches(None):
            persons = self._persons(source)
            if self._both_sides:
                both = concatenate([persons, self._persons(target)])
                persons = both.take(np.arange(len(both)).reshape(2, -1).T.ravel())
            rows = []
            for i, name in enumerate(persons.names):
                if name not in seen and self._usable(name, persons, i):
                    rows.append(i)
                seen.add(name)
            if self._limit:
                rows = rows[: self._limit - taken]
            taken += len(rows)
            self.done = taken if self._limit else self.done + len(source["name"])
            if rows:
                yield persons.take(rows)
            if taken == self._limit:
                return

    def _batches(self, limit):
        dataset = evaluation_batches(
            self._records, self._model, self._batch_size, limit, self._skip_bad_records
        )
        for batch in dataset.as_numpy_iterator():
            yield batch["source"], batch["target"]

    def _persons(self, person):
        return Persons(
            tuple(self._name(person, i) for i in range(len(person["name"]))),
            person["keypoints"],
            person["image"],
            tuple(str(number) for number in person["identity"]),
            {key: person[key] for key in ANNOTATION_KEYS},
        )

    def _name(self, person, i):
        """The image's name; the same image always has the same one, another image another one."""
        given = person["name"][i]
        digest = hashlib.blake2b(given + person["image"][i].tobytes(), digest_size=16)
        digest.update(person["keypoints"][i].tobytes())
        if digest.digest() not in self._names:
            fallback = f"image_{len(self._names):06d}"  # older records name no images
            self._names[digest.digest()] = self._namer.name(
                given.decode(errors="replace") or fallback
            )
        return self._names[digest.digest()]

    def _usable(self, name, persons, i):
        visible = persons.keypoints[i, :, 2].any()
        if not visible:
            self.skipped.append(f"{name}: not one keypoint is visible")
        return visible


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

    def pairs(self) -> Iterator[tuple[Persons, Persons]]:
        """Photos have none. Raises DpigError."""
        raise DpigError("photos have no pairs: name target poses, or take all pairs of persons")

    def persons(self) -> Iterator[Persons]:
        """Every person of every usable image."""
        room = self._limit
        for start in range(0, self.total, self._batch_size):
            files = self._names[start : start + self._batch_size]
            found = [person for file in files for person in self._read(file)][:room]
            self.done = min(start + self._batch_size, self.total)
            if found:
                yield concatenate(found)
            if room is not None:
                room -= len(found)

    def _read(self, file) -> list[Persons]:
        """The persons of one file, each alone; what is wrong goes to `skipped`."""
        path = self._folder / file
        name = self._namer.name(file)  # also of what cannot be used: names do not depend on it
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
                stem = pathlib.PurePosixPath(file).stem
                name = self._namer.name(
                    str(pathlib.PurePosixPath(file).with_stem(f"{stem}_person{number}"))
                )
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
    names, poses = [], []
    for source, keypoints in list(annotations.keypoints.items())[:limit]:
        try:
            name = namer.name(source)  # refuses an empty one
            own = size or annotations.sizes.get(source, model_size)
            poses.append(fit_keypoints(keypoints, photos.place(own, model_size, resize)))
            names.append(name)
        except ValueError as error:
            left_out.append(f"{path}: {source}: {error}")
    if not poses:
        raise DpigError(f"{path}: no usable pose; {left_out[0]}", file=path)
    return Persons(tuple(names), np.stack(poses)), annotations.problems, left_out


def fit_keypoints(keypoints: np.ndarray, placement: photos.Placement) -> np.ndarray:
    """Keypoints in the model's pixels, those outside the image missing.

    Raises:
        DpigError: if none is left.
    """
    moved = placement.keypoints(keypoints)
    beyond = (moved[:, :2] < 0) | (moved[:, :2] >= (placement.height, placement.width))
    outside = np.any(beyond, axis=1, keepdims=True)
    return _checked(np.where(outside, np.float32(0), moved))


def _checked(keypoints):
    if not keypoints[:, 2].any():
        raise DpigError("not one keypoint is visible inside the image")
    return keypoints
