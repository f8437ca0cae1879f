"""The raw Market-1501 folder -> records equal to the released ones."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io import mat_files
from dpig_tf2.io.hashes import sha256, sha256_of_texts
from dpig_tf2.io.images import open_image
from dpig_tf2.preparation import conversion, photos, raw_records

SPLITS = ("train", "test", "test_samples", "all")
WORD_VECTOR_SIZES = (25, 50, 100, 150)
_NAME = re.compile(r"\d{4}_c\d.*")
_POSES = "Market-1501_PoseFiltered/{kind}_dic_Market-1501_{part}.p"
_ATTRIBUTES = "Market-1501_Attribute"
_SEGMENTS = "Market-1501_Segment/seg"


@dataclasses.dataclass(frozen=True)
class _Part:
    """Where one part of the dataset lies below the raw folder."""

    images: str
    poses: str  # end of the pose pickles' names
    labels: str  # "train" or "test" in attributes, word vectors and segmentations


_TRAIN = _Part("bounding_box_train", "train", "train")
_TRAIN_FLIP = _Part("bounding_box_train_flip", "train_Flip", "train")
_TEST = _Part("bounding_box_test", "test_clean", "test")
_TEST_SAMPLES = _Part("bounding_box_test_samples", "test_samples", "test")
_PARTS = {
    "train": (_TRAIN,),
    "test": (_TEST,),
    "test_samples": (_TEST_SAMPLES,),
    "all": (_TRAIN, _TEST),
}


def convert(
    raw_dir, out_dir, split: str, options: conversion.Options = conversion.DEFAULTS
) -> conversion.Conversion:
    """Writes the records of one split.

    Args:
        raw_dir: folder with `bounding_box_*`, `Market-1501_PoseFiltered` and, if at hand,
            `Market-1501_Attribute` (with `word2vec`) and `Market-1501_Segment`.
        out_dir: folder for the records.
        split: one of `SPLITS`; "test_samples" makes a small test split, "all" holds train and test.
        options: shards and the like. Mirrored images come from `bounding_box_train_flip` where it
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
    target = raw_records.target(out_dir, "market1501", "test" if split == "test_samples" else split)
    with conversion.session(target, options) as session:
        return _convert(session, raw_dir, split)


def _convert(session, raw_dir, split):
    image_sets, all_labels, persons = [], [], 0
    for part in _PARTS[split]:
        flip = session.options.flip
        has_folder = part is _TRAIN and (raw_dir / _TRAIN_FLIP.images).is_dir()
        images = _read_images(session, raw_dir, part, mirrored=flip and not has_folder)
        labels = _Labels(raw_dir, part.labels, images.names)
        session.problems += labels.problems()
        image_sets.append(_with_labels(images, labels, persons, mirrored=False))
        if flip:
            if has_folder:
                mirrored = _read_images(session, raw_dir, _TRAIN_FLIP)
            else:
                mirrored = dataclasses.replace(images, mirrored=True)
            image_sets.append(_with_labels(mirrored, labels, persons, mirrored=True))
        all_labels.append(labels)
        persons += len(set(map(identity, images.names)))
    plan = raw_records.Plan(
        image_sets=image_sets,
        pair_mode="same_identity",
        identity=identity,
        camera=camera,
        shuffle=split == "train",
    )
    settings = {"source": "market1501", "split": split}
    if len(_PARTS[split]) > 1:  # version 0.1.0 numbered the persons of each part from 0
        settings["identities"] = "of all parts"
    inputs = {"labels": sha256_of_texts(labels.hash() for labels in all_labels)}
    return raw_records.convert(session, plan, settings, inputs)


def identity(name: str) -> str:
    """The person in a file name: 0002_c1s1_000451_03.jpg -> 0002."""
    return name[:4]


def camera(name: str) -> int:
    """The camera in a file name: 0002_c1s1_000451_03.jpg -> 1."""
    return int(name[6])


def _with_labels(images, labels, first_identity, mirrored):
    def fields(name):
        return {"candidates": images.rows[name], **labels.of(name, mirrored)}

    return dataclasses.replace(images, fields=fields, first_identity=first_identity)


def _read_images(session, raw_dir, part, mirrored=False):
    folder, problems = raw_dir / part.images, session.problems
    names = photos.list_images(folder, problems)
    problems += [f"{folder / n}: not a Market-1501 name" for n in names if not _NAME.match(n)]
    names = [name for name in names if _NAME.match(name)]
    poses = raw_dir / _POSES.replace("{part}", part.poses)
    return raw_records.read_images(session, folder, names, poses, True, mirrored=mirrored)


