"""Which rows of every global batch a worker's replicas get."""

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError


def replica_shares(
    batch_size: int, updates: int = 1, context: tf.distribute.InputContext | None = None
) -> np.ndarray:
    """Rows of a global batch for each replica of a worker, int64 [replicas here, rows].

    A global batch that serves several updates is used in that many equal pieces, one after the
    other. A replica gets its part of every piece, so that all replicas together make each update
    from the rows that one device would use.

    Args:
        batch_size: rows of the global batch, of all updates together.
        updates: pieces, see above; divides `batch_size`.
        context: of tf.distribute; None for one replica.

    Raises:
        DpigError: if the replicas do not divide the rows of an update.
    """
    rows = np.arange(batch_size)
    if context is None:
        return rows[None]
    replicas = context.num_replicas_in_sync
    if batch_size % (updates * replicas):
        raise DpigError(
            f"the global batch size {batch_size // updates} must be a multiple of {replicas} "
            "replicas",
            field="batch_size",
        )
    of_replica = rows.reshape(updates, replicas, -1).swapaxes(0, 1).reshape(replicas, -1)
    here = replicas // context.num_input_pipelines
    return of_replica[context.input_pipeline_id * here :][:here]


def own_rows(
    batches: tf.data.Dataset,
    batch_size: int,
    updates: int = 1,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """The rows of every global batch for the replicas of a worker, one replica after the other.

    Args:
        batches: global batches, nested tensors [batch_size, ...], the same on all workers.
        batch_size, updates, context: as for `replica_shares`, whose DpigError is raised.
    """
    shares = replica_shares(batch_size, updates, context)

    def cut(batch):
        rows = tf.nest.map_structure(lambda tensor: tf.gather(tensor, shares), batch)
        return tf.data.Dataset.from_tensor_slices(rows)

    return batches.flat_map(cut)
