import ast
import os
import pathlib
import pickle

import numpy as np
import pytest

from dpig_tf2.io import pickles


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers(tmp_path, protocol):
    array = np.arange(6.0).reshape(2, 3)
    content = {"a.jpg": [array, (1, 2.5, None)], "b.jpg": {"x": [True, "y", b"z"]}}
    path = tmp_path / "content.p"
    path.write_bytes(pickle.dumps(content, protocol))
    read = pickles.load(path)
    np.testing.assert_array_equal(read["a.jpg"][0], array)
    assert read["a.jpg"][1] == (1, 2.5, None)
    assert read["b.jpg"] == content["b.jpg"]


def test_numpy_scalars(tmp_path):
    path = tmp_path / "scalar.p"
    path.write_bytes(pickle.dumps({"score": np.float64(0.25)}, 2))
    assert pickles.load(path) == {"score": 0.25}


def test_python2_text_pickle(tmp_path):
    """What Python 2 writes by default: protocol 0, byte strings."""
    path = tmp_path / "python2.p"
    path.write_bytes(b"(dp0\nS'a.jpg'\np1\n(lp2\n(I34\nI22\nF0.5\nI0\ntp3\nas.")
    assert pickles.load(path) == {"a.jpg": [(34, 22, 0.5, 0)]}


def test_python2_array(tmp_path):
    """The data of arrays are byte strings, with bytes above 127, in pickles of Python 2."""
    path = tmp_path / "python2.p"
    path.write_bytes(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt"
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntb."
    )
    np.testing.assert_array_equal(pickles.load(path), np.float32([1, -2]))


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_does_not_run(tmp_path, protocol):
    mark = tmp_path / "it_ran"
    path = tmp_path / "evil.p"
    path.write_bytes(pickle.dumps({"a.jpg": _Runs(mark)}, protocol))
    with pytest.raises(pickles.PickleError, match="evil.p.*system, which is not admitted"):
        pickles.load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c__builtin__\ngetattr\n(S'a'\nS'upper'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93(\x8c\x04true\x85R.",
    ],
)
def test_other_names_are_refused(tmp_path, code):
    path = tmp_path / "other.p"
    path.write_bytes(code)
    with pytest.raises(pickles.PickleError, match="not admitted"):
        pickles.load(path)


def test_object_scalar_cannot_smuggle_a_pickle(tmp_path):
    inner = pickle.dumps(_Runs(tmp_path / "it_ran"), 0).decode("latin1")
    path = tmp_path / "object.p"
    head = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR"
    path.write_bytes(head + b"V" + inner.encode("raw_unicode_escape").replace(b"\n", b"\\u000a"))
    path.write_bytes(path.read_bytes() + b"\ntR.")
    with pytest.raises(pickles.PickleError, match="type .O8. is not admitted"):
        pickles.load(path)
    assert not (tmp_path / "it_ran").exists()


def test_damaged_pickle_is_named(tmp_path):
    path = tmp_path / "short.p"
    path.write_bytes(pickle.dumps(np.arange(9), 2)[:-20])
    with pytest.raises(pickles.PickleError, match="short.p"):
        pickles.load(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.array([True, False]),
        np.array([1.5, -2], ">f8"),
        np.zeros((0, 20)),
        np.float16(0.5),
        np.array(3),
        np.uint8(200),
    ],
)
def test_arrays_as_numpy_pickles_them(array, protocol):
    read = pickles.loads(pickle.dumps(array, protocol))
    assert read.dtype == array.dtype and read.shape == array.shape
    np.testing.assert_array_equal(read, array)


def test_names_of_both_generations_of_numpy():
    for core in (b"numpy.core", b"numpy._core"):
        text = pickle.dumps(np.arange(3), 2).replace(b"numpy._core", core)
        np.testing.assert_array_equal(pickles.loads(text), [0, 1, 2])


def test_values_that_are_used_twice():
    shared = [1, 2, np.arange(2)]
    read = pickles.loads(pickle.dumps({"a": shared, "b": shared, "c": ("é" * 300, -(2**40))}))
    assert read["a"] is read["b"] and read["c"] == ("é" * 300, -(2**40))


