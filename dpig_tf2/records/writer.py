"""Annotated persons and pairs -> serialized examples in the published schema -> record files.

Nothing here needs TensorFlow, so that several processes can convert without waiting for its start.
"""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io import crc32c
from dpig_tf2.ops import drawing
from dpig_tf2.records import rules, schema, wire

_GRID_ROWS = 16  # the coarse keypoint grid has 16 rows of square cells at any image size
_CHUNK = 256  # pairs whose persons are drawn together
_CACHED_BYTES = 1 << 27  # of serialized features, for the other pairs of the same person
_DESCRIBED_PERSONS = 2000  # that came without serialized features, 30 to 200 kB each
_KNOWN_PERSONS = 100_000  # whose checksums are kept, a kilobyte each

Checked = tuple[bytes, int]  # an example with its CRC-32C
Described = dict[str, bytes]  # serialized features by `Feature.key`, the same on both sides
Value = TypeVar("Value")
Lazy = Value | Callable[[], Value | None] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One annotated image, ready to be written.

    `encoded` is a JPEG or PNG file of the record's size; `keypoints` float32 [18, 3], pixels (row,
    column, visibility), (0, 0, 0) where missing. Fields that are None are left out of the record.
    Where a field may be a function, it is called when the record is written.
    """

    name: str
    encoded: bytes | Callable[[], bytes]
    keypoints: np.ndarray
    identity: int = -1  # index of the person within the split
    camera: int = -1
    attributes: Lazy[np.ndarray] = None  # int [27]
    word_vectors: Lazy[dict[int, np.ndarray]] = None  # by size, any shape, flattened
    candidates: Lazy[np.ndarray] = None  # float [20], row of the pose detector
    segmentation: Lazy[np.ndarray] = None  # int [H, W]
    described: Lazy[Described] = None  # of the image and keypoints; None: made when it is written
    is_decodable: bool = False  # TensorFlow is known to decode the image, at the record's size


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """One example: the source image and the target image, usually of the same person."""

    source: Person
    target: Person


@dataclasses.dataclass(frozen=True)
class Format:
    """What the records of a split have in common.

    Args:
        variant: name of a `schema.Variant`; decides which masks and maps are written.
        height, width: image size in pixels.
        parts: part regions written, 7 or 37.
        image_format: "jpg" or "png", a note for readers of the release.
        real: whether the images are photographs.

    Raises:
        DpigError: for an unknown variant, number of parts or format.
    """

    variant: str
    height: int
    width: int
    parts: int = 37
    image_format: str = "jpg"
    real: bool = True

    def __post_init__(self):
        schema.variant(self.variant)
        if self.parts not in schema.PART_COUNTS:
            raise DpigError(f"parts must be one of {schema.PART_COUNTS}, got {self.parts}")
        if self.image_format not in ("jpg", "png"):
            raise DpigError(f"image format must be jpg or png, got {self.image_format!r}")

    def describe(self, images: Sequence[bytes], poses: Sequence[np.ndarray]) -> list[Described]:
        """What a record of pairs holds of images and of poses float [18, 3] that keep to the rules.

        Masks and boxes are drawn for all of them at once.
        """
        if not len(poses):
            return []
        size, variant = (self.height, self.width), schema.variant(self.variant)
        stacked = np.stack(poses)
        boxes, visible = drawing.part_boxes(stacked, *size, variant.box_rule, self.parts)
        masks = {
            radius: drawing.body_masks(stacked, *size, radius) for radius in variant.mask_radii
        }
        described = []
        for i, (image, pose) in enumerate(zip(images, poses, strict=True)):
            features = {
                schema.IMAGE: [image],
                schema.KEYPOINTS: pose,
                schema.PART_BOXES: boxes[i],
                schema.PART_VISIBILITY: visible[i],
            }
            for radius, mask in masks.items():
                features[schema.BODY_MASKS[radius]] = mask[i]
            for radius in variant.sparse_radii:
                indices = sparse_pose_map(pose, *size, radius)
                features[schema.SPARSE_INDICES[radius]] = indices
                features[schema.SPARSE_VALUES[radius]] = np.ones(len(indices), np.float32)
            if variant.coarse_grid:
                features[schema.COARSE_GRID] = coarse_grid(pose, *size)
            described.append({f.key: wire.feature(f.kind, v) for f, v in features.items()})
        return described


class _Encoder:
    """What the encoders of pairs and of single persons share."""

    def __init__(self, record_format: Format):
        self.format = record_format
        self.variant = schema.variant(record_format.variant)
        self.size = (record_format.height, record_format.width)
        self._common = {
            schema.FORMAT: [record_format.image_format.encode()],
            schema.HEIGHT: [record_format.height],
            schema.WIDTH: [record_format.width],
            schema.REAL: [int(record_format.real)],
        }

    def _check(self, persons):
        """Raises RecordError for the first of {person: side} that breaks a rule."""
        for person, side in persons.items():
            for feature in (schema.KEYPOINTS, schema.ATTRIBUTES, schema.SEGMENTATION):
                self._check_length(person, side, feature)
        if not persons:
            return
        poses = np.stack([np.reshape(person.keypoints, (18, 3)) for person in persons])
        for rule in rules.RULES:
            if rule.feature is schema.KEYPOINTS:
                for position in np.flatnonzero(rule.is_broken(poses, *self.size).any(axis=1)):
                    person, side = list(persons.items())[position]
                    raise _error(person, schema.KEYPOINTS.keys[side], rule.problem)

    def _check_length(self, person, side, feature):
        values = {
            schema.KEYPOINTS: person.keypoints,
            schema.ATTRIBUTES: person.attributes,
            schema.SEGMENTATION: person.segmentation,
        }[feature]
        values, allowed = _value(values), feature.allowed_lengths(*self.size)
        length = 0 if values is None else np.size(values)
        if length not in (0, *allowed):
            expected = " or ".join(map(str, allowed))
            raise _error(person, feature.keys[side], f"holds {length} values, expected {expected}")

    def _image(self, person):
        """The person's image file, which must be one that readers decode."""
        encoded = _value(person.encoded)
        if not person.is_decodable:
            from dpig_tf2.ops import images  # TensorFlow alone knows what it decodes

            if not images.is_decodable(encoded, self.size):
                height, width = self.size
                raise schema.RecordError(
                    f"{person.name} is not written: TensorFlow does not decode it as a JPEG or PNG "
                    f"of {height} x {width} pixels (rows x columns)",
                    file=person.name,
                )
        return encoded

    def _labels(self, person):
        """What is known of a person besides the image and the keypoints."""
        attributes = _value(person.attributes)
        features = {
            schema.NAME: [person.name.encode()],
            schema.IDENTITY: [person.identity],
            schema.CAMERA: [person.camera],
            schema.ATTRIBUTES: [] if attributes is None else attributes,
        }
        segmentation = _value(person.segmentation)
        if segmentation is not None:
            features[schema.SEGMENTATION] = segmentation
        for size, vectors in (_value(person.word_vectors) or {}).items():
            features[schema.WORD_VECTORS[size]] = vectors
        return features


