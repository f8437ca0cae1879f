"""In-memory arrays -> endless shuffled batches, any of which is found without the earlier ones."""

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.pipeline.shares import replica_shares


def hold_out(rows: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two seeded, disjoint parts of an array's rows, in their order: kept and held out.

    Args:
        rows: array [N, ...].
        share: of the rows held out, in [0, 1).
        seed: decides which.

    Raises:
        DpigError: if the share is outside [0, 1).
    """
    if not 0 <= share < 1:
        raise DpigError(f"the share held out must be in [0, 1), got {share}")
    order = np.random.default_rng(seed).permutation(len(rows))
    count = round(share * len(rows))
    return rows[np.sort(order[count:])], rows[np.sort(order[:count])]


def array_batches(
    arrays,
    batch_size: int,
    seed: int,
    start: int = 0,
    updates: int = 1,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches from a nested dict of arrays [N, ...] with the same N.

    Every epoch is a new permutation of the rows, and rows run on across epoch borders. Batch n
    depends on N, batch_size and seed only, so `start=n` resumes exactly. The order comes from a
    keyed permutation that is evaluated at single positions: nothing is shuffled or stored.

    Args:
        arrays: nested dict of arrays with at least one row.
        batch_size: rows per global batch; may exceed N.
        seed: non-negative.
        start: number of the first batch.
        updates: pieces in which a batch is used, see `shares.replica_shares`.
        input_context: of tf.distribute; the dataset then yields the batches of this worker's
            replicas in turn, which together make up the global batch.

    Raises:
        DpigError: if the arrays are empty or differ in length, or the replicas do not divide the
            batch.
    """
    lengths = {len(array) for array in tf.nest.flatten(arrays)}
    if len(lengths) != 1 or not min(lengths):
        raise DpigError(f"arrays must share one length of at least 1 row, got {sorted(lengths)}")
    rows = lengths.pop()
    shares = replica_shares(batch_size, updates, input_context)
    replicas, share = shares.shape
    tensors = tf.nest.map_structure(lambda array: tf.constant(np.asarray(array)), arrays)

    def batch(number):
        step, replica = start + number // replicas, number % replicas
        position = step * batch_size + tf.gather(shares, replica)
        epoch = position // rows
        # The keyed permutation needs a seed of three words for every position.
        key = tf.stack([tf.fill([share], tf.constant(seed, tf.int64)), epoch, epoch * 0], -1)
        index = tf.raw_ops.RandomIndexShuffle(
            index=position % rows,
            seed=tf.cast(key, tf.uint32),
            max_index=tf.constant(rows - 1, tf.int64),
        )
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, index), tensors)

    numbers = tf.data.Dataset.counter()
    return numbers.map(batch, num_parallel_calls=1).prefetch(4)
