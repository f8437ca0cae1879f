import struct
import zlib

import numpy as np
import pytest
from scipy import io, sparse

from dpig_tf2.io import mat_files

CELLS = np.empty((2, 1), object)
CELLS[0, 0], CELLS[1, 0] = np.arange(6.0).reshape(2, 3), "second"
CONTENT = {
    "numbers": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "small": np.uint8([[7]]),
    "whole": np.int64([[-1, 2**40]]),
    "text": "0002 é",
    "rows": np.array(["one", "two"]),
    "cells": CELLS,
    "struct": {"age": np.int32([[3]]), "inner": {"name": "x"}, "none": np.zeros((0, 0))},
}


def write(path, compress=False, **variables):
    io.savemat(path, variables or CONTENT, do_compression=compress)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_what_scipy_writes(tmp_path, compress):
    path = write(tmp_path / "a.mat", compress)
    for name in ("numbers", "small", "whole"):
        read = mat_files.read(path, name)
        assert read.dtype == CONTENT[name].dtype
        np.testing.assert_array_equal(read, CONTENT[name])
    assert mat_files.read(path, "text") == "0002 é"
    assert mat_files.read(path, "rows") == ["one", "two"]
    first, second = mat_files.read(path, "cells")
    np.testing.assert_array_equal(first, CELLS[0, 0])
    assert second == "second"
    read = mat_files.read(path, "struct")
    assert read["age"] == 3 and read["inner"] == {"name": "x"} and read["none"].shape == (0, 0)


def test_array_of_structs(tmp_path):
    persons = np.array([(1.0, "a"), (2.0, "b")], [("age", object), ("name", object)])
    read = mat_files.read(write(tmp_path / "a.mat", persons=persons), "persons")
    assert [person["name"] for person in read] == ["a", "b"]
    assert [person["age"].item() for person in read] == [1, 2]


def test_real_files_as_scipy_reads_them(shared_dir):
    path = shared_dir / "real/market1501/market_attribute.mat"
    read = mat_files.read(path, "market_attribute")
    expected = io.loadmat(path)["market_attribute"][0, 0]
    assert list(read) == list(expected.dtype.names)
    for split, table in read.items():
        assert list(table) == list(expected[split].dtype.names)
        for field, values in table.items():
            other = expected[split][0, 0][field]
            if field == "image_index":
                assert values == [str(np.ravel(entry)[0]) for entry in np.ravel(other)]
            else:
                np.testing.assert_array_equal(values, other)


def test_absent_variable(tmp_path):
    path = write(tmp_path / "a.mat", x=1.0, y=2.0)
    with pytest.raises(mat_files.MatError, match="a.mat: no variable z; it holds x, y") as caught:
        mat_files.read(path, "z")
    assert caught.value.file == str(path) and caught.value.field == "z"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MATLAB file"),
        (b"PK\3\4" + b"\0" * 200, "a zip archive"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF", "version 7.3"),
        (b"MATLAB 5.0 MAT-file".ljust(126) + b"IM" + b"\1\2\3", "it ends too early"),
        (b"".ljust(126) + b"IM" + struct.pack("<II", 14, 2**31), "2147483648 bytes are announced"),
        (b"".ljust(126) + b"IM" + struct.pack("<II", 15, 4) + b"zlib", "header"),
    ],
)
def test_other_and_damaged_files(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(mat_files.MatError, match=f"a.mat: not a readable .mat file: .*{message}"):
        mat_files.read(path, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([[1j]]), "complex"),
        ({"inner": np.array([[1j]])}, "complex"),
        (sparse.csc_array(np.eye(2)), "a sparse matrix"),
    ],
)
def test_unusual_content(tmp_path, value, message):
    with pytest.raises(mat_files.MatError, match=message):
        mat_files.read(write(tmp_path / "a.mat", x=value), "x")


def test_announced_size_that_the_file_does_not_hold(tmp_path):
    path = write(tmp_path / "a.mat", x=np.arange(6.0).reshape(2, 3))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<ii", 2, 3), struct.pack("<ii", 2**30, 2**30)))
    with pytest.raises(mat_files.MatError, match=r"numbers for a matrix of size \[1073741824"):
        mat_files.read(path, "x")


def test_large_files_are_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mat", x=1.0)
    monkeypatch.setattr(mat_files, "MAX_FILE_BYTES", 100)
    with pytest.raises(mat_files.MatError, match="bytes, at most 100 are read"):
        mat_files.read(path, "x")


def test_fields_of_one_name(tmp_path):
    path = write(tmp_path / "a.mat", x={"first": 1.0, "other": 2.0})
    path.write_bytes(path.read_bytes().replace(b"other", b"first"))
    with pytest.raises(mat_files.MatError, match="two fields of one name"):
        mat_files.read(path, "x")


def test_nesting_is_limited(tmp_path):
    value = np.zeros((1, 1))
    for _ in range(mat_files.MAX_DEPTH + 1):
        value, inner = np.empty((1, 1), object), value
        value[0, 0] = inner
    with pytest.raises(mat_files.MatError, match="nested more than 16 deep"):
        mat_files.read(write(tmp_path / "a.mat", x=value), "x")


def test_inflation_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(mat_files, "MAX_INFLATED_BYTES", 1 << 20)
    bomb = zlib.compress(bytes(2 << 20))
    path = tmp_path / "a.mat"
    path.write_bytes(b"".ljust(126) + b"IM" + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(mat_files.MatError, match="compressed elements of more than 1 MiB"):
        mat_files.read(path, "x")
