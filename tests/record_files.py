"""Record files of examples that a test has made."""

import os
from collections.abc import Iterable

from dpig_tf2.io import crc32c
from dpig_tf2.records import wire


def write_shard(path: os.PathLike, examples: Iterable[bytes]) -> None:
    """Writes serialized examples as a record file."""
    wire.write_records(path, ((each, crc32c.crc32c(each)) for each in examples))
