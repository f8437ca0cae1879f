import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from dpig_tf2.io import array_files
from dpig_tf2.io.array_files import WeightsError


def member(shape, values=b"", dtype="<f4"):
    """A .npy file whose header promises a shape, whatever follows."""
    content = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + values


def archive(path, *members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """Else a machine that fails soon after may keep the new name and an empty file."""
    path, done, replace, fsync = tmp_path / "a.npz", [], os.replace, os.fsync

    def noted(descriptor):
        done.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    def renamed(source, target):
        done.append("renamed")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", renamed)
    array_files.save(path, {"a": np.arange(9)})
    assert done == [path.stat().st_size, "renamed"]


def test_round_trip_of_every_kind(tmp_path):
    arrays = {
        "a/b": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.int64(3),
        "empty": np.zeros((0, 4), np.float32),
        "text": np.array(["a", "long"]),
        "flags": np.array([True, False]),
    }
    array_files.save(tmp_path / "a.npz", arrays)
    loaded = array_files.load(tmp_path / "a.npz")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == np.asarray(array).dtype
    assert array_files.load(tmp_path / "a.npz", ["scalar"]).keys() == {"scalar"}


def pickled():
    content = io.BytesIO()
    np.save(content, np.array([print], object), allow_pickle=True)
    return content.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.npy", member((1 << 40,), bytes(8)))], "a.npy promises 4398046511232 bytes and has"),
        ([("a.npy", member((2,), bytes(12)))], "a.npy promises 136 bytes and has 140"),
        ([("a.npy", member((1 << 40,), dtype="<U0"))], "holds <U0"),
        ([("a.npy", pickled())], "holds object"),
        ([("a.npy", member((-1, -2), bytes(8)))], "promises 136 bytes"),
        ([("a.npy", member((1,), bytes(4))), ("b.zip", b"PK")], "'b.zip' in it is no array"),
        ([("a.npy", member((1,), bytes(4)))] * 2, "it holds 'a' twice"),
        ([("a.npy", b"no array at all")], "magic string"),
    ],
)  # fmt: skip
def test_headers_that_promise_more_are_refused(tmp_path, members, message):
    path = archive(tmp_path / "a.npz", *members)
    tracemalloc.start()
    with pytest.raises(WeightsError, match=message) as raised:
        array_files.load(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
    assert raised.value.file == str(path)


def test_bombs_are_refused(tmp_path):
    bomb = member((1 << 22,), bytes(1 << 24))
    path = archive(tmp_path / "a.npz", ("a.npy", bomb), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="bytes promise 16777344"):
        array_files.load(path)


def test_compressed_arrays_are_read(tmp_path):
    values = np.random.default_rng(0).normal(size=100)
    np.savez_compressed(tmp_path / "a.npz", values=values)
    np.testing.assert_array_equal(array_files.load(tmp_path / "a.npz")["values"], values)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.setattr(pickle, "load", lambda *args, **kwargs: pytest.fail("unpickled"))
    with pytest.raises(WeightsError):
        array_files.load(archive(tmp_path / "a.npz", ("a.npy", pickled())))