def _array_state(code, state):
    """A pickle of a one-dimensional array of 8 bytes with a forged type."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nt"
        b"cnumpy\ndtype\n(S'" + code + b"'\nI0\nI1\ntR" + state + b"I00\nS'AAAAAAAA'\ntb."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system, which is not admitted"),
        (b"(S'true'\nios\nsystem\n.", "an object, which is not admitted"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system, which is not admitted"),
        (b"\x80\x04\x8c\x05numpy\x8c\x10dtype.__reduce__\x93.", "not admitted"),
        (b"cnumpy\ndtype\n.", "a name that stands alone"),
        (b"cnumpy\nndarray\n(I9\ntR.", "ndarray with unusual arguments"),
        (b"c_codecs\nencode\n}b.", "a state that is not admitted"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "encode with unusual arguments"),
        (_array_state(b"f8", b"(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb"), "needs a byte order"),
        (_array_state(b"f8", b"(I3\nS'O'\nNNNI-1\nI-1\nI63\ntb"), "a state that is not admitted"),
        (_array_state(b"O8", b"(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb"), "type .O8. is not admitted"),
        (_array_state(b"V8", b"(I3\nS'|'\nN(S'f'\ntNI8\nI1\nI16\ntb"), "is not admitted"),
        (_array_state(b"f4", b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"), "shape .1. has 8 bytes"),
        (
            _array_state(b"b1", b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb").replace(b"A" * 8, b"A"),
            "neither 0 nor 1",
        ),
        (pickle.dumps({1 << 61: 0}, 2), "too large a number"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "a whole number of 2147483647 bytes"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f", "bytes are announced, 0 left"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f", "bytes are announced, 0 left"),
        (b"I" + b"9" * 10_000 + b"\n.", "a line of text does not end"),
        (b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than 32 deep"),
        (b"(" * 100_000 + b"t" * 100_000 + b".", "nested more than 32 deep"),
        (b"]p0\ng0\na.", "contains itself"),
        (b"N\x86" * 3, "takes a value where there is none"),
        (b"Nr\xff\xff\xff\x7f.", "out of order or range"),
        (b"N(h\x07", "value 7 was not kept"),
        (b"}(I1\nI2\nte", "a mark is missing"),
        (b"}(](I1\nu.", "not a dictionary"),
        (b"}(]I1\nu.", "neither text nor a number"),
        (b"P5\n.", "objects outside the file"),
        (b"\x80\x05\x97.", "data outside the file"),
        (b"\x80\x09N.", "protocol 9"),
        (b"N", "it ends too early"),
        (b"NN.", "it ends with unused values"),
        (b"\x00", "no instruction of a pickle: 0x00"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_pickles(tmp_path, content, message):
    path = tmp_path / "evil.p"
    path.write_bytes(content)
    with pytest.raises(pickles.PickleError, match=f"evil.p: .*byte [0-9]+: .*{message}") as caught:
        pickles.load(path)
    assert caught.value.file == str(path) and 0 <= caught.value.position <= len(content)


def test_laughs_are_counted():
    """Few bytes that stand for very many values."""

    def doubled(count):
        steps = (b"0](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(count))
        return b"](I1\nI2\ne\x94" + b"".join(steps) + b"."

    assert len(pickles.loads(doubled(20))) == 2
    with pytest.raises(pickles.PickleError, match="repeats its values"):
        pickles.loads(doubled(30))


def test_memory_is_counted(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_MEMORY", 1 << 20)
    with pytest.raises(pickles.PickleError, match="more than 1 MiB of memory"):
        pickles.loads(b"]" * 20_000)
    with pytest.raises(pickles.PickleError, match="more than 1 MiB of memory"):
        pickles.loads(b"N" * 100_000)


def test_long_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_FILE_BYTES", 10)
    (tmp_path / "a.p").write_bytes(b"N" * 11)
    with pytest.raises(pickles.PickleError, match="a.p: .*11 bytes, at most 10 are read"):
        pickles.load(tmp_path / "a.p")


def test_nothing_in_the_package_loads_pickles_by_machine():
    """`np.load` never with pickles allowed, and nobody imports pickle.

    But for what a conversion keeps for its own processes, in a file that it has just made.
    """
    package = pathlib.Path(pickles.__file__).parents[1]
    own = {package / "preparation" / name for name in ("conversion.py", "store.py")}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None)] + [alias.name for alias in node.names]
                assert path in own or not {
                    "pickle",
                    "cPickle",
                    "_pickle",
                    "shelve",
                    "marshal",
                } & set(names), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("allow_pickle") == "False", f"{path} line {node.lineno}"


def test_real_pickles(shared_dir):
    """As Python's machine reads them; these are our own files."""
    paths = sorted(shared_dir.glob("fixtures/convert/**/*.p*"))
    paths = [path for path in paths if path.suffix in (".p", ".pickle")]
    assert len(paths) > 20
    for path in paths:
        expected = pickle.loads(path.read_bytes(), encoding="latin1")
        assert repr(pickles.load(path)) == repr(expected), path
