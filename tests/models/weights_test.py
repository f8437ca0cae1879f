import os

import keras
import numpy as np
import pytest

from dpig_tf2.io import array_files
from dpig_tf2.io.array_files import WeightsError
from dpig_tf2.models import weights


def _layer():
    """Variables dense/kernel [2, 3] and dense/bias [3]."""
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 2))
    return layer


def test_round_trip_is_bit_equal(tmp_path):
    arrays = {
        "a/kernel": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32),
        "a/step": np.int64(7),
        "b": np.array([np.float32(1e-42), -0.0, np.inf], np.float32),
    }
    array_files.save(tmp_path / "deep" / "weights.npz", arrays)
    loaded = array_files.load(tmp_path / "deep" / "weights.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tobytes() == array.tobytes()
    assert os.listdir(tmp_path / "deep") == ["weights.npz"]


def test_assign_restores_variables_and_ignores_other_paths():
    source, target = _layer(), _layer()
    arrays = weights.collect(source.variables) | {"other/kernel": np.zeros(5)}
    weights.assign(target.variables, arrays, "file")
    for found, expected in zip(target.variables, source.variables, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_collect_refuses_two_variables_of_one_path():
    layer = _layer()
    with pytest.raises(WeightsError, match="two variables are called dense/kernel"):
        weights.collect([*layer.variables, *_layer().variables])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda arrays: arrays.pop("dense/bias"), "run.npz: variable dense/bias is missing"),
        (
            lambda arrays: arrays.update({"dense/bias": np.zeros(4, np.float32)}),
            r"run.npz: variable dense/bias has shape \(4,\), the network has \(3,\) "
            r"\(was it trained with another width\?\)",
        ),
        (
            lambda arrays: arrays.update({"dense/bias": np.array(["a", "b", "c"])}),
            "run.npz: variable dense/bias does not hold finite numbers",
        ),
        (
            lambda arrays: arrays.update({"dense/bias": np.array([0, np.nan, 0], np.float32)}),
            "run.npz: variable dense/bias does not hold finite numbers",
        ),
    ],
)
def test_nothing_is_assigned_unless_all_fits(change, message):
    layer = _layer()
    before = weights.collect(layer.variables)
    arrays = {path: value + 1 for path, value in before.items()}
    change(arrays)
    with pytest.raises(WeightsError, match=message):
        weights.assign(layer.variables, arrays, "run.npz")
    for path, value in weights.collect(layer.variables).items():
        np.testing.assert_array_equal(value, before[path])


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_a_failed_save_keeps_the_old_file(failing, tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    array_files.save(path, {"a": np.zeros(2)})

    def fail(*args, **kwargs):
        raise OSError("no space left")

    owner, name = {"write": (np, "savez"), "rename": (os, "replace")}[failing]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match="no space left"):
        array_files.save(path, {"a": np.ones(2)})
    monkeypatch.undo()
    np.testing.assert_array_equal(array_files.load(path)["a"], [0, 0])
    assert os.listdir(tmp_path) == ["weights.npz"]


def _truncate(data):
    return data[: len(data) // 2]


def _flip_a_bit(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, lambda data: b"", lambda data: b"text"])
def test_damaged_files_are_named(damage, tmp_path):
    path = tmp_path / "weights.npz"
    array_files.save(path, {"a": np.random.default_rng(0).normal(size=1000)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="weights.npz: not a readable .npz file"):
        array_files.load(path)


def test_absent_and_foreign_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match="absent.npz: no such file"):
        array_files.load(tmp_path / "absent.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(WeightsError, match="single.npy: not a readable .npz file"):
        array_files.load(tmp_path / "single.npy")
