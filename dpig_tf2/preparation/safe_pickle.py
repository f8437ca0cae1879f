"""Reading pickles of strangers: numpy arrays and plain containers, nothing that can run.

A pickle is a program. This reader admits only the names that numpy arrays need; every other name is
refused before anything is called.
"""

import codecs
import io
import pathlib
import pickle

import numpy as np

from dpig_tf2.errors import DpigError

_reconstruct = np.empty(0).__reduce__()[0]


def _encode_latin1(text, encoding="latin1"):
    """What `_codecs.encode` does in pickles that Python 3 writes for Python 2: bytes from text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoding {encoding!r} is not admitted")
    return codecs.encode(text, "latin1")


def _empty_bytes():
    """The data of an empty array, in pickles that Python 3 writes for Python 2."""
    return b""


def _scalar(dtype, data: str | bytes = b""):
    """A numpy scalar; object scalars would unpickle their data a second time."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError("numpy object scalars are not admitted")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)[0]


def _from_buffer(buffer, dtype, shape, order, axis_order=None):
    """How protocol 5 stores arrays."""
    if axis_order is not None:
        raise pickle.UnpicklingError("arrays with permuted axes are not admitted")
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


_ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode_latin1,
    ("__builtin__", "bytes"): _empty_bytes,
    # NumPy 2 renamed its inner package.
    **{
        (f"numpy.{core}.{name}", function): admitted
        for core in ("core", "_core")
        for name, function, admitted in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


class PickleError(DpigError):
    """A pickle that is damaged or that asks for something other than arrays and containers."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not admitted")
        return _ADMITTED[module, name]

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it refers to objects outside the file")


def load(path) -> object:
    """The content of a pickle made by Python 2 or 3: numbers, text, containers, numpy arrays.

    Byte strings of Python 2 become text (Latin-1).

    Raises:
        PickleError: naming the file, if it is damaged or holds anything else.
    """
    data = pathlib.Path(path).read_bytes()
    try:
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle fails in any way at all
        raise PickleError(f"{path}: not a readable pickle: {error}") from error
