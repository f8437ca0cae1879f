"""The distinct images of a split, of which each may stand in many pairs; kept decoded in memory."""

import hashlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from dpig_tf2.config import ModelConfig
from dpig_tf2.pipeline import parser, reading
from dpig_tf2.pipeline.schedule import FileOrder
from dpig_tf2.records import schema
from dpig_tf2.records.record_set import RecordSet

_SCAN_BATCH = 256  # records parsed at once


def count_distinct_images(records: RecordSet, at_most: int) -> int:
    """How many distinct images there are; reads on only until `at_most` have been found."""
    found = set()
    for digests in _image_digests(records if records.pairs is None else records.photos()):
        found.update(digests)
        if len(found) >= at_most:
            return at_most
    return len(found)


def distinct_images(records: RecordSet) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct image is first found, and which images form each pair.

    Images are the same if their names, encoded bytes and keypoints are.

    Returns:
        int64 [M, 2] of (position of the record, side), and int64 [N, 2] of image numbers.
    """
    known: dict[bytes, int] = {}
    if records.pairs is None:
        images = _numbered(_image_digests(records), known).reshape(-1, 2)
    else:  # each photo is read once, whatever its pairs
        photos = records.photos()
        image_of = np.zeros(len(records.reader), np.int64)
        image_of[photos.records_of(photos.numbers)[:, 0]] = _numbered(_image_digests(photos), known)
        images = image_of[records.records_of(records.numbers)]
    _, first, order = np.unique(images, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    number = np.empty_like(by_appearance)
    number[by_appearance] = np.arange(len(by_appearance))
    where = np.stack(np.divmod(first[by_appearance], 2), axis=1)
    return where, number[order].reshape(-1, 2)


def _numbered(digests, known):
    """A number for each digest, the same for equal ones, int64 [n]."""
    flat = (known.setdefault(digest, len(known)) for each in digests for digest in each)
    return np.fromiter(flat, np.int64)


def _image_digests(records) -> Iterator[tuple[bytes, ...]]:
    """What tells an image from others, of all images of every example in turn."""
    sides = schema.SIDES_STORED[records.layout]
    spec = {}
    for keys, feature in (
        (schema.IMAGE.keys, tf.io.FixedLenFeature([], tf.string)),
        (schema.NAME.keys, tf.io.FixedLenFeature([], tf.string, "")),
        (schema.KEYPOINTS.keys, tf.io.FixedLenFeature([54], tf.float32, [0.0] * 54)),
    ):
        spec.update(dict.fromkeys(keys[:sides], feature))

    def parse(serialized):
        return tf.io.parse_example(tf.reshape(serialized, [-1]), spec)

    schedule = FileOrder(len(records), _SCAN_BATCH)
    numbers = tf.data.Dataset.range(schedule.batches)
    batches = reading.read(records, schedule.batch, numbers, parse).prefetch(2)
    for parsed in batches.as_numpy_iterator():
        for i in range(len(parsed[schema.IMAGE.keys[0]])):
            yield tuple(_digest(parsed, i, side) for side in range(sides))


def _digest(parsed, i, side):
    digest = hashlib.blake2b(parsed[schema.IMAGE.keys[side]][i], digest_size=16)
    digest.update(parsed[schema.NAME.keys[side]][i])
    digest.update(parsed[schema.KEYPOINTS.keys[side]][i].tobytes())
    return digest.digest()


def images_at(
    records: RecordSet, model: ModelConfig, where: np.ndarray, batch_size: int
) -> tf.data.Dataset:
    """Dataset of single-person batches with names: the images at `where` int64 [M, 2]."""
    schedule = FileOrder(len(where), batch_size)

    def choose(number):
        return where[schedule.batch(number), 0]

    keys = (*parser.MODEL_KEYS, *parser.LABEL_KEYS)
    numbers = tf.data.Dataset.range(schedule.batches)
    pairs = reading.decoded(records, model, choose, numbers, keys, ())
    sides = tf.data.Dataset.from_tensor_slices(where[:, 1]).batch(batch_size)

    def select(batch, side):
        return {
            key: tf.where(
                tf.reshape(side == 0, [-1] + [1] * (source.shape.rank - 1)),
                source,
                batch["target"][key],
            )
            for key, source in batch["source"].items()
        }

    return tf.data.Dataset.zip(pairs, sides).map(select).prefetch(tf.data.AUTOTUNE)


def from_memory(records, model, schedule, numbers, keys):
    """Dataset as `reading.decoded` gives, gathered from decoded images that stay in memory.

    Args:
        schedule: which examples form each batch.
        records, model, numbers, keys: as for `reading.decoded`.
    """
    where, pairs = distinct_images(records)
    table = _load_table(images_at(records, model, where, _SCAN_BATCH), keys)
    logging.info("%d images of %d examples are kept in memory", len(where), len(records))

    def choose(number):
        return pairs[schedule.batch(number)]

    def gather(number):
        chosen = tf.ensure_shape(tf.numpy_function(choose, [number], tf.int64), [None, 2])
        return {
            side: {key: tf.gather(values, chosen[:, i]) for key, values in table.items()}
            for i, side in enumerate(schema.SIDES)
        }

    return numbers.map(gather, num_parallel_calls=tf.data.AUTOTUNE)


def _load_table(persons: tf.data.Dataset, keys) -> dict[str, tf.Tensor]:
    parts = [{key: batch[key] for key in keys} for batch in persons.as_numpy_iterator()]
    return {key: tf.constant(np.concatenate([part[key] for part in parts])) for key in keys}
