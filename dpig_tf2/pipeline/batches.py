"""Record files -> batches: seeded, resumable at any step, sharded over replicas.

Records are read by number, so that an epoch is one permutation of all of them and the batch of any
step is found without reading what came before.
"""

from collections.abc import Sequence

import tensorflow as tf

from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import DpigError
from dpig_tf2.pipeline import parser, reading
from dpig_tf2.pipeline.cache import distinct_images, from_memory, images_at
from dpig_tf2.pipeline.schedule import FileOrder, TrainingSchedule
from dpig_tf2.pipeline.screening import require_examples, usable_records
from dpig_tf2.pipeline.shares import replica_shares
from dpig_tf2.records.record_set import RecordSet

CACHES = ("none", "memory")


def training_batches(
    records: RecordSet,
    model: ModelConfig,
    batch_size: int,
    seed: int,
    start: int = 0,
    cache: str = "none",
    skip_bad_records: bool = False,
    updates: int = 1,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches as `pipeline.parser` documents, without strings.

    Batch number n depends on the files, `batch_size` and `seed` only: the records run through one
    permutation per epoch, each epoch continuing in the batch where the last one ended, and
    `start=n` begins at batch n without reading the earlier ones.

    Args:
        records: what to read.
        model: image size, mask radius and box rule.
        batch_size: global batch size, examples.
        seed: of the permutations.
        start: number of the first batch.
        cache: "none" decodes every time; "memory" keeps every distinct image decoded: about
            4 * H * W bytes each.
        skip_bad_records: look for bad records first and leave them out, with a log line each.
        updates: pieces in which a batch is used, see `shares.replica_shares`.
        input_context: of tf.distribute; the dataset then yields the batches of this worker's
            replicas in turn, which together make up the global batch.

    Raises:
        RecordError: if images have another size than the model, or there are fewer examples than
            `batch_size`; while iterating (as a TensorFlow error) if a record is bad.
        DpigError: if cache is unknown, or the replicas do not divide the batch size.
    """
    if cache not in CACHES:
        raise DpigError(f"cache must be one of {', '.join(CACHES)}; got {cache!r}", field="cache")
    records = usable_records(records, model, skip_bad_records)
    require_examples(records, batch_size)
    shares = replica_shares(batch_size, updates, input_context)
    schedule = TrainingSchedule(len(records), batch_size, seed, start, shares)
    keys = parser.MODEL_KEYS
    numbers = tf.data.Dataset.counter()
    if cache == "memory":
        batches = from_memory(records, model, schedule, numbers, keys)
    else:
        batches = reading.decoded(records, model, schedule.batch, numbers, keys, ())
    batches = _with_batch_size(batches, shares.shape[1])
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    records: RecordSet,
    model: ModelConfig,
    batch_size: int,
    limit: int | None = None,
    skip_bad_records: bool = False,
    extras: Sequence[str] = (),
) -> tf.data.Dataset:
    """Every example once in file order, with names, identities and cameras.

    The last batch holds what remains.

    Args:
        records: what to read.
        model: image size, mask radius and box rule.
        batch_size: examples.
        limit: number of examples, None for all.
        skip_bad_records: as for `training_batches`.
        extras: further fields to read, see `records.decoder.EXTRAS`.

    Raises:
        RecordError: as `training_batches`.
    """
    records = usable_records(records, model, skip_bad_records)
    total = len(records) if limit is None else min(limit, len(records))
    schedule = FileOrder(total, batch_size)
    numbers = tf.data.Dataset.range(schedule.batches)
    keys = (*parser.MODEL_KEYS, *parser.LABEL_KEYS, *extras)
    batches = reading.decoded(records, model, schedule.batch, numbers, keys, extras)
    return batches.prefetch(tf.data.AUTOTUNE)


def unique_persons(
    records: RecordSet,
    model: ModelConfig,
    batch_size: int,
    skip_bad_records: bool = False,
) -> tf.data.Dataset:
    """Every distinct image of a split once, as single-person batches with names.

    Images are the same if their names, encoded bytes and keypoints are. The order is that of their
    first appearance.

    Args:
        records: what to read.
        model: image size, mask radius and box rule.
        batch_size: images.
        skip_bad_records: as for `training_batches`.

    Raises:
        RecordError: as `training_batches`.
    """
    records = usable_records(records, model, skip_bad_records)
    distinct, _ = distinct_images(records)
    return images_at(records, model, distinct, batch_size)


def _with_batch_size(batches, batch_size):
    """The same batches with the batch size in their static shape."""

    def fix(tensor):
        return tf.ensure_shape(tensor, [batch_size, *tensor.shape[1:]])

    return batches.map(lambda batch: tf.nest.map_structure(fix, batch))
