import os
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
