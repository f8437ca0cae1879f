"""Annotated pairs -> serialized examples in the published schema -> sharded record files."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import replacing
from dpig_tf2.ops import images, pose_maps, regions
from dpig_tf2.records import check, schema

_GRID_ROWS = 16  # the coarse keypoint grid has 16 rows of square cells at any image size
_ANNOTATION_BATCH = 256
# Serialized sides kept for the other pairs of the same person: about 50 kB each.
_CACHED_SIDES = 2048
_CACHED_ANNOTATIONS = 50_000  # packed masks, 2 to 24 kB each


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One annotated image, ready to be written.

    `encoded` is a JPEG or PNG file of the record's size, or a function that returns its bytes when
    they are written; `keypoints` float32 [18, 3], pixels (row, column, visibility), (0, 0, 0) where
    missing. Fields that are None are left out of the record.
    """

    name: str
    encoded: bytes | Callable[[], bytes]
    keypoints: np.ndarray
    identity: int = -1  # index of the person within the split
    camera: int = -1
    attributes: np.ndarray | None = None  # int [27]
    word_vectors: dict[int, np.ndarray] | None = None  # by size, any shape, flattened
    candidates: np.ndarray | None = None  # float [20], row of the pose detector
    # int [H, W], or a function that returns it when it is written
    segmentation: np.ndarray | Callable[[], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """One example: the source image and the target image, usually of the same person."""

    source: Person
    target: Person
    same_person: bool = True


class PairEncoder:
    """Serializes pairs; what depends on the keypoints alone is computed once per person.

    Args:
        variant: name of a `schema.Variant`; decides which masks and maps are written.
        height, width: image size in pixels.
        parts: part regions written, 7 or 37.
        image_format: "jpg" or "png", a note for readers of the release.
        real: whether the images are photographs.

    Raises:
        DpigError: for an unknown variant, number of parts or format.
    """

    def __init__(
        self,
        variant: str,
        height: int,
        width: int,
        parts: int = 37,
        image_format: str = "jpg",
        real: bool = True,
    ):
        self.variant = schema.variant(variant)
        if parts not in schema.PART_COUNTS:
            raise DpigError(f"parts must be one of {schema.PART_COUNTS}, got {parts}")
        if image_format not in ("jpg", "png"):
            raise DpigError(f"image format must be jpg or png, got {image_format!r}")
        self.height, self.width, self.parts = height, width, parts
        self._common = _serialize(
            {
                schema.FORMAT: [image_format.encode()],
                schema.HEIGHT: [height],
                schema.WIDTH: [width],
                schema.REAL: [int(real)],
                schema.POSE_MAP_SIZE: [height * width * 18],
            }
        )
        self._annotations: dict[Person, dict] = {}
        self._decodable: set[Person] = set()
        self._side = functools.lru_cache(maxsize=_CACHED_SIDES)(self._serialize_side)

    def encode(self, pairs: Iterable[Pair]) -> Iterator[bytes]:
        """Serialized tf.train.Examples of the pairs, in order.

        Raises:
            RecordError: naming the persons, if a pair breaks one of `records.rules`.
        """
        for chunk in _chunks(pairs, _ANNOTATION_BATCH):
            self._annotate(chunk)
            examples = [self._example(pair) for pair in chunk]
            if wrong := check.first_problem(examples, (self.height, self.width)):
                number, problem = wrong
                names = f"{chunk[number].source.name} -> {chunk[number].target.name}"
                raise schema.RecordError(f"{names}: {problem}", record=number)
            yield from examples

    def _example(self, pair):
        label = _serialize({schema.LABEL: [int(pair.same_person)]})
        sides = self._side(pair.source, 0) + self._side(pair.target, 1)
        # Serialized protocol buffers merge by concatenation.
        features = self._common + label + sides
        return b"\x0a" + _varint(len(features)) + features

    def _image(self, person):
        """The person's image file, which must be one that readers decode."""
        encoded = _value(person.encoded)
        if person not in self._decodable:
            if not images.is_decodable(encoded, (self.height, self.width)):
                raise schema.RecordError(
                    f"{person.name} is not written: TensorFlow does not decode it as a JPEG or PNG "
                    f"of {self.height} x {self.width} pixels (rows x columns)",
                    file=person.name,
                )
            self._decodable.add(person)
        return encoded

    def _annotate(self, pairs):
        """Draws masks and boxes for the persons not yet seen, all at once."""
        if len(self._annotations) > _CACHED_ANNOTATIONS:
            self._annotations.clear()
        persons = {person: None for pair in pairs for person in (pair.source, pair.target)}
        new = [person for person in persons if person not in self._annotations]
        if not new:
            return
        keypoints = np.stack([person.keypoints for person in new]).astype(np.float32)
        size = (self.height, self.width)
        boxes, visible = regions.part_boxes(keypoints, *size, self.variant.box_rule, self.parts)
        masks = {
            radius: _pack(pose_maps.body_mask(keypoints, *size, radius).numpy())
            for radius in self.variant.mask_radii
        }
        boxes, visible = boxes.numpy().astype(np.int64), visible.numpy().astype(np.int64)
        for i, person in enumerate(new):
            self._annotations[person] = {
                "boxes": boxes[i],
                "visible": visible[i],
                "masks": {radius: mask[i] for radius, mask in masks.items()},
            }

    def _serialize_side(self, person, side):
        known = self._annotations[person]
        features = {
            schema.IMAGE: [self._image(person)],
            schema.NAME: [person.name.encode()],
            schema.IDENTITY: [person.identity],
            schema.CAMERA: [person.camera],
            schema.ATTRIBUTES: [] if person.attributes is None else person.attributes,
            schema.KEYPOINTS: person.keypoints,
            schema.PART_BOXES: known["boxes"],
            schema.PART_VISIBILITY: known["visible"],
        }
        for radius, packed in known["masks"].items():
            features[schema.BODY_MASKS[radius]] = np.unpackbits(packed)[: self.height * self.width]
        for radius in self.variant.sparse_radii:
            indices = sparse_pose_map(person.keypoints, self.height, self.width, radius)
            features[schema.SPARSE_INDICES[radius]] = indices
            features[schema.SPARSE_VALUES[radius]] = np.ones(len(indices), np.float32)
        if self.variant.coarse_grid:
            features[schema.COARSE_GRID] = coarse_grid(person.keypoints, self.height, self.width)
        if person.candidates is not None:
            features[schema.CANDIDATES] = person.candidates
        if person.segmentation is not None:
            features[schema.SEGMENTATION] = _value(person.segmentation)
        for size, vectors in (person.word_vectors or {}).items():
            features[schema.WORD_VECTORS[size]] = vectors
        return _serialize(features, side)


def sparse_pose_map(keypoints, height: int, width: int, radius: int) -> np.ndarray:
    """Flat indices of a pose map's positive pixels, int64, keypoint by keypoint.

    Args:
        keypoints: float [18, 3], pixels (row, column, visibility).
        height, width: image size in pixels.
        radius: disc radius in pixels, inclusive; discs are clipped at the border.

    Returns:
        int64 [N] of (row * width + column) * 18 + keypoint.
    """
    offset = np.arange(-radius, radius + 1)
    disc = np.argwhere(offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2) - radius
    found = []
    for k, (row, column, visibility) in enumerate(np.asarray(keypoints)):
        if visibility > 0.5:
            rows, columns = (disc + [int(row), int(column)]).T
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            found.append((rows[inside] * width + columns[inside]) * 18 + k)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def coarse_grid(keypoints, height: int, width: int) -> np.ndarray:
    """Keypoints one-hot on a coarse grid, float32 [16, 16 * W / H, 18]."""
    cell = height / _GRID_ROWS
    grid = np.zeros((_GRID_ROWS, _GRID_ROWS * width // height, 18), np.float32)
    for k, (row, column, visibility) in enumerate(np.asarray(keypoints)):
        i, j = int(row / cell), int(column / cell)
        if visibility > 0.5 and 0 <= i < grid.shape[0] and 0 <= j < grid.shape[1]:
            grid[i, j, k] = 1
    return grid


def write_shard(path: os.PathLike, examples: Iterable[bytes]) -> int:
    """Number of examples written to a record file, which appears only when it is complete."""
    path = pathlib.Path(path)
    count = 0
    try:
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as file:
            for example in examples:
                file.write(example)
                count += 1
    except tf.errors.OpError as error:  # a full disk, for one
        raise OSError(f"{path} cannot be written: {error.message}") from error
    return count


def _serialize(features: dict[schema.Feature, Sequence], side: int | None = None) -> bytes:
    proto = tf.train.Features()
    for feature, values in features.items():
        key = feature.keys[side or 0]
        if feature.kind == "bytes":
            proto.feature[key].bytes_list.value.extend(values)
        elif feature.kind == "int64":
            proto.feature[key].int64_list.value.extend(np.ravel(values).astype(np.int64).tolist())
        else:
            proto.feature[key].float_list.value.extend(np.ravel(values).astype(np.float32).tolist())
    return proto.SerializeToString(deterministic=True)


def _value(value_or_function):
    return value_or_function() if callable(value_or_function) else value_or_function


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _pack(masks):
    return np.packbits(masks.reshape(len(masks), -1) > 0.5, axis=1)


def _chunks(items, size):
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
