import numpy as np
import pytest

from dpig_tf2.io import tensor_files
from dpig_tf2.io.array_files import WeightsError


def test_round_trip_to_float16(tmp_path):
    arrays = {
        "a/kernel": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32).T,
        "scalar": np.float32(0.5),
        "empty": np.zeros((0, 2), np.float32),
    }
    path = tmp_path / "deep" / "a.safetensors"
    tensor_files.save(path, arrays)
    loaded = tensor_files.load(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == np.float32
        np.testing.assert_array_equal(loaded[name], np.asarray(array, np.float16))


def test_values_beyond_float16_are_refused_and_nothing_is_written(tmp_path):
    arrays = {"fine": np.ones(2, np.float32), "large": np.array([1e6], np.float32)}
    with pytest.raises(WeightsError) as caught:
        tensor_files.save(tmp_path / "a.safetensors", arrays)
    assert caught.value.field == "large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[:-1], lambda c: b"", lambda c: b"\xff" * 8 + c, lambda c: c[:8] + b"}" * 9],
)
def test_damaged_files_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    tensor_files.save(path, {"a": np.ones(5, np.float32)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError) as caught:
        tensor_files.load(path)
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file") as caught:
        tensor_files.load(tmp_path / "a.safetensors")
    assert caught.value.file == str(tmp_path / "a.safetensors")
