"""Serialized examples -> tensors under our own names, unchanged in content."""

import dataclasses
from collections.abc import Collection

import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.ops import images
from dpig_tf2.ops.body_parts import NUM_REGIONS
from dpig_tf2.records import parsing, schema
from dpig_tf2.records.parsing import dense
from dpig_tf2.records.rules import SPARSE_RADIUS

# Keys that `extras` may ask for, under our names.
EXTRAS = {
    "segmentation": schema.SEGMENTATION,
    "attributes": schema.ATTRIBUTES,
    **{f"word_vectors_{size}": feature for size, feature in schema.WORD_VECTORS.items()},
}


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Decodes a batch of examples; callable inside a tf.data graph.

    Calling it with string [B], in the lean layout with the photos string [B, 2] of pairs, gives
    {"source": person, "target": person}; with single photos string [B, 1], {"source": person}. Each
    person is a dict:

    * `image` uint8 [B, H, W, 3],
    * `keypoints` float32 [B, 18, 3], pixels; of the sparse pose map where a record has no others,
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
        extras: names from `EXTRAS`.
        stored: keys that nearly all records hold, which makes reading faster; None: may be any.
        layout: one of `schema.LAYOUTS`.

    Raises:
        DpigError: if an extra is unknown.
        tf.errors.InvalidArgumentError: from the graph, if a record breaks one of `records.rules`.
            `check.problems` puts a name to it.
    """

    height: int
    width: int
    mask_radius: int | None = None
    extras: tuple[str, ...] = ()
    stored: Collection[str] | None = None
    layout: str = "published"

    def __post_init__(self):
        for name in self.extras:
            if name not in EXTRAS:
                raise DpigError(f"extras must be among {', '.join(EXTRAS)}; got {name!r}")

    def __call__(self, serialized: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
        if self.layout == "published":
            return dict(zip(schema.SIDES, self._persons(serialized), strict=True))
        (persons,) = self._persons(tf.reshape(serialized, [-1]))
        columns = serialized.shape[1]
        return {
            name: {key: value[column::columns] for key, value in persons.items()}
            for column, name in enumerate(schema.SIDES[:columns])
        }

    def examine(self, serialized: tf.Tensor) -> tuple[list[tf.Tensor], list[parsing.Finding]]:
        """Keypoints float32 [B, 18, 3] of each side, and all rules but those of the images.

        Args:
            serialized: string [B]; in the lean layout single photos.
        """
        parsed = self._parsed(serialized, images=False)
        sides = [self._examined(serialized, parsed, side) for side in range(self._sides)]
        return [keypoints for keypoints, _ in sides], [f for _, found in sides for f in found]

    @property
    def _sides(self):
        return schema.SIDES_STORED[self.layout]

    def _parsed(self, serialized, images=None):
        spec = parsing.parsing_spec(self.height, self.width, self.stored, images, self._sides)
        return tf.io.parse_example(serialized, spec)

    def _persons(self, serialized):
        """The persons of examples string [B]: both sides, or the single ones."""
        parsed = self._parsed(serialized)
        return [self._person(serialized, parsed, side) for side in range(self._sides)]

    def _person(self, serialized, parsed, side):
        def read(feature):
            return parsed[feature.keys[side]]

        boxes, visible = read(schema.PART_BOXES), read(schema.PART_VISIBILITY)
        mask, has_mask = self._body_mask(parsed, side)
        person = {
            "image": self._images(read(schema.IMAGE)),
            "keypoints": self._keypoints(serialized, parsed, side),
            "body_mask": mask,
            "has_mask": has_mask,
            # The networks' regions are the first parts, on which records of 7 and of 37 agree.
            "part_boxes": tf.cast(
                tf.reshape(dense(boxes, 4 * NUM_REGIONS), [-1, NUM_REGIONS, 4]), tf.float32
            ),
            "part_visibility": tf.cast(dense(visible, NUM_REGIONS), tf.float32),
            "has_parts": (boxes.row_lengths() > 0) & (visible.row_lengths() > 0),
            "name": read(schema.NAME),
            "identity": read(schema.IDENTITY),
            "camera": read(schema.CAMERA),
        }
        for name in self.extras:
            values = read(EXTRAS[name])
            if name == "segmentation":
                pixels, given = self._picture(values)
                person[name] = tf.where(given[:, None, None, None], pixels, 0)
            elif name == "attributes":
                person[name] = dense(values, 27, default=-1)
            else:
                person[name] = values.to_tensor()
        return person

    def _images(self, encoded):
        size = (self.height, self.width)
        return tf.map_fn(
            lambda one: tf.ensure_shape(images.decode_image(one, size), [*size, 3]),
            encoded,
            fn_output_signature=tf.TensorSpec([*size, 3], tf.uint8),
        )

    def _keypoints(self, serialized, parsed, side):
        """Keypoints of records that keep to the rules; nothing is drawn from those of others."""
        keypoints, found = self._examined(serialized, parsed, side)
        refusals = [
            tf.raw_ops.Assert(
                condition=~tf.reduce_any(finding.broken),
                data=[f"{finding.key} {finding.problem}"],
            )
            for finding in found
        ]
        with tf.control_dependencies([refusal for refusal in refusals if refusal is not None]):
            return tf.identity(keypoints)

    def _examined(self, serialized, parsed, side):
        """Keypoints [B, 18, 3], given or of the sparse pose map, and what the rules find."""
        stored = parsed[schema.KEYPOINTS.keys[side]]
        given = stored.row_lengths() > 0
        keypoints = tf.reshape(dense(stored, 54), [-1, 18, 3])

        def recovered():
            indices = parsing.sparse_indices(tf.where(given, b"", serialized), side)
            found = keypoints_from_sparse_map(indices, self.width)
            found = tf.where(given[:, None, None], keypoints, found)
            return found, ~given & (indices.row_lengths() == 0)

        keypoints, absent = tf.cond(
            tf.reduce_all(given), lambda: (keypoints, tf.zeros_like(given)), recovered
        )
        return keypoints, parsing.findings(parsed, side, keypoints, absent, self.height, self.width)

    def _body_mask(self, parsed, side):
        if self.mask_radius not in schema.BODY_MASKS:
            batch = tf.shape(parsed[schema.NAME.keys[side]])[0]
            empty = tf.zeros([batch, self.height, self.width, 1], tf.uint8)
            return empty, tf.zeros([batch], tf.bool)
        pixels, given = self._picture(parsed[schema.BODY_MASKS[self.mask_radius].keys[side]])
        return tf.cast(pixels > 0, tf.uint8), given

    def _picture(self, values):
        """Pixels int64 [B, H, W, 1], and which records hold any."""
        if isinstance(values, tf.RaggedTensor):
            given = values.row_lengths() > 0
            values = dense(values, self.height * self.width)
        else:
            given = values[:, 0] != parsing.ABSENT
        return tf.reshape(values, [-1, self.height, self.width, 1]), given


def keypoints_from_sparse_map(indices: tf.RaggedTensor, width: int) -> tf.Tensor:
    """Keypoints whose discs of radius 4 a sparse pose map holds.

    A disc keeps the rows above and below its center unless the border cuts them off, so that the
    center lies 4 pixels from whichever edge of the disc was not cut.

    Args:
        indices: ragged int64 [B, N] of (row * width + column) * 18 + keypoint.
        width: of the image in pixels, which has at least 9 rows and columns.

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
        return tf.where(first > 0, first + SPARSE_RADIUS, last - SPARSE_RADIUS)

    visible = tf.math.unsorted_segment_sum(tf.ones_like(segment), segment, batch * 18) > 0
    row, column = center(pixel // width), center(pixel % width)
    found = tf.cast(tf.stack([row, column, tf.ones_like(row)], axis=-1), tf.float32)
    return tf.reshape(tf.where(visible[:, None], found, 0.0), [-1, 18, 3])
