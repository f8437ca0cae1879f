"""What is fuzzed: each kind of file, how it is damaged, read, and checked when it was accepted.

A further kind is one more entry of `TARGETS`. Nothing heavy is imported before a target is used:
every target runs in a process of its own.
"""

import functools
import io
import pickle
import re

from tests.fuzz import call_targets, file_targets, mutations, record_targets
from tests.fuzz.target import Target

# Pickles.


@functools.cache
def _pickle_seeds():
    import numpy as np

    detections = {
        f"{i:04d}_c1.jpg": [[(np.int64(i), 22, np.float64(0.5), k)] for k in range(3)]
        for i in range(3)
    }
    poses = {"a.png": np.arange(54.0).reshape(18, 3), "b.png": np.zeros((18, 3), np.float32)}
    mixed = [{"é": (1, -(2**70), 2.5, None, True)}, b"bytes", np.asfortranarray(np.eye(3, 2)), []]
    seeds = {}
    for name, content in (("d", detections), ("p", poses), ("m", mixed)):
        for protocol in range(6):
            seeds[f"{name}{protocol}.p"] = pickle.dumps(content, protocol)
    seeds["python2.p"] = (
        b"(dp0\nS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
        b"(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\ntbs."
    )
    return seeds


@functools.cache
def _hostile_pickles():
    forged = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\nt"
        b"cnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\nS'AAAAAAAA'\ntb."
    )
    function = b"cnumpy.core.numeric\n_frombuffer\n"
    names = ("ndarray", "dtype", "loadtxt", "f2py.os.system", "core.multiarray._reconstruct")
    return [
        b"cos\nsystem\n(S'touch fuzz_executed'\ntR.",
        b"(S'touch fuzz_executed'\nios\nsystem\n.",
        b"cposix\nsystem\n(S'touch fuzz_executed'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        function + b"(d(S'__code__'\nI1\nds(NN\x86b.",
        function + b"}S'__code__'\nI0\nsb.",
        function + b"N}S'__globals__'\n}s\x86b.",
        forged % b"O8",
        forged % b"f8",
        (forged % b"f8").replace(b"S'|'", b"S'O'"),
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\xff.",
        b"\x80\x04\x8d\xff\xff\xff\xff\x00\x00\x00\x00",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x05\x96\x00\x00\x00\x60\x00\x00\x00\x00.",
        b"\x80\x02X\xff\xff\xff\x7f",
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"N" + b"\x85" * 100_000 + b".",
        b"}" + b"N" + b"\x85" * 100_000 + b"Ns.",
        b"]q\x00" + b"h\x00" * 1000 + b"a" * 1000 + b".",
        b"]q\x00h\x00a.",
        b"N" + b"".join(b"r" + (i * 65_536).to_bytes(4, "little") for i in range(65_535)) + b".",
        b"N" + b"\x94" * 200_000 + b".",
        b"](I1\nI2\ne\x94"
        + b"".join(b"0](h" + bytes([i, 104, i]) + b"e\x94" for i in range(60))
        + b".",
        b"](I1\nI2\ne\x94" + b"".join(b"(h" + bytes([i]) + b"2" * 9 + b"t\x94" for i in range(90)),
        b"}(" + b"".join(b"\x8a\x08" + (i * (2**61 - 1)).to_bytes(8, "little") + b"N"
                         for i in range(4)) + b"u.",
        b"I" + b"1" * 1_000_000 + b"\n.",
        b"F" + b"1" * 1_000_000 + b"\n.",
        *(
            b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name.encode() + b"\x93)R."
            for name in names
        ),
    ]  # fmt: skip


def _read_pickle(path):
    from dpig_tf2.io import pickles

    return pickles.load(path)


def _check_pickle(value, path):
    """Only data, and written and read again the same."""
    from dpig_tf2.io import pickles

    expected = _described(value)
    assert _described(pickles.loads(pickle.dumps(value, 4))) == expected, "changed by a round trip"


def _described(value):
    """Types and content, as text."""
    import numpy as np

    if isinstance(value, dict):
        return "{" + ",".join(f"{_described(k)}:{_described(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return type(value).__name__ + "[" + ",".join(map(_described, value)) + "]"
    if isinstance(value, np.ndarray | np.generic):
        assert value.dtype.kind in "biuf", value.dtype
        return f"{value.dtype.str}{value.shape}{value.tobytes()}"
    assert type(value) in (type(None), bool, int, float, str, bytes), type(value)
    return repr(value)


# Candidates of the pose detector.


@functools.cache
def _detection_seeds():
    import numpy as np

    candidates = [[(10 + k, np.float64(20), 0.9, k), (3, 4, 0.5, 30)] for k in range(18)]
    peaks = {name: candidates for name in ("a.jpg", "b.jpg", "c.jpg")}
    return {f"peaks{protocol}.p": pickle.dumps(peaks, protocol) for protocol in (0, 2, 4)}


def _read_detections(path):
    import numpy as np

    from dpig_tf2.preparation import detections

    subsets = path.with_name("subsets.p")
    row = np.array([[*range(18), 9.0, 18]])
    subsets.write_bytes(pickle.dumps({name: row for name in ("a.jpg", "b.jpg", "c.jpg")}, 2))
    return detections.read(path, subsets, True)


def _check_detections(read, path):
    import numpy as np

    found, faults = read
    assert set(found) | set(faults) >= {"a.jpg", "b.jpg", "c.jpg"}
    for detection in found.values():
        assert detection.keypoints.shape == (18, 3) and detection.keypoints.dtype == np.float32
        assert np.isfinite(detection.keypoints).all() and np.isfinite(detection.row).all()


# MATLAB files.


@functools.cache
def _mat_seeds():
    import numpy as np
    from scipy.io import savemat

    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.arange(6.0).reshape(2, 3), "text"
    contents = {
        "joints": {"x": np.arange(34.0).reshape(17, 2)},
        "cells": {"x": cells},
        "struct": {"x": {"train": {"age": np.int32([[1, 2]]), "name": cells}, "n": "0002"}},
        "others": {"a": 1.0, "b": "text", "x": np.array(["one", "two"])},
    }
    seeds = {}
    for name, content in contents.items():
        for compress in (False, True):
            file = io.BytesIO()
            savemat(file, content, do_compression=compress)
            seeds[f"{name}{int(compress)}.mat"] = file.getvalue()
    return seeds


@functools.cache
def _hostile_mats():
    import struct
    import zlib

    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"

    def element(kind, data):
        return struct.pack("<II", kind, len(data)) + data

    def matrix(class_, shape, rest):
        flags = element(6, struct.pack("<II", class_, 0))
        size = element(5, struct.pack("<ii", *shape))
        return element(14, flags + size + element(1, b"x".ljust(8, b"\0")) + rest)

    nested = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(3000):
        nested = matrix(1, (1, 1), nested)
    bomb = zlib.compress(bytes(300 << 20), 1)
    return [
        head + matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8))),
        head + matrix(1, (2**31 - 1, 2**31 - 1), b""),
        head + matrix(1, (2**31 - 1, 1), nested),
        head + matrix(2, (2**31 - 1, 1), element(5, b"\1\0\0\0") + element(1, b"a")),
        head + matrix(2, (1, 1), element(5, b"\0\0\0\0") + element(1, b"a")),
        head + matrix(4, (2**31 - 1, 0), b""),
        head + matrix(5, (2, 2), bytes(64)),
        head + matrix(6, (-1, -1), element(9, bytes(8))),
        head + nested,
        head + element(15, bomb),
        head + element(15, zlib.compress(element(15, zlib.compress(nested)))),
        head + struct.pack("<II", 14, 0xFFFFFFFF),
        head + struct.pack("<I", 0xFFFF0001),
        head[:126] + b"MI" + matrix(6, (1, 1), element(9, bytes(8))),
    ]


def _read_mat(path):
    from dpig_tf2.io import mat_files

    return mat_files.read(path, "x")


def _check_mat(value, path):
    """Only data, of the size that the file can hold."""
    import numpy as np

    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_mat(item, path)
        return
    assert isinstance(value, str | np.ndarray), type(value)
    if isinstance(value, np.ndarray):
        assert value.dtype.kind in "iuf" and value.ndim >= 2, value.dtype
        again = value.astype(value.dtype)  # touches all of it
        assert again.tobytes() == value.tobytes()


# Keypoint files.


@functools.cache
def _keypoint_seeds():
    import json

    from tests.preparation import keypoint_format_kinds_test as kinds

    seeds = {f"{k}_a.json": json.dumps(c).encode() for k, (_, c) in kinds.JSON_FORMATS.items()}
    rows, columns = kinds.pose()[:, :2].T.tolist()
    lines = [f"{name}: {rows}: {columns}: anna\n" for name in ("a.jpg", "b.jpg")]
    seeds["k.csv"] = ("name:keypoints_y:keypoints_x:identity\n" + "".join(lines)).encode()
    seeds["a.txt"] = "".join(f"{x} {y} {s}\n" for x, y, s in kinds.points(18)).encode()
    seeds["k.p"] = pickle.dumps({"a.jpg": kinds.pose()}, 2)
    return seeds


def _read_keypoints(path):
    from dpig_tf2.preparation import keypoint_formats

    def size(name):
        return 100, 50

    return keypoint_formats.load(path, "auto", ["a.jpg", "b.jpg", "p/a.png"], size)


def _check_keypoints(annotations, path):
    """Sound keypoints, and the same ones once more from a pickle of them."""
    import numpy as np

    from dpig_tf2.preparation import keypoint_formats

    for problem in annotations.problems:
        assert str(path) in problem and len(problem) < 2000, f"problem without file: {problem[:99]}"
    for name, keypoints in annotations.keypoints.items():
        assert isinstance(name, str)
        assert keypoints.dtype == np.float32 and keypoints.shape == (18, 3)
        assert np.isfinite(keypoints).all() and (keypoints >= 0).all()
        visible = keypoints[:, 2]
        assert set(np.unique(visible)) <= {0, 1} and not keypoints[visible == 0].any()
    copy = path.with_name("copy.p")
    copy.write_bytes(pickle.dumps(annotations.keypoints, 4))
    again = keypoint_formats.load(copy, "pickle", units="pixels").keypoints
    assert again.keys() == annotations.keypoints.keys()
    for name, keypoints in annotations.keypoints.items():
        np.testing.assert_array_equal(again[name], keypoints)


@functools.cache
def _hostile_texts():
    return [
        b"[" * 100_000,
        b'{"people":' * 100_000,
        b'{"people": [{"pose_keypoints_2d": ' + b"[" * 60 + b"]" * 60 + b"}]}",
        b'{"people": [{"pose_keypoints_2d": [' + b"9" * 400 + b", 1, 1]}]}",
        b'{"people": [{"pose_keypoints_2d": [' + b"9" * 290 + b"," + b"1," * 52 + b"1]}]}",
        b'{"images": [{"id": [], "file_name": {}}], "annotations": [{"image_id": {}}]}',
        b'{"images": null, "annotations": 5}',
        b'{"shapes": [{"shape_type": "point", "label": [], "points": {}}]}',
        b'[{"image_id": true, "keypoints": "x"}]',
        b'[{"x": {}, "y": null}]',
        b'{"\\ud800": {"people": []}}',
        b'"' + rb"\"" * 200_000 + b"[" * 65,
        b"name:keypoints_y:keypoints_x\n" + b'"' * 200_000,
        b"name:keypoints_y:keypoints_x\na.jpg: " + b"[" * 9_000 + b": []\n",
        b"name:keypoints_y:keypoints_x\n\0: [1]: [2]\n",
        b"1 2\n" * 20_000,
        b"1e400 nan 1\n" * 18,
        b"PK\x03\x04",
        b"\xff\xfe[\x00",
        b"",
    ]


TARGETS = {
    "pickle": Target(
        _pickle_seeds, _read_pickle, _check_pickle, mutations.PICKLE, _hostile_pickles,
        re.compile(r"byte \d+"),
    ),
    "detections": Target(
        _detection_seeds, _read_detections, _check_detections, mutations.PICKLE, _hostile_pickles,
    ),
    "mat": Target(
        _mat_seeds, _read_mat, _check_mat, mutations.MAT, _hostile_mats,
        re.compile(r"byte \d+|no variable x"),
    ),
    "keypoints": Target(
        _keypoint_seeds, _read_keypoints, _check_keypoints, mutations.TEXT, _hostile_texts,
    ),
    **file_targets.TARGETS,
    **record_targets.TARGETS,
    **call_targets.TARGETS,
}  # fmt: skip
