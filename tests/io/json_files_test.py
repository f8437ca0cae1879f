import math

import numpy as np
import pytest

from dpig_tf2.io import json_files


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return json_files.read_json(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(tmp_path, encoding):
    assert read(tmp_path / "a.json", '{"é": [1, 2.5]}'.encode(encoding)) == {"é": [1, 2.5]}


def test_numbers(tmp_path):
    low, high, huge = read(tmp_path / "a.json", f"[NaN, {10**299}, {'9' * 4000}]")
    assert math.isnan(low) and high == 10**299 and huge == math.inf


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON: line 1 column 1"),
        ('{\n"a": }', "not JSON: line 2 column 6"),
        (b'{"a": "\xff"}', "not JSON: byte 7"),
        ("[" * 100_000, "line 1: nested more than 64 deep"),
        ('\n{"a":' * 100_000, "line 66: nested more than 64 deep"),
        ("[" + "[]," * 99 + "[" * 64, "line 1: nested more than 64 deep"),
        ('"' + r"\"" * 100_000 + "[{" * 99, "not JSON: line 1 column 1"),
        (b"PK\3\4" + bytes(50), "a zip archive"),
    ],
)
def test_other_content(tmp_path, content, message):
    with pytest.raises(json_files.JsonError, match=f"a.json: .*{message}") as caught:
        read(tmp_path / "a.json", content)
    assert caught.value.file == str(tmp_path / "a.json")


def test_brackets_in_text_do_not_count(tmp_path):
    assert read(tmp_path / "a.json", '["' + "[" * 200 + '\\"{"]') == ["[" * 200 + '"{']


def test_what_is_closed_does_not_count(tmp_path):
    assert read(tmp_path / "a.json", "[" + "[{}]," * 99 + "0]") == [*99 * [[{}]], 0]


def test_size_and_memory_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MAX_MEMORY", 10_000)
    with pytest.raises(json_files.JsonError, match="would take more than"):
        read(tmp_path / "a.json", "[" + "0," * 1000 + "0]")
    monkeypatch.setattr(json_files, "MAX_FILE_BYTES", 10)
    with pytest.raises(json_files.JsonError, match="12 bytes of JSON, at most 10"):
        read(tmp_path / "a.json", "[1234567890]")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 400])
def test_what_is_not_finite_is_refused_where_asked(tmp_path, number):
    assert not np.isfinite(read(tmp_path / "a.json", f"[{number}]")[0])
    with pytest.raises(json_files.JsonError, match="a.json: not JSON: it holds the number"):
        json_files.read_json(tmp_path / "a.json", finite=True)
