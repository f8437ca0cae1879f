"""Serialized examples -> tensors under our own names, unchanged in content."""

import dataclasses

import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.ops import images
from dpig_tf2.records import schema

_NETWORK_PARTS = 7  # the first seven part regions; 7- and 37-part records agree on them
_SPARSE_RADIUS = 4  # the sparse pose map that every record with sparse maps holds
_ABSENT = -1  # never a stored mask, box or visibility value
# Keys that `extras` may ask for, under our names.
EXTRAS = {
    "segmentation": schema.SEGMENTATION,
    "attributes": schema.ATTRIBUTES,
    **{f"word_vectors_{size}": feature for size, feature in schema.WORD_VECTORS.items()},
}


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Decodes a batch of examples; callable inside a tf.data graph.

    Calling it with string [B] gives {"source": person, "target": person}, each person a dict:

    * `image` uint8 [B, H, W, 3],
    * `keypoints` float32 [B, 18, 3], pixels,
    * `body_mask` uint8 [B, H, W, 1] in {0, 1}, and `has_mask` bool [B]: False where the record
      holds no mask of this radius (the mask is then 0),
    * `part_boxes` float32 [B, 7, 4], pixels, `part_visibility` float32 [B, 7], and `has_parts`
      bool [B]: False where the record holds none,
    * `name` string [B] (empty where absent), `identity` and `camera` int64 [B] (-1 where absent),
    * the extras asked for: `segmentation` int64 [B, H, W, 1] (0 where absent), `attributes` int64
      [B, 27] (-1 where absent), `word_vectors_25` (50, 100, 150) float32 [B, N].

    Args:
        height, width: image size in pixels.
        mask_radius: body mask to read; None or a radius that records do not know reads none.
        sparse_keypoints: read keypoints from the sparse pose map where the keypoints are absent.
        extras: names from `EXTRAS`.

    Raises:
        DpigError: if an extra is unknown.
        tf.errors.InvalidArgumentError: from the graph, if a required key is missing, a length is
            wrong or an image cannot be decoded. `check.problems` puts a name to it.
    """

    height: int
    width: int
    mask_radius: int | None = None
    sparse_keypoints: bool = False
    extras: tuple[str, ...] = ()

    def __post_init__(self):
        for name in self.extras:
            if name not in EXTRAS:
                raise DpigError(f"extras must be among {', '.join(EXTRAS)}; got {name!r}")

    def __call__(self, serialized: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        parsed = tf.io.parse_example(serialized, self._parsing_spec())
        return {name: self._person(parsed, side) for side, name in enumerate(schema.SIDES)}

    def _parsing_spec(self):
        pixels = self.height * self.width
        fixed, padded = tf.io.FixedLenFeature, tf.io.FixedLenSequenceFeature
        spec = {}
        for side in range(len(schema.SIDES)):
            spec[schema.IMAGE.keys[side]] = fixed([], tf.string)
            spec[schema.NAME.keys[side]] = fixed([], tf.string, "")
            spec[schema.IDENTITY.keys[side]] = fixed([], tf.int64, -1)
            spec[schema.CAMERA.keys[side]] = fixed([], tf.int64, -1)
            spec[schema.KEYPOINTS.keys[side]] = fixed([54], tf.float32, [float("nan")] * 54)
            for feature in (schema.PART_BOXES, schema.PART_VISIBILITY):
                spec[feature.keys[side]] = padded([], tf.int64, True, _ABSENT)
            if self.sparse_keypoints:
                key = schema.SPARSE_INDICES[_SPARSE_RADIUS].keys[side]
                spec[key] = tf.io.RaggedFeature(tf.int64)
            if self.mask_radius in schema.BODY_MASKS:
                key = schema.BODY_MASKS[self.mask_radius].keys[side]
                spec[key] = fixed([pixels], tf.int64, [_ABSENT] * pixels)
            for name in self.extras:
                feature = EXTRAS[name]
                if name == "segmentation":
                    spec[feature.keys[side]] = fixed([pixels], tf.int64, [0] * pixels)
                elif name == "attributes":
                    spec[feature.keys[side]] = padded([], tf.int64, True, _ABSENT)
                else:
                    spec[feature.keys[side]] = padded([], tf.float32, True)
        return spec

    def _person(self, parsed, side):
        def read(feature):
            return parsed[feature.keys[side]]

        boxes, has_boxes = _parts(read(schema.PART_BOXES), 4, schema.PART_BOXES)
        visible, has_visible = _parts(read(schema.PART_VISIBILITY), 1, schema.PART_VISIBILITY)
        mask, has_mask = self._body_mask(parsed, side)
        person = {
            "image": self._images(read(schema.IMAGE)),
            "keypoints": self._keypoints(parsed, side),
            "body_mask": mask,
            "has_mask": has_mask,
            "part_boxes": tf.reshape(boxes, [-1, _NETWORK_PARTS, 4]),
            "part_visibility": visible,
            "has_parts": has_boxes & has_visible,
            "name": read(schema.NAME),
            "identity": read(schema.IDENTITY),
            "camera": read(schema.CAMERA),
        }
        for name in self.extras:
            person[name] = read(EXTRAS[name])
            if name == "segmentation":
                person[name] = tf.reshape(person[name], [-1, self.height, self.width, 1])
            elif name == "attributes":
                person[name], _ = _first(person[name], 27, (27,), schema.ATTRIBUTES)
        return person

    def _images(self, encoded):
        shape = [self.height, self.width, 3]
        return tf.map_fn(
            lambda one: tf.ensure_shape(images.decode_image(one), shape),
            encoded,
            fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        )

    def _keypoints(self, parsed, side):
        stored = tf.reshape(parsed[schema.KEYPOINTS.keys[side]], [-1, 18, 3])
        if self.sparse_keypoints:
            indices = parsed[schema.SPARSE_INDICES[_SPARSE_RADIUS].keys[side]]
            recovered = keypoints_from_sparse_map(indices, self.height, self.width)
            absent = tf.reduce_all(tf.math.is_nan(stored), axis=[1, 2], keepdims=True)
            stored = tf.where(absent, recovered, stored)
        tf.debugging.Assert(
            tf.reduce_all(tf.math.is_finite(stored)), ["keypoints are absent or not finite"]
        )
        return stored

    def _body_mask(self, parsed, side):
        shape = [-1, self.height, self.width, 1]
        if self.mask_radius not in schema.BODY_MASKS:
            batch = tf.shape(parsed[schema.NAME.keys[side]])[0]
            empty = tf.zeros([batch, self.height, self.width, 1], tf.uint8)
            return empty, tf.zeros([batch], tf.bool)
        stored = parsed[schema.BODY_MASKS[self.mask_radius].keys[side]]
        mask = tf.reshape(tf.cast(stored > 0, tf.uint8), shape)
        return mask, stored[:, 0] != _ABSENT


def keypoints_from_sparse_map(indices: tf.RaggedTensor, height: int, width: int) -> tf.Tensor:
    """Keypoints whose discs of radius 4 a sparse pose map holds.

    A disc keeps the rows above and below its center unless the border cuts them off, so that the
    center lies 4 pixels from whichever edge of the disc was not cut.

    Args:
        indices: ragged int64 [B, N] of (row * width + column) * 18 + keypoint.
        height, width: image size in pixels, at least 9.

    Returns:
        float32 [B, 18, 3], pixels; the fraction that drawing truncated is lost.
    """
    batch = tf.cast(indices.nrows(), tf.int64)
    flat, row_of = indices.flat_values, tf.cast(indices.value_rowids(), tf.int64)
    segment = row_of * 18 + flat % 18
    pixel = flat // 18

    def center(values):
        first = tf.math.unsorted_segment_min(values, segment, batch * 18)
        last = tf.math.unsorted_segment_max(values, segment, batch * 18)
        return tf.where(first > 0, first + _SPARSE_RADIUS, last - _SPARSE_RADIUS)

    visible = tf.math.unsorted_segment_sum(tf.ones_like(segment), segment, batch * 18) > 0
    row, column = center(pixel // width), center(pixel % width)
    found = tf.cast(tf.stack([row, column, tf.ones_like(row)], axis=-1), tf.float32)
    return tf.reshape(tf.where(visible[:, None], found, 0.0), [-1, 18, 3])


def _parts(values, numbers, feature):
    """The network's parts of rows padded with -1, float32 [B, 7 * numbers]; rows that have any."""
    allowed = tuple(numbers * parts for parts in schema.PART_COUNTS)
    values, present = _first(values, numbers * _NETWORK_PARTS, allowed, feature)
    return tf.cast(values, tf.float32), present


def _first(values, wanted, allowed, feature):
    """The first numbers of rows padded with -1, [B, wanted]; which rows hold any, bool [B]."""
    length = tf.reduce_sum(tf.cast(values != _ABSENT, tf.int32), axis=1)
    tf.debugging.Assert(
        tf.reduce_all(tf.reduce_any(length[:, None] == (0, *allowed), axis=1)),
        [f"{feature.key} must hold one of {allowed} numbers, or none; got", length],
    )
    values = tf.pad(values, [[0, 0], [0, wanted]], constant_values=_ABSENT)[:, :wanted]
    return tf.reshape(values, [-1, wanted]), length > 0