class PhotoEncoder(_Encoder):
    """Serializes single persons for the lean layout: what a record of pairs holds of its source."""

    def encode(self, persons: Iterable[Person]) -> Iterator[Checked]:
        """Serialized tf.train.Examples of the persons, in order, with their CRC-32C.

        Raises:
            RecordError: naming the person, if it breaks one of `records.rules`.
        """
        for person in persons:
            self._check({person: 0})
            own = {schema.IMAGE: [self._image(person)], schema.KEYPOINTS: person.keypoints}
            content = wire.features(_serialized(self._common | own | self._labels(person)))
            example = wire.example_head(len(content)) + content
            yield example, crc32c.crc32c(example)


class PairEncoder(_Encoder):
    """Serializes pairs; what belongs to a person is computed once, whatever its pairs."""

    def __init__(self, record_format: Format):
        super().__init__(record_format)
        height, width = self.size
        common = self._common | {schema.POSE_MAP_SIZE: [height * width * 18]}
        label = wire.features(_serialized({schema.LABEL: [1]}))
        self._common_features = wire.features(_serialized(common)) + label
        self._head = functools.lru_cache(maxsize=1 << 14)(self._begin)
        self._checked: set[Person] = set()
        self._described: dict[Person, Described] = {}  # made here
        self._checksums: dict[Person, tuple[tuple[int, int], int]] = {}
        self._values: collections.OrderedDict[Person, Described] = collections.OrderedDict()
        self._value_bytes = 0

    def encode(self, pairs: Iterable[Pair]) -> Iterator[Checked]:
        """Serialized tf.train.Examples of the pairs, in order, with their CRC-32C.

        Raises:
            RecordError: naming the person, if one breaks one of `records.rules`.
        """
        pairs = iter(pairs)
        while chunk := list(itertools.islice(pairs, _CHUNK)):
            self._look_at(chunk)
            for pair in chunk:
                yield self._example(pair)

    def _example(self, pair):
        # Serialized protocol buffers merge by concatenation, and checksums do so as well.
        sides = [self._side(person, side) for side, person in enumerate((pair.source, pair.target))]
        length = sum(len(content) for content, _, _ in sides)
        head, checksum = self._head(length)
        for _, of_side, zeros in sides:
            checksum = crc32c.joined(checksum, of_side, zeros)
        return b"".join([head, *(content for content, _, _ in sides)]), checksum

    def _begin(self, length):
        """What stands before the sides, which are so long, with its CRC-32C."""
        common = self._common_features
        head = wire.example_head(len(common) + length) + common
        return head, crc32c.crc32c(head)

    def _look_at(self, pairs):
        """Checks the persons not yet seen, and describes those that come without, all at once."""
        if len(self._checked) > _KNOWN_PERSONS:
            self._checked.clear()
            self._checksums.clear()
        if len(self._described) > _DESCRIBED_PERSONS:
            self._described.clear()
        bare, new = {}, {}
        for pair in pairs:
            for side, person in enumerate((pair.source, pair.target)):
                if person not in self._checked:
                    new.setdefault(person, side)
                if person.described is None and person not in self._described:
                    bare[person] = None
        self._check(new)
        self._checked.update(new)
        described = self.format.describe(list(map(self._image, bare)), [p.keypoints for p in bare])
        self._described.update(zip(bare, described, strict=True))

    def _side(self, person, side):
        """The features of one side, their CRC-32C, and what the checksum before is shifted by."""
        values = self._values_of(person)
        content = _of_side(values, side)
        if person not in self._checksums:
            other = _of_side(values, 1 - side)
            # Only the digits differ that tell the sides apart: "0" and "1", by their lowest bit.
            differ = np.frombuffer(content, np.uint8) != np.frombuffer(other, np.uint8)
            own = crc32c.crc32c(content)
            both = (own, crc32c.flipped(own, len(content), np.flatnonzero(differ)))
            self._checksums[person] = (
                both if side == 0 else both[::-1],
                crc32c.zeros_after(len(content)),
            )
        checksums, zeros = self._checksums[person]
        return content, checksums[side], zeros

    def _values_of(self, person):
        """All serialized features of a person; those used last stay in memory."""
        values = self._values.pop(person, None)
        if values is None:
            labels = self._labels(person)
            candidates = _value(person.candidates)
            if candidates is not None:
                labels[schema.CANDIDATES] = candidates
            values = {f.key: wire.feature(f.kind, v) for f, v in labels.items()}
            values |= self._described.get(person) or _value(person.described)
            self._value_bytes += _bytes(values)
        self._values[person] = values
        while self._value_bytes > _CACHED_BYTES and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self._value_bytes -= _bytes(oldest)
        return values


