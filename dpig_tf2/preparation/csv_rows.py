"""Rows of CSV files that people made, every problem named by file and line."""

import csv
from collections.abc import Iterator, Sequence

from dpig_tf2.errors import DpigError


class CsvError(DpigError):
    """A CSV of another form than expected."""


def read(path, columns: Sequence[str], delimiter: str = ",") -> Iterator[tuple[str, dict]]:
    """(place for messages, row by column name) of every row; absent fields are empty text.

    Args:
        path: file with a header, UTF-8 with or without a byte order mark.
        columns: what the header must have.
        delimiter: between fields.

    Raises:
        CsvError: naming the file, and the line where there is one, if it is not of this form.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True, restval="")
        try:
            if not set(columns) <= set(rows.fieldnames or ()):
                header = delimiter.join(columns)
                got = str(rows.fieldnames)[:200]
                raise CsvError(f"{path}: expected the header {header}; got {got}", file=path)
            for row in rows:
                yield f"{path} line {rows.line_num}", row
        except (csv.Error, UnicodeDecodeError) as error:
            raise CsvError(
                f"{path}: no CSV in UTF-8 after line {rows.line_num}: {error}", file=path
            ) from error