@dataclasses.dataclass(frozen=True)
class _Labels:
    """Attributes, word vectors and segmentations of one split, read when first asked for."""

    raw_dir: pathlib.Path
    split: str
    names: Sequence[str]

    def of(self, name: str, mirrored: bool) -> dict:
        """Fields of `writer.Person` for an image or its mirror image."""
        return {
            "attributes": self._attributes.get(identity(name)),
            "word_vectors": self._word_vectors(identity(name)),
            "segmentation": self._segmentation(name, mirrored),
        }

    def problems(self) -> list[str]:
        """What is absent or cannot be used; the records are complete without."""
        lines = []
        unknown = [person for person in self._people if person not in self._attributes]
        if not self._attributes:
            lines.append(f"{self._attribute_path}: absent, records get no attributes")
        elif unknown:
            who = ", ".join(unknown)
            lines.append(f"{self._attribute_path}: no attributes of person {who}")
        absent = [size for size in WORD_VECTOR_SIZES if size not in self._vector_tables]
        if absent:
            sizes = ", ".join(map(str, absent))
            folder = self._attribute_path.parent / "word2vec"
            lines.append(f"{folder}: no vectors of size {sizes} for {self.split}")
        for size, tables in self._vector_tables.items():
            if not self._fits(tables):
                rows = ", ".join(str(len(table)) for table in tables)
                lines.append(
                    f"{self._vector_path(size)}: tables of {rows} rows for {len(self._rows)} "
                    "persons, not used"
                )
        return lines + self._segment_problems()

    def _segment_problems(self):
        if not self._segment_folder.is_dir():
            return [f"{self._segment_folder}: absent, segmentations are zero"]
        lines = []
        for name in self.names:
            path = self._segment_path(name)
            try:
                if not path.exists():
                    lines.append(f"{path}: absent, its segmentation is zero")
                else:
                    _read_segmentation(path)
            except ValueError as error:
                raise DpigError(f"{path}: no segmentation: {error}", file=path) from error
        return lines

    def hash(self) -> str:
        """SHA-256 of all files that are read."""
        paths = [self._attribute_path, *map(self._vector_path, WORD_VECTOR_SIZES)]
        paths += map(self._segment_path, self.names)
        return sha256_of_texts(f"{path.name} {sha256(path)}" for path in paths if path.exists())

    @property
    def _attribute_path(self):
        return self.raw_dir / _ATTRIBUTES / "market_attribute.mat"

    @property
    def _segment_folder(self):
        return self.raw_dir / _SEGMENTS / f"person_seg_{self.split}"

    def _segment_path(self, name):
        return self._segment_folder / f"{pathlib.PurePath(name).stem}.png"

    def _vector_path(self, size):
        folder = self.raw_dir / _ATTRIBUTES / "word2vec"
        return folder / f"{self.split}_att_wordvec_dim{size}.mat"

    @functools.cached_property
    def _people(self):
        return sorted({identity(name) for name in self.names})

    @functools.cached_property
    def _attributes(self):
        return read_attributes(self._attribute_path, self.split, self._people)

    @functools.cached_property
    def _rows(self):
        """Row of each person in the tables of word vectors."""
        return {person: row for row, person in enumerate(self._attributes or self._people)}

    @functools.cached_property
    def _vector_tables(self):
        tables = {}
        for size in WORD_VECTOR_SIZES:
            path = self._vector_path(size)
            if path.exists():
                cells = mat_files.read(path, f"{self.split}_att")
                try:
                    tables[size] = [np.asarray(cell, np.float64) for cell in cells]
                except (TypeError, ValueError) as error:
                    raise DpigError(
                        f"{path}: cells that are no tables: {error}", file=path
                    ) from None
                if not tables[size] or any(table.ndim != 2 for table in tables[size]):
                    raise DpigError(f"{path}: expected cells of tables with two axes", file=path)
        return tables

    def _fits(self, tables):
        return all(len(table) == len(self._rows) for table in tables)

    def _word_vectors(self, person):
        """By size, the person's row of every table, one after the other."""
        return {
            size: np.concatenate([table[self._rows[person]] for table in tables])
            for size, tables in self._vector_tables.items()
            if person in self._rows and self._fits(tables)
        }

    def _segmentation(self, name, mirrored):
        path = self._segment_path(name)
        if not path.exists():
            return np.zeros((128, 64), np.uint8)  # as the release wrote where it had none
        pixels = _read_segmentation(path)
        return pixels[:, ::-1] if mirrored else pixels


def _read_segmentation(path):
    """Labels uint8 [128, 64] of a gray or palette image. Raises DpigError if it is another one."""
    image = open_image(path)
    if image.size != (64, 128) or image.mode not in ("1", "L", "P"):
        raise DpigError(
            f"is {image.height} x {image.width} pixels of mode {image.mode}, expected 128 x 64 of "
            "one channel"
        )
    return np.asarray(image, np.uint8)


def read_attributes(path, split: str, people: Sequence[str]) -> dict[str, np.ndarray]:
    """The 27 attributes of each person, int64, in the order of the file's training fields.

    The real file lists the test split's attributes in another order; they are brought into one. Its
    rows are named by `image_index`; where that is absent they are the sorted persons.

    Args:
        path: `market_attribute.mat`; an absent file gives an empty dictionary.
        split: "train" or "test".
        people: sorted identities of the split.

    Raises:
        DpigError: if the file is damaged or has other fields.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return {}
    try:
        tables = mat_files.read(path, "market_attribute")
        order = [name for name in tables["train"] if name != "image_index"]
        table = tables[split]
        values = np.stack([np.ravel(table[name]) for name in order], axis=1).astype(np.int64)
    except mat_files.MatError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DpigError(
            f"{path}: not the Market-1501 Attribute file ({error})", file=path
        ) from error
    if len(order) != 27:
        raise DpigError(f"{path}: {len(order)} attributes, expected 27", file=path)
    if "image_index" in table:
        people = [str(entry) for entry in table["image_index"]]
    if len(people) != len(values):
        raise DpigError(
            f"{path}: {len(values)} rows for the {len(people)} persons of {split}, and no "
            "image_index to tell which; without the file, records get no attributes",
            file=path,
        )
    return dict(zip(people, values, strict=True))
