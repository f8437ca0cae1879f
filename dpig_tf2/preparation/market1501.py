"""The raw Market-1501 folder -> records equal to the released ones."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from dpig_tf2.preparation import detections, photos, raw_records
from dpig_tf2.preparation.keypoint_folder import Conversion

SPLITS = ("train", "test", "test_samples", "all")
WORD_VECTOR_SIZES = (25, 50, 100, 150)
# First names of the sorted test folder: junk (-1) and distractors (0000), which are not persons.
_JUNK = 6617
_NAME = re.compile(r"-?\d+_c\d.*")
_POSES = "Market-1501_PoseFiltered"
_ATTRIBUTES = "Market-1501_Attribute"
_SEGMENTS = "Market-1501_Segment/seg"


@dataclasses.dataclass(frozen=True)
class _Part:
    """Where one part of the dataset lies below the raw folder."""

    images: str
    poses: str  # end of the pose pickles' names
    labels: str  # "train" or "test" in attributes, word vectors and segmentations
    skip: int = 0  # names left out at the start of the sorted folder


_TRAIN = _Part("bounding_box_train", "train", "train")
_TRAIN_FLIP = _Part("bounding_box_train_flip", "train_Flip", "train")
_TEST = _Part("bounding_box_test", "test_clean", "test", _JUNK)
_TEST_SAMPLES = _Part("bounding_box_test_samples", "test_samples", "test")
_PARTS = {
    "train": (_TRAIN,),
    "test": (_TEST,),
    "test_samples": (_TEST_SAMPLES,),
    "all": (_TRAIN, _TEST),
}


def convert(
    raw_dir,
    out_dir,
    split: str,
    *,
    flip: bool | None = None,
    parts: int = 37,
    num_shards: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
) -> Conversion:
    """Writes the records of one split.

    Args:
        raw_dir: folder with `bounding_box_*`, `Market-1501_PoseFiltered` and, if at hand,
            `Market-1501_Attribute` (with `word2vec`) and `Market-1501_Segment`.
        out_dir: folder for the records.
        split: one of `SPLITS`; "test_samples" makes a small test split, "all" holds train and test.
        flip: add the mirrored images: from `bounding_box_train_flip` where it exists, else made
            here. None: for "train" only, as the release did.
        parts: part regions in the records, 7 or 37.
        num_shards, overwrite, dry_run: as in `keypoint_folder.convert`.

    Raises:
        ValueError: naming the file or folder that is missing or unusable.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    raw_dir = pathlib.Path(raw_dir)
    flip = split == "train" if flip is None else flip
    problems: list[str] = []
    image_sets = [
        images for part in _PARTS[split] for images in _image_sets(raw_dir, part, flip, problems)
    ]
    plan = raw_records.Plan(
        variant="market1501",
        split="test" if split == "test_samples" else split,
        image_sets=image_sets,
        pair_mode="same_identity",
        identity=identity,
        camera=camera,
        shuffle=split == "train",
        parts=parts,
    )
    settings = {"source": "market1501", "split": split, "flip": flip}
    return raw_records.convert(plan, out_dir, settings, problems, num_shards, overwrite, dry_run)


def identity(name: str) -> str:
    """The person in a file name: 0002_c1s1_000451_03.jpg -> 0002."""
    return name[:4]


def camera(name: str) -> int:
    """The camera in a file name: 0002_c1s1_000451_03.jpg -> 1."""
    return int(name[6])


def _image_sets(raw_dir, part, flip, problems) -> list[raw_records.ImageSet]:
    images = _read_images(raw_dir, part, problems)
    labels = _Labels(raw_dir, part.labels, images.names)
    problems += labels.problems()
    image_sets = [images]
    if flip and part is _TRAIN and (raw_dir / _TRAIN_FLIP.images).is_dir():
        image_sets.append(_read_images(raw_dir, _TRAIN_FLIP, problems))
    elif flip:
        image_sets.append(dataclasses.replace(images, mirror=True))

    def fields(images, name, mirror):
        row = images.detections[name].row
        return {"candidates": row, **labels.of(name, mirror)}

    return [
        dataclasses.replace(images, fields=functools.partial(fields, images))
        for images in image_sets
    ]


def _read_images(raw_dir, part, problems):
    folder = raw_dir / part.images
    names = photos.list_images(folder)
    if len(names) <= part.skip:
        raise ValueError(
            f"{folder} holds {len(names)} images: the first {part.skip} of the sorted test images "
            "are junk and distractors, so none is left; for a few images use --split=test_samples"
        )
    names = names[part.skip :]
    problems += [f"{folder / n}: not a Market-1501 name" for n in names if not _NAME.match(n)]
    names = [name for name in names if _NAME.match(name)]
    peaks, subsets = (
        raw_dir / _POSES / f"{kind}_dic_Market-1501_{part.poses}.p"
        for kind in ("all_peaks", "subsets")
    )
    for path in (peaks, subsets):
        if not path.exists():
            raise ValueError(f"{path} does not exist: it holds the detected poses of {folder}")
    found, faults = detections.read(peaks, subsets, person_only=True)
    problems += faults
    without = [name for name in names if name not in found]
    problems += [f"{folder / name}: no keypoints, its pairs are left out" for name in without]
    unknown = sorted(set(found) - set(names))
    if unknown:
        problems.append(f"{peaks}: {len(unknown)} poses without image, such as {unknown[0]}")
    return raw_records.ImageSet(folder, names, found)