def sparse_pose_map(keypoints, height: int, width: int, radius: int) -> np.ndarray:
    """Flat indices of a pose map's positive pixels, int64, keypoint by keypoint.

    Args:
        keypoints: float [18, 3], pixels (row, column, visibility).
        height, width: image size in pixels.
        radius: disc radius in pixels, inclusive; discs are clipped at the border.

    Returns:
        int64 [N] of (row * width + column) * 18 + keypoint.
    """
    keypoints = np.asarray(keypoints)
    offset = np.arange(-radius, radius + 1)
    disc = np.argwhere(offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2) - radius
    (seen,) = np.nonzero(keypoints[:, 2] > 0.5)
    rows, columns = np.moveaxis(keypoints[seen, None, :2].astype(np.int64) + disc, -1, 0)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return ((rows * width + columns) * 18 + seen[:, None])[inside]


def coarse_grid(keypoints, height: int, width: int) -> np.ndarray:
    """Keypoints one-hot on a coarse grid, float32 [16, 16 * W / H, 18]."""
    cell = height / _GRID_ROWS
    grid = np.zeros((_GRID_ROWS, _GRID_ROWS * width // height, 18), np.float32)
    for k, (row, column, visibility) in enumerate(np.asarray(keypoints)):
        i, j = int(row / cell), int(column / cell)
        if visibility > 0.5 and 0 <= i < grid.shape[0] and 0 <= j < grid.shape[1]:
            grid[i, j, k] = 1
    return grid


def _of_side(values, side):
    return wire.features({_key(name, side): value for name, value in values.items()})


def _error(person, key, problem):
    return schema.RecordError(f"{person.name}: {key} {problem}", file=person.name, field=key)


def _serialized(features):
    """{key: serialized feature} of {feature: values}, under the keys of the first person."""
    return {
        feature.keys[0]: wire.feature(feature.kind, values) for feature, values in features.items()
    }


@functools.cache
def _key(name, side):
    return name.format(side=side)


def _value(lazy) -> Any:
    return lazy() if callable(lazy) else lazy


def _bytes(values):
    return sum(map(len, values.values()))
