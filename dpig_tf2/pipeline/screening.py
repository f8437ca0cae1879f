"""Which records a model can be given."""

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import printable
from dpig_tf2.pipeline import parser, reading
from dpig_tf2.pipeline.schedule import FileOrder
from dpig_tf2.records import record_manifest, shards
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError

_SCAN_BATCH = 256  # records parsed at once
_NAMED_RECORDS = 10  # skipped records that are logged one by one


def usable_records(
    records: RecordSet, model: ModelConfig, skip_bad_records: bool = False
) -> RecordSet:
    """The records if a model can take them, without the bad ones if these may be skipped.

    To find the bad ones every record is read and decoded once, which is why it has to be asked for.
    They are counted and named in the log, and in `skipped`.

    Args:
        records: what there is.
        model: the image size.
        skip_bad_records: find the bad ones.

    Raises:
        RecordError: if images have another size than the model, a file is cut off or differs
            from its manifest, or no record can be used.
    """
    _check_size(records, model)
    if skip_bad_records:
        return _without_bad(records, model)
    if not records.skipped:
        for problem in _folder_problems(records):
            raise problem
    return records


def require_examples(records: RecordSet, batch_size: int) -> None:
    """Raises RecordError if there are fewer examples than a batch takes."""
    if batch_size < 1 or len(records) < batch_size:
        raise RecordError(
            f"{records.paths[0].parent}: split {records.split!r} has {len(records)} examples, "
            f"too few for a batch of {batch_size}",
            file=records.paths[0].parent,
        )


def _without_bad(records, model):
    logging.info("looking for bad ones among %d records of split %s", len(records), records.split)
    skipped = [str(problem) for problem in _folder_problems(records)]
    if records.layout == "published":
        usable, bad = _sorted_out(records, model)
        numbers = records.numbers[usable]
    else:  # each photo once, whatever its pairs
        photos = records.photos()
        usable, bad = _sorted_out(photos, model)
        good = np.zeros(len(records.reader), bool)
        good[photos.records_of(photos.numbers[usable])] = True
        numbers = records.numbers[good[records.records_of(records.numbers)].all(axis=1)]
    skipped += bad
    for line in skipped[:_NAMED_RECORDS]:
        logging.warning("skipped %s", printable(line))
    dropped = len(records) - len(numbers)
    logging.info("%d records skipped, %d kept", dropped, len(numbers))
    if not len(numbers):
        message = f"{records.paths[0]}: not one of {len(records)} records can be used"
        raise RecordError(message, file=records.paths[0])
    return dataclasses.replace(records, numbers=numbers, skipped=tuple(skipped))


def _sorted_out(records, model):
    """Positions of the examples that can be used, and a line for each other one."""
    schedule = FileOrder(len(records), _SCAN_BATCH)
    parse = reading.person_parser(records, model, parser.MODEL_KEYS, ())
    failed = reading.attempt(
        reading.places(records, schedule.batch, tf.data.Dataset.range(schedule.batches)),
        lambda *located: (
            tf.size(reading.parse_located(records, parse, located)["source"]["image"]) < 0
        ),
        lambda *located: tf.constant(True),
    )
    usable, bad = [], []
    for batch, has_failed in enumerate(failed.prefetch(2).as_numpy_iterator()):
        positions = schedule.batch(batch)
        problems = {p: records.problems(records.numbers[p]) for p in positions if has_failed}
        usable += [position for position in positions if not problems.get(position)]
        bad += [str(found[0]) for found in problems.values() if found]
    return np.asarray(usable, np.int64), bad


def _folder_problems(records):
    """Files that are cut off or differ from their manifest in number, examples or bytes."""
    folder = records.paths[0].parent
    return [
        RecordError(f"{file.path}: {file.problem}", file=file.path)
        for file in records.reader.files
        if file.problem
    ] + [
        RecordError(problem, file=folder)
        for problem in record_manifest.problems(
            folder, shards.stem(records.paths[0]), records.examples_in
        )
    ]


def _check_size(records, model):
    size = (model.height, model.width)
    if (records.height, records.width) != size:
        raise RecordError(
            f"{records.paths[0]}: images are {records.height} x {records.width} pixels (rows x "
            f"columns), but the model takes {size[0]} x {size[1]}",
            file=records.paths[0],
        )
