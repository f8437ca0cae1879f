import pytest

from dpig_tf2.preparation import csv_rows


def read(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return list(csv_rows.read(path, ("name", "age"), ":"))


def test_rows_with_their_places(tmp_path):
    path = tmp_path / "a.csv"
    expected = [
        (f"{path} line 2", {"name": "é", "age": "5"}),
        (f"{path} line 4", {"name": "b", "age": ""}),
    ]
    for encoding in ("utf-8", "utf-8-sig"):
        assert read(path, "name:age\né: 5\n\nb\n", encoding) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected the header name:age; got None"),
        ("name,age\n", "expected the header name:age; got .'name,age'."),
        ("name:age\n" + "x" * 200_000 + "\n", "no CSV in UTF-8 after line 1: field larger"),
    ],
)
def test_files_of_another_form_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=f"a.csv: {message}"):
        read(tmp_path / "a.csv", content)


def test_other_encodings_are_named(tmp_path):
    with pytest.raises(ValueError, match="a.csv: no CSV in UTF-8 after line 0"):
        read(tmp_path / "a.csv", "name:age\né:5\n", "latin1")
