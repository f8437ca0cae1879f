"""Records read by number and parsed, several batches at a time; a bad one is named.

Decoding runs natively. Where it fails, the batch's records are examined one by one.
"""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.config import ModelConfig
from dpig_tf2.pipeline import parser
from dpig_tf2.records import decoder, index
from dpig_tf2.records.record_set import RecordSet

Choose = Callable[[int], np.ndarray]


def decoded(
    records: RecordSet,
    model: ModelConfig,
    choose: Choose,
    numbers: tf.data.Dataset,
    keys: Sequence[str],
    extras: Sequence[str],
) -> tf.data.Dataset:
    """Dataset of batches as `pipeline.parser` documents.

    Args:
        records: what to read.
        model: image size, mask radius and box rule.
        choose, numbers: as for `read`.
        keys: fields of a person.
        extras: those of them that are from `records.decoder.EXTRAS`.
    """
    return read(records, choose, numbers, person_parser(records, model, keys, extras))


def person_parser(records, model, keys, extras):
    """A function from serialized string, as of `Decoder`, to a batch; arguments as of `decoded`."""
    return _person_parser(model, tuple(keys), tuple(extras), records.stored, records.layout)


@functools.lru_cache(maxsize=8)  # a training reads its records several times, and tracing is slow
def _person_parser(model, keys, extras, stored, layout):
    decode = decoder.Decoder(
        model.height,
        model.width,
        model.mask_radius,
        extras,
        stored,
        layout,
    )

    # One function for both sides halves the time that tracing takes.
    parse_person = tf.function(functools.partial(parser.parse_person, model=model), autograph=False)

    def parse(serialized):
        batch = decode(serialized)
        persons = {side: parse_person(person) for side, person in batch.items()}
        return {side: {key: person[key] for key in keys} for side, person in persons.items()}

    return tf.function(parse, autograph=False)


def read(
    records: RecordSet, choose: Choose, numbers: tf.data.Dataset, parse: Callable
) -> tf.data.Dataset:
    """Dataset of parsed records, in the order of the batch numbers.

    Args:
        records: what to read.
        choose: batch number -> positions int64 [b].
        numbers: dataset of batch numbers.
        parse: serialized string as of `Decoder` -> tensors. It stands in two branches; a
            `tf.function` is traced once for both. Where it fails, or a checksum is wrong, the error
            names file and record.
    """

    def find_problem(chosen):
        for number in chosen:
            for problem in records.problems(number):
                raise problem
        return chosen

    def parse_places(*located):
        return parse_located(records, parse, located)

    def examine(chosen, *located):
        # TensorFlow's decoders do not say which element they failed on.
        return parse_places(tf.numpy_function(find_problem, [chosen], tf.int64), *located)

    return attempt(places(records, choose, numbers), parse_places, examine)


def places(records, choose, numbers):
    """Dataset of (example numbers, file indices, byte offsets), each int64 [b].

    In the lean layout an example has several records: indices and offsets are [b, records].
    """
    columns = [] if records.pairs is None else [records.pairs.shape[1]]

    def locate(number):
        chosen = records.numbers[choose(number)]
        return chosen, *records.places(chosen)

    def locate_in_graph(number):
        located = tf.numpy_function(locate, [number], [tf.int64, tf.int64, tf.int64])
        for tensor, shape in zip(located, ([], columns, columns), strict=True):
            tensor.set_shape([None, *shape])
        return tuple(located)

    return numbers.map(locate_in_graph)


def parse_located(records, parse, located):
    """The parsed records of one element of `places`."""
    _, files, offsets = located
    paths = tf.constant(_encoded(records.paths))
    return parse(index.read_at(tf.gather(paths, files), offsets))


def _encoded(paths):
    """Paths as TensorFlow takes them, also those that are not UTF-8."""
    return list(map(os.fsencode, paths))


def attempt(dataset, function, otherwise):
    """Maps a function, or another one where it fails; several elements at a time, in order."""

    def one(*element):
        single = tf.data.Dataset.from_tensors(element)
        return single.map(function).ignore_errors().concatenate(single.map(otherwise)).take(1)

    return dataset.interleave(
        one,
        cycle_length=tf.data.AUTOTUNE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