@dataclasses.dataclass(frozen=True)
class _Labels:
    """Attributes, word vectors and segmentations of one split, read when first asked for."""

    raw_dir: pathlib.Path
    split: str
    names: Sequence[str]

    def of(self, name: str, mirror: bool) -> dict:
        """Fields of `writer.Person` for an image."""
        return {
            "attributes": self._attributes.get(identity(name)),
            "word_vectors": self._word_vectors(identity(name)),
            "segmentation": self._segmentation(name, mirror),
        }

    def problems(self) -> list[str]:
        """What is absent; the records are complete without."""
        lines = []
        people = {identity(name) for name in self.names}
        if not self._attributes:
            lines.append(f"{self._attribute_path}: absent, records get no attributes")
        elif people - set(self._attributes):
            unknown = sorted(people - set(self._attributes))
            lines.append(
                f"{self._attribute_path}: no attributes of {len(unknown)} persons, such as "
                f"{unknown[0]}"
            )
        absent = [size for size in WORD_VECTOR_SIZES if size not in self._vector_tables]
        if absent:
            sizes = ", ".join(map(str, absent))
            lines.append(f"{self._attribute_path.parent}/word2vec: no vectors of size {sizes}")
        if not self._segment_folder.is_dir():
            lines.append(f"{self._segment_folder}: absent, segmentations are zero")
        return lines

    @property
    def _attribute_path(self):
        return self.raw_dir / _ATTRIBUTES / "market_attribute.mat"

    @property
    def _segment_folder(self):
        return self.raw_dir / _SEGMENTS / f"person_seg_{self.split}"

    @functools.cached_property
    def _attributes(self):
        return read_attributes(self._attribute_path, self.split, self._people)

    @functools.cached_property
    def _people(self):
        return sorted({identity(name) for name in self.names})

    @functools.cached_property
    def _vector_tables(self):
        folder = self.raw_dir / _ATTRIBUTES / "word2vec"
        tables = {}
        for size in WORD_VECTOR_SIZES:
            path = folder / f"{self.split}_att_wordvec_dim{size}.mat"
            if path.exists():
                cells = _load_mat(path, f"{self.split}_att")
                tables[size] = [np.asarray(cell, np.float64) for cell in cells.ravel()]
        return tables

    def _word_vectors(self, person):
        """By size, the person's row of every table, one after the other."""
        row = self._people.index(person)
        return {
            size: np.concatenate([table[row] for table in tables])
            for size, tables in self._vector_tables.items()
            if all(row < len(table) for table in tables)
        }

    def _segmentation(self, name, mirror):
        path = self._segment_folder / f"{pathlib.PurePath(name).stem}.png"
        if not path.exists():
            return np.zeros((128, 64), np.int64)  # as the release wrote where it had none
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"), np.int64)
        return raw_records.mirror_segmentation(pixels) if mirror else pixels


def read_attributes(path, split: str, people: Sequence[str]) -> dict[str, np.ndarray]:
    """The 27 attributes of each person, int64, in the order of the file's training fields.

    The real file lists the test split's attributes in another order; they are brought into one. Its
    rows are named by `image_index`; where that is absent they are the sorted persons.

    Args:
        path: `market_attribute.mat`; an absent file gives an empty dictionary.
        split: "train" or "test".
        people: sorted identities of the split.

    Raises:
        ValueError: if the file is damaged or has other fields.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return {}
    tables = _load_mat(path, "market_attribute")[0, 0]
    order = [name for name in tables["train"].dtype.names if name != "image_index"]
    table = tables[split][0, 0]
    if set(order) - set(table.dtype.names) or len(order) != 27:
        raise ValueError(f"{path}: expected the same 27 attributes for train and test")
    values = np.stack([np.ravel(table[name]) for name in order], axis=1).astype(np.int64)
    if "image_index" in table.dtype.names:
        people = [str(np.ravel(entry)[0]) for entry in np.ravel(table["image_index"])]
    return dict(zip(people, values, strict=False))


def _load_mat(path, variable):
    from scipy import io  # slow to import, and needed for raw folders alone

    try:
        return io.loadmat(path)[variable]
    except (ValueError, KeyError, TypeError, NotImplementedError, OSError) as error:
        raise ValueError(f"{path}: no usable variable {variable} ({error})") from error
