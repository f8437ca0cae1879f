import numpy as np
import pytest

from dpig_tf2.pipeline.arrays import array_batches, hold_out

ROWS = np.arange(10)


def take(count, **kwargs):
    batches = array_batches({"x": {"y": ROWS}}, **kwargs).take(count)
    return [batch["x"]["y"] for batch in batches.as_numpy_iterator()]


def test_every_epoch_holds_every_row_once_across_batch_borders():
    rows = np.concatenate(take(10, batch_size=4, seed=3))
    epochs = rows.reshape(4, 10)
    assert all(sorted(epoch) == list(ROWS) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4, "every epoch has its own order"


def test_a_later_start_continues_the_same_sequence():
    whole, tail = take(9, batch_size=4, seed=3), take(4, batch_size=4, seed=3, start=5)
    np.testing.assert_array_equal(whole[5:], tail)


def test_seeds_differ():
    assert not np.array_equal(take(2, batch_size=5, seed=0), take(2, batch_size=5, seed=1))


def test_a_batch_may_exceed_the_data():
    (batch,) = take(1, batch_size=25, seed=0)
    assert len(batch) == 25
    assert np.bincount(batch, minlength=10).min() >= 2


@pytest.mark.parametrize("arrays", [{"a": np.zeros(0)}, {"a": np.zeros(3), "b": np.zeros(4)}])
def test_bad_arrays_are_refused(arrays):
    with pytest.raises(ValueError, match="share one length"):
        array_batches(arrays, 2, seed=0)


def test_hold_out_is_seeded_disjoint_and_complete():
    kept, held = hold_out(np.arange(100), 0.2, seed=1)
    assert (len(kept), len(held)) == (80, 20)
    assert sorted([*kept, *held]) == list(range(100))
    np.testing.assert_array_equal(held, hold_out(np.arange(100), 0.2, seed=1)[1])
    assert len(hold_out(np.arange(10), 0.0)[1]) == 0
    with pytest.raises(ValueError, match="1.5"):
        hold_out(np.arange(10), 1.5)
