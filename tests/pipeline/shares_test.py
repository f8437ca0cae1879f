import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.pipeline.arrays import array_batches
from dpig_tf2.pipeline.shares import replica_shares


def context(worker, workers=2, replicas=4):
    return tf.distribute.InputContext(workers, worker, replicas)


def test_one_replica_takes_everything():
    np.testing.assert_array_equal(replica_shares(6, updates=3), [range(6)])


def test_replicas_share_every_update():
    shares = [replica_shares(16, 2, context(worker)) for worker in (0, 1)]
    np.testing.assert_array_equal(
        np.concatenate(shares), [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15]]
    )


def test_replicas_must_divide_the_rows_of_an_update():
    with pytest.raises(ValueError, match="batch size 6 must be a multiple of 4 replicas"):
        replica_shares(12, 2, context(0))


def test_array_batches_of_all_replicas_are_those_of_one():
    arrays, options = {"x": np.arange(10)}, {"batch_size": 8, "seed": 3, "start": 2}
    whole = list(array_batches(arrays, **options).take(3).as_numpy_iterator())
    parts = [
        list(array_batches(arrays, updates=2, input_context=context(worker), **options).take(6))
        for worker in (0, 1)
    ]
    for step, batch in enumerate(whole):
        replicas = [part["x"] for worker in parts for part in worker[2 * step : 2 * step + 2]]
        # [replica, update, row] -> the order of one device
        joined = np.reshape(replicas, [4, 2, 1]).swapaxes(0, 1).ravel()
        np.testing.assert_array_equal(joined, batch["x"])
