"""Record files -> batches: seeded, resumable at any step, sharded over replicas.

Records are read by number, so that an epoch is one permutation of all of them and the batch of any
step is found without reading what came before. Decoding runs natively, several batches at a time.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from dpig_tf2 import config
from dpig_tf2.pipeline import parser
from dpig_tf2.pipeline.shares import replica_shares
from dpig_tf2.records import check, decoder, files, index, schema
from dpig_tf2.records.schema import RecordError

CACHES = ("none", "memory")
_TRIED_RECORDS = 10  # how many damaged records a file may begin with
_SCAN_BATCH = 256  # records parsed at once when the distinct images are looked up
_NAMED_DAMAGE = 10  # dropped records that are logged one by one


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """The records of one split.

    `numbers` are the usable records as `reader` counts them; `dropped` tells of those left out.
    """

    split: str
    reader: index.RecordReader
    numbers: np.ndarray  # int64 [N]
    height: int  # image size of the first record, pixels
    width: int
    sparse_keypoints: bool  # some file holds keypoints only as a sparse pose map
    dropped: tuple[str, ...] = ()

    @classmethod
    def open(cls, data_dir, split: str, *, prefix: str | None = None) -> "RecordSet":
        """Finds and counts the records of a split.

        Args:
            data_dir: folder with files such as Market1501_train_00000-of-00001.tfrecord.
            split: "train", "test" or whatever the file names say.
            prefix: dataset part of the file names, needed where several have this split.

        Raises:
            RecordError: if the folder or the split does not exist, a shard is missing, or there is
                no readable record.
        """
        paths = files.find_shards(data_dir, split, prefix)
        reader = index.RecordReader([index.index_file(path) for path in paths])
        if not len(reader):
            damage = next((f"; {f.path}: {f.damage}" for f in reader.files if f.damage), "")
            raise RecordError(f"{paths[0]}: no records of split {split!r}{damage}")
        # One sound record of every file tells what to expect of the others.
        samples = [_first_sound(reader, start) for start in reader.starts]
        height, width = samples[0].size
        return cls(
            split=split,
            reader=reader,
            numbers=np.arange(len(reader)),
            height=height,
            width=width,
            sparse_keypoints=any(
                not set(schema.KEYPOINTS.keys) <= sample.keys for sample in samples
            ),
        )

    def __len__(self) -> int:
        """Number of usable examples."""
        return len(self.numbers)

    @property
    def paths(self) -> tuple[pathlib.Path, ...]:
        return tuple(file.path for file in self.reader.files)

    def damage(self, number: int) -> list[str]:
        """What is wrong with one record, each line naming file and record; empty if nothing."""
        try:
            serialized = self.reader.read(number)
        except RecordError as error:
            return [str(error)]
        where = self.reader.describe(number)
        found = check.problems(serialized, (self.height, self.width))
        return [f"{where}: {problem}" for problem in found]


def _first_sound(reader, start):
    """Summary of the first record from a number on that can be used; a damaged few may precede."""
    damage = []
    for number in range(start, min(start + _TRIED_RECORDS, len(reader))):
        try:
            summary = check.summarize(reader.read(number))
        except RecordError as error:
            damage.append(str(error))
            continue
        if not summary.problems:
            return summary
        damage.append(f"{reader.describe(number)}: {summary.problems[0]}")
    raise RecordError(damage[0])


def training_batches(
    records: RecordSet,
    model_config: config.ModelConfig,
    batch_size: int,
    seed: int,
    start: int = 0,
    cache: str = "none",
    skip_bad_records: bool = False,
    flip: bool = False,
    updates: int = 1,
    input_context: tf.distribute.InputContext | None = None,
    extras: Sequence[str] = (),
) -> tf.data.Dataset:
    """Endless batches as `pipeline.parser` documents, without strings.

    Batch number n depends on the files, `batch_size` and `seed` only: the records run through one
    permutation per epoch, each epoch continuing in the batch where the last one ended, and
    `start=n` begins at batch n without reading the earlier ones.

    Args:
        records: what to read.
        model_config: image size, mask radius and box rule.
        batch_size: global batch size, examples.
        seed: of the permutations and of the flips.
        start: number of the first batch.
        cache: "none" decodes every time; "memory" keeps every distinct image decoded: about
            4 * H * W bytes each.
        skip_bad_records: look for damaged records first and leave them out, with a log line each.
        flip: mirror every example left to right with probability 1/2, both images of a pair alike.
        updates: pieces in which a batch is used, see `shares.replica_shares`.
        input_context: of tf.distribute; the dataset then yields the batches of this worker's
            replicas in turn, which together make up the global batch.
        extras: further fields to read, see `records.decoder.EXTRAS`.

    Raises:
        RecordError: if images have another size than the model, or there are fewer examples than
            `batch_size`; while iterating (as a TensorFlow error) if a record is damaged.
        ValueError: if cache is unknown, or the replicas do not divide the batch size.
    """
    if cache not in CACHES:
        raise ValueError(f"cache must be one of {', '.join(CACHES)}; got {cache!r}")
    records = usable_records(records, model_config, skip_bad_records)
    require_examples(records, batch_size)
    shares = replica_shares(batch_size, updates, input_context)
    schedule = _Schedule(len(records), batch_size, seed, start, shares)
    keys = (*parser.MODEL_KEYS, *extras)
    numbers = tf.data.Dataset.counter()
    if cache == "memory":
        batches = _from_memory(records, model_config, schedule, numbers, keys, extras)
    else:
        batches = _from_files(records, model_config, schedule.batch, numbers, keys, extras)
    if flip:
        batches = batches.map(
            lambda batch, chosen: {
                side: parser.flip_person(person, chosen, model_config)
                for side, person in batch.items()
            },
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    else:
        batches = batches.map(lambda batch, chosen: batch)
    batches = _with_batch_size(batches, shares.shape[1])
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    records: RecordSet,
    model_config: config.ModelConfig,
    batch_size: int,
    limit: int | None = None,
    skip_bad_records: bool = False,
    extras: Sequence[str] = (),
) -> tf.data.Dataset:
    """Every example once in file order, with names, identities and cameras.

    The last batch holds what remains.

    Args:
        records: what to read.
        model_config: image size, mask radius and box rule.
        batch_size: examples.
        limit: number of examples, None for all.
        skip_bad_records, extras: as for `training_batches`.

    Raises:
        RecordError: as `training_batches`.
    """
    records = usable_records(records, model_config, skip_bad_records)
    total = len(records) if limit is None else min(limit, len(records))
    schedule = _InOrder(total, batch_size)
    numbers = tf.data.Dataset.range(schedule.batches)
    keys = (*parser.MODEL_KEYS, *parser.LABEL_KEYS, *extras)
    batches = _from_files(records, model_config, schedule.batch, numbers, keys, extras)
    batches = batches.map(lambda batch, chosen: batch)
    return batches.prefetch(tf.data.AUTOTUNE)


def unique_persons(
    records: RecordSet,
    model_config: config.ModelConfig,
    batch_size: int,
    skip_bad_records: bool = False,
) -> tf.data.Dataset:
    """Every distinct image of a split once, as single-person batches with names.

    Images are the same if their names, encoded bytes and keypoints are. The order is that of their
    first appearance.

    Args:
        records: what to read.
        model_config: image size, mask radius and box rule.
        batch_size: images.
        skip_bad_records: as for `training_batches`.

    Raises:
        RecordError: as `training_batches`.
    """
    records = usable_records(records, model_config, skip_bad_records)
    distinct, _ = _distinct_images(records)
    return _persons(records, model_config, distinct, batch_size)


def usable_records(
    records: RecordSet, model_config: config.ModelConfig, skip_bad_records: bool = False
) -> RecordSet:
    """The records if a model can take them, without the damaged ones if these may be skipped.

    Raises:
        RecordError: if images have another size than the model, or a file is cut off.
    """
    _check_size(records, model_config)
    if skip_bad_records:
        return without_damaged(records, model_config)
    for file in records.reader.files:
        if file.damage and not records.dropped:
            raise RecordError(f"{file.path}: {file.damage}")
    return records


def require_examples(records: RecordSet, batch_size: int) -> None:
    """Raises RecordError if there are fewer examples than a batch takes."""
    if batch_size < 1 or len(records) < batch_size:
        raise RecordError(
            f"{records.paths[0].parent}: split {records.split!r} has {len(records)} examples, "
            f"too few for a batch of {batch_size}"
        )


def count_distinct_images(records: RecordSet, at_most: int) -> int:
    """How many distinct images there are; reads on only until `at_most` have been found."""
    found = set()
    for digests in _image_digests(records):
        found.update(digests)
        if len(found) >= at_most:
            return at_most
    return len(found)


def without_damaged(records: RecordSet, model_config: config.ModelConfig) -> RecordSet:
    """The records that can be used; the others are counted and named in the log and in `dropped`.

    Every record is read and decoded once, which is why it has to be asked for.

    Raises:
        RecordError: if none can be used.
    """
    schedule = _InOrder(len(records), _SCAN_BATCH)
    parse = _parser(records, model_config, parser.MODEL_KEYS, ())
    failed = _attempt(
        _locate(records, schedule.batch, tf.data.Dataset.range(schedule.batches)),
        lambda *located: tf.size(_parse_located(records, parse, located)["source"]["image"]) < 0,
        lambda *located: tf.constant(True),
    )
    logging.info("looking for damage in %d records of split %s", len(records), records.split)
    dropped = [f"{file.path}: {file.damage}" for file in records.reader.files if file.damage]
    usable = []
    for batch, has_failed in enumerate(failed.prefetch(2).as_numpy_iterator()):
        numbers = records.numbers[schedule.batch(batch)[0]]
        damage = {number: records.damage(number) for number in numbers if has_failed}
        usable += [number for number in numbers if not damage.get(number)]
        dropped += [lines[0] for lines in damage.values() if lines]
    for line in dropped[:_NAMED_DAMAGE]:
        logging.warning("dropped %s", line)
    logging.info("%d records dropped, %d kept", len(dropped), len(usable))
    if not usable:
        raise RecordError(f"{records.paths[0]}: all {len(records)} records are damaged")
    numbers = np.asarray(usable, np.int64)
    return dataclasses.replace(records, numbers=numbers, dropped=tuple(dropped))


def _check_size(records, model_config):
    size = (model_config.height, model_config.width)
    if (records.height, records.width) != size:
        raise RecordError(
            f"{records.paths[0]}: images are {records.height} x {records.width} pixels (rows x "
            f"columns), but the model takes {size[0]} x {size[1]}"
        )


@dataclasses.dataclass(frozen=True)
class _Schedule:
    """Which examples form each training batch: a pure function of its fields."""

    examples: int
    batch_size: int
    seed: int
    start: int
    shares: np.ndarray  # see `replica_shares`

    def batch(self, number) -> tuple[np.ndarray, np.ndarray]:
        """Positions int64 [b] and flips bool [b] of the number-th batch of this worker."""
        step, replica = divmod(int(number), len(self.shares))
        wanted = (self.start + step) * self.batch_size + self.shares[replica]
        positions = np.empty(len(wanted), np.int64)
        flips = np.empty(len(wanted), bool)
        for epoch in np.unique(wanted // self.examples):
            inside = wanted // self.examples == epoch
            order, flipped = _epoch(self.examples, self.seed, int(epoch))
            positions[inside] = order[wanted[inside] % self.examples]
            flips[inside] = flipped[wanted[inside] % self.examples]
        return positions, flips


@functools.lru_cache(maxsize=4)
def _epoch(examples, seed, epoch):
    generator = np.random.default_rng([seed, epoch])
    return generator.permutation(examples), generator.random(examples) < 0.5


@dataclasses.dataclass(frozen=True)
class _InOrder:
    """Every example once, in order."""

    examples: int
    batch_size: int

    @property
    def batches(self) -> int:
        return -(-self.examples // self.batch_size)

    def batch(self, number):
        first = int(number) * self.batch_size
        positions = np.arange(first, min(first + self.batch_size, self.examples))
        return positions, np.zeros(len(positions), bool)


def _from_files(records, model_config, choose, numbers, keys, extras):
    """Dataset of (batch, flips bool [b]) decoded from the files."""
    return _read(records, choose, numbers, _parser(records, model_config, keys, extras))


def _parser(records, model_config, keys, extras):
    """A function from serialized string [b] to a batch as `pipeline.parser` documents."""
    decode = decoder.Decoder(
        model_config.height,
        model_config.width,
        model_config.mask_radius,
        records.sparse_keypoints,
        tuple(extras),
    )

    # One function for both sides halves the time that tracing takes.
    parse_person = tf.function(
        functools.partial(parser.parse_person, model=model_config), autograph=False
    )

    def parse(serialized):
        batch = decode(serialized)
        persons = {side: parse_person(batch[side]) for side in schema.SIDES}
        return {side: {key: person[key] for key in keys} for side, person in persons.items()}

    return parse


def _read(records, choose, numbers, parse):
    """Dataset of (parsed records, flips bool [b]), in the order of the batch numbers.

    Args:
        choose: batch number -> positions int64 [b] and flips bool [b].
        numbers: dataset of batch numbers.
        parse: serialized string [b] -> tensors. Where it fails, or a checksum is wrong, the error
            names file and record.
    """
    # Traced once although it stands in two branches; it has no Python control flow to convert.
    parse = tf.function(parse, autograph=False)

    def find_damage(chosen):
        damage = [line for number in chosen for line in records.damage(number)]
        if damage:
            raise RecordError(damage[0])
        return chosen

    def read(*located):
        return _parse_located(records, parse, located), located[-1]

    def examine(chosen, *located):
        # TensorFlow's decoders do not say which element they failed on.
        return read(tf.numpy_function(find_damage, [chosen], tf.int64), *located)

    return _attempt(_locate(records, choose, numbers), read, examine)


def _locate(records, choose, numbers):
    """Dataset of (record numbers, file indices, byte offsets, flips), each [b]."""

    def locate(number):
        positions, flips = choose(number)
        chosen = records.numbers[positions]
        return chosen, *records.reader.places(chosen), flips

    def locate_in_graph(number):
        located = tf.numpy_function(locate, [number], [tf.int64, tf.int64, tf.int64, tf.bool])
        for tensor in located:
            tensor.set_shape([None])
        return tuple(located)

    return numbers.map(locate_in_graph)


def _parse_located(records, parse, located):
    _, files, offsets, _ = located
    paths = tf.constant([str(path) for path in records.paths])
    return parse(index.read_at(tf.gather(paths, files), offsets))


def _attempt(dataset, function, otherwise):
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


def _distinct_images(records) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct image is first found, and which images form each pair.

    Returns:
        int64 [M, 2] of (position of the record, side), and int64 [N, 2] of image numbers.
    """
    known: dict[bytes, int] = {}
    first, pairs = [], np.empty((len(records), 2), np.int64)
    for position, digests in enumerate(_image_digests(records)):
        for side, digest in enumerate(digests):
            number = known.setdefault(digest, len(known))
            if number == len(first):
                first.append((position, side))
            pairs[position, side] = number
    return np.asarray(first, np.int64), pairs


