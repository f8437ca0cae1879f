"""Replicas of a tf.distribute strategy that act as one device on the global batch.

Every replica holds an equal part of the global batch and all run the same code. Outside a strategy
there is one replica, whose part is everything.
"""

import tensorflow as tf


def count() -> int:
    """Number of replicas that train together, 1 outside a strategy."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(tensor) -> tf.Tensor:
    """Sum of the replicas' tensors, the same on all; differentiable."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def mean(tensor) -> tf.Tensor:
    """Mean of the replicas' tensors, the same on all; differentiable."""
    return total(tensor) / count()


def moments(x, axes) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over `axes` of the global batch; axes include the batch.

    In two passes, as `tf.nn.moments` does it, so that both give the same numbers. Differentiable.
    """
    # Networks are built in the cross-replica context, where there is no batch yet.
    if count() == 1 or tf.distribute.in_cross_replica_context():
        return tf.nn.moments(x, axes)
    average = mean(tf.reduce_mean(x, axes))
    # The mean's own gradient through the variance is zero over the global batch.
    squares = tf.math.squared_difference(x, tf.stop_gradient(average))
    return average, mean(tf.reduce_mean(squares, axes))


def own_rows(draw, shape) -> tf.Tensor:
    """This replica's rows of random numbers that are drawn for the global batch.

    All replicas together hold the numbers that one device would draw.

    Args:
        draw: shape -> tensor of that shape, the same on every replica.
        shape: of the result, list or int tensor; the first axis is the batch.
    """
    if count() == 1:
        return draw(shape)
    rows, *rest = tf.unstack(shape)
    first = rows * tf.distribute.get_replica_context().replica_id_in_sync_group
    return draw([rows * count(), *rest])[first : first + rows]
