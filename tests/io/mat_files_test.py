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


def element(kind, content, order="<"):
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(*rest, class_=6, shape=(1, 1), name=b"x", order="<", flags=0):
    """A variable by hand; `rest` are its elements behind the name."""
    head = [
        element(6, struct.pack(f"{order}II", class_ | flags, 0), order),
        element(5, struct.pack(f"{order}{len(shape)}i", *shape), order),
        element(1, name, order),
    ]
    return element(14, b"".join([*head, *rest]), order)


def put(path, *variables, order="<"):
    path.write_bytes(bytes(126) + {"<": b"IM", ">": b"MI"}[order] + b"".join(variables))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_all_encodings_of_text(tmp_path, order):
    codec = "-le" if order == "<" else "-be"
    texts = [(16, "utf-8"), (17, "utf-16" + codec), (18, "utf-32" + codec), (1, "latin-1")]
    variables = [
        matrix(
            element(3, struct.pack(f"{order}hh", 5, -2), order),
            shape=(2, 1), name=b"numbers", order=order,
        ),
        *(
            matrix(
                element(kind, "aé".encode(codec), order),
                class_=4, shape=(1, 2), name=codec.encode(), order=order,
            )
            for kind, codec in texts
        ),
    ]  # fmt: skip
    path = put(tmp_path / "a.mat", *variables, bytes(5), order=order)  # zeros at the end
    assert mat_files.read(path, "numbers").tolist() == [[5], [-2]]
    assert [mat_files.read(path, codec) for _, codec in texts] == ["aé"] * 4
    with pytest.raises(mat_files.MatError, match="no variable absent; it holds numbers, utf-8"):
        mat_files.read(path, "absent")


ONE, CELL = element(9, struct.pack("<d", 1)), {"class_": 1}
NAMES = element(5, struct.pack("<i", 4))  # of a struct: their length


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (struct.pack("<HHI", 1, 5, 0), "a short element of 5 bytes"),
        (element(15, zlib.compress(bytes(90))[:-5]), "a compressed element ends too early"),
        (element(14, ONE), "a matrix without its class"),
        (element(14, element(6, bytes(4))), "a matrix without its class"),
        (element(14, element(6, bytes(8)) + ONE), "a matrix without its size"),
        (element(14, element(6, bytes(8)) + element(5, bytes(8)) + ONE), "without its name"),
        (matrix(ONE, shape=(1,)), r"a matrix of size \[1\]"),
        (matrix(ONE, shape=(1,) * 33), "a matrix of size"),
        (matrix(ONE, shape=(-1, -1)), r"a matrix of size \[-1, -1\]"),
        (matrix(ONE, flags=0x800), "complex"),
        (matrix(element(16, b"12345678")), "an element of type 16, expected numbers"),
        (matrix(element(9, b"1234")), "4 bytes are no whole count of numbers"),
        (matrix(ONE, shape=(2, 1)), r"1 numbers for a matrix of size \[2, 1\]"),
        (matrix(ONE, class_=4), "text of type 9"),
        (matrix(element(16, b"ab"), class_=4), "2 characters for text of size"),
        (matrix(element(16, b"ab"), class_=4, shape=(1, 1, 2)), "2 characters for text of size"),
        (matrix(ONE, **CELL), "a cell or field of type 9"),
        (matrix(shape=(2, 1), **CELL), "2 cells or fields are announced"),
        (matrix(element(14, b""), shape=(2, 1), **CELL), "2 cells or fields are announced"),
        (matrix(element(5, b""), class_=2), "a struct without the length of its names"),
        (matrix(element(5, struct.pack("<i", -4)), class_=2), "without the length of its names"),
        (matrix(element(5, struct.pack("<i", 2**16)), class_=2), "without the length of its na"),
        (matrix(NAMES, element(1, b"abcdef"), class_=2), "names of fields that are cut off"),
        (matrix(NAMES, class_=2), "it ends too early"),
        (matrix(class_=16), "it holds a function"),
        (matrix(class_=99), "it holds class 99"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_elements_that_are_not_read(tmp_path, variable, message):
    with pytest.raises(mat_files.MatError, match=message) as refused:
        mat_files.read(put(tmp_path / "a.mat", variable), "x")
    assert refused.value.field == "x" and refused.value.position >= 0


def test_empty_content(tmp_path):
    variables = {
        b"numbers": matrix(shape=(0, 3), name=b"numbers"),
        b"text": matrix(class_=4, shape=(0, 0), name=b"text"),
        b"cells": matrix(element(14, b""), name=b"cells", **CELL),
        b"struct": matrix(NAMES, element(1, b""), class_=2, name=b"struct"),
    }
    path = put(tmp_path / "a.mat", *variables.values())
    assert mat_files.read(path, "numbers").shape == (0, 3)
    assert mat_files.read(path, "text") == ""
    assert [cell.shape for cell in mat_files.read(path, "cells")] == [(0, 0)]
    assert mat_files.read(path, "struct") == []


def test_the_byte_of_a_fault_is_told(tmp_path):
    path = put(tmp_path / "a.mat", matrix(ONE), matrix(element(9, b"1234"), name=b"y"))
    with pytest.raises(mat_files.MatError, match=": byte ") as refused:
        mat_files.read(path, "y")
    assert refused.value.position == path.stat().st_size - 16


@pytest.mark.parametrize(
    "variable",
    [
        matrix(*[matrix(ONE)] * 3, shape=(3, 1), **CELL),
        matrix(*[element(14, b"")] * 3, shape=(3, 1), **CELL),
        matrix(element(16, b"abcd"), class_=4, shape=(4, 1)),
    ],
    ids=["cells", "empty cells", "rows"],
)
def test_cells_fields_and_rows_are_counted(tmp_path, monkeypatch, variable):
    path = put(tmp_path / "a.mat", variable)
    monkeypatch.setattr(mat_files, "MAX_PARTS", 4)  # the matrix itself is one
    assert len(mat_files.read(path, "x")) in (3, 4)
    monkeypatch.setattr(mat_files, "MAX_PARTS", 3)
    with pytest.raises(mat_files.MatError, match="more than 3 cells, fields and rows of text"):
        mat_files.read(path, "x")


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
    for name, shown in ((b"\x1b[31m", "nothing"), (b"n" * 300, "n" * 200)):
        with pytest.raises(mat_files.MatError, match=f"it holds {shown}$"):
            mat_files.read(put(path, matrix(ONE, name=name)), "z")


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
    for _ in range(mat_files.MAX_DEPTH):
        value, inner = np.empty((1, 1), object), value
        value[0, 0] = inner
    assert len(mat_files.read(write(tmp_path / "a.mat", x=value), "x")) == 1
    value, inner = np.empty((1, 1), object), value
    value[0, 0] = inner
    with pytest.raises(mat_files.MatError, match="nested more than 16 deep"):
        mat_files.read(write(tmp_path / "a.mat", x=value), "x")


@pytest.mark.parametrize("sizes", [[2 << 20], [1 << 20], [3 << 18] * 2])
def test_inflation_is_limited(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(mat_files, "MAX_INFLATED_BYTES", 1 << 20)
    bombs = [zlib.compress(bytes(size)) for size in sizes]
    path = put(tmp_path / "a.mat", *(struct.pack("<II", 15, len(b)) + b for b in bombs))
    with pytest.raises(mat_files.MatError, match="compressed elements of more than 1 MiB"):
        mat_files.read(path, "x")