def _image_digests(records) -> Iterator[tuple[bytes, ...]]:
    """What tells an image from others, of both images of every record in turn."""
    spec = {}
    for keys, feature in (
        (schema.IMAGE.keys, tf.io.FixedLenFeature([], tf.string)),
        (schema.NAME.keys, tf.io.FixedLenFeature([], tf.string, "")),
        (schema.KEYPOINTS.keys, tf.io.FixedLenFeature([54], tf.float32, [0.0] * 54)),
    ):
        spec.update(dict.fromkeys(keys, feature))

    def parse(serialized):
        return tf.io.parse_example(serialized, spec)

    schedule = _InOrder(len(records), _SCAN_BATCH)
    numbers = tf.data.Dataset.range(schedule.batches)
    batches = _read(records, schedule.batch, numbers, parse).prefetch(2)
    for parsed, _ in batches.as_numpy_iterator():
        for i in range(len(parsed[schema.IMAGE.keys[0]])):
            yield tuple(_digest(parsed, i, side) for side in range(2))


def _digest(parsed, i, side):
    digest = hashlib.blake2b(parsed[schema.IMAGE.keys[side]][i], digest_size=16)
    digest.update(parsed[schema.NAME.keys[side]][i])
    digest.update(parsed[schema.KEYPOINTS.keys[side]][i].tobytes())
    return digest.digest()


def _persons(records, model_config, where, batch_size, extras=()):
    """Dataset of single-person batches with names: the images at `where` int64 [M, 2]."""
    schedule = _InOrder(len(where), batch_size)

    def choose(number):
        rows, flips = schedule.batch(number)
        return where[rows, 0], flips

    keys = (*parser.MODEL_KEYS, *parser.LABEL_KEYS, *extras)
    numbers = tf.data.Dataset.range(schedule.batches)
    pairs = _from_files(records, model_config, choose, numbers, keys, extras)
    sides = tf.data.Dataset.from_tensor_slices(where[:, 1]).batch(batch_size)

    def select(pair, side):
        (batch, _) = pair
        return {
            key: tf.where(
                tf.reshape(side == 0, [-1] + [1] * (source.shape.rank - 1)),
                source,
                batch["target"][key],
            )
            for key, source in batch["source"].items()
        }

    return tf.data.Dataset.zip(pairs, sides).map(select).prefetch(tf.data.AUTOTUNE)


def _from_memory(records, model_config, schedule, numbers, keys, extras):
    """Dataset of (batch, flips) gathered from decoded images that stay in memory."""
    where, pairs = _distinct_images(records)
    table = _load_table(_persons(records, model_config, where, _SCAN_BATCH, extras), keys)
    logging.info("%d images of %d examples are kept in memory", len(where), len(records))

    def choose(number):
        positions, flips = schedule.batch(number)
        return pairs[positions], flips

    def gather(number):
        chosen, flips = tf.numpy_function(choose, [number], [tf.int64, tf.bool])
        chosen.set_shape([None, 2])
        flips.set_shape([None])
        batch = {
            side: {key: tf.gather(values, chosen[:, i]) for key, values in table.items()}
            for i, side in enumerate(schema.SIDES)
        }
        return batch, flips

    return numbers.map(gather, num_parallel_calls=tf.data.AUTOTUNE)


def _load_table(persons: tf.data.Dataset, keys) -> dict[str, tf.Tensor]:
    def columns() -> Iterator[dict]:
        for batch in persons.as_numpy_iterator():
            yield {key: batch[key] for key in keys}

    parts = list(columns())
    return {key: tf.constant(np.concatenate([part[key] for part in parts])) for key in keys}


def _with_batch_size(batches, batch_size):
    """The same batches with the batch size in their static shape."""

    def fix(tensor):
        return tf.ensure_shape(tensor, [batch_size, *tensor.shape[1:]])

    return batches.map(lambda batch: tf.nest.map_structure(fix, batch))
