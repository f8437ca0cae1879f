"""What every kind of file that is fuzzed tells about itself."""

import dataclasses
import pathlib
import random
import re
from collections.abc import Callable, Sequence

Files = dict[str, bytes]  # by name


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        seeds: sound files that are damaged, each under the name that it is written to.
        read: reads the file at a path, in the way the product does.
        check: raises AssertionError if what was read is not right.
        changes: ways of this kind to damage content, see `mutations`.
        hostile: content that is tried as it is, under the name of the first seed.
        place: what the message of a refusal must have besides the file.
        named: what the message of a refusal begins with, of the path: the file itself by default.
        draw: makes content from nothing, in place of damaging a seed; for what is not a file.
        quick: how many are tried in the normal tests.
    """

    seeds: Callable[[], Files]
    read: Callable[[pathlib.Path], object]
    check: Callable[[object, pathlib.Path], None]
    changes: Sequence[Callable] = ()
    hostile: Callable[[], list[bytes]] = list
    place: re.Pattern = re.compile("")
    named: Callable[[pathlib.Path], pathlib.Path] = pathlib.Path
    draw: Callable[[random.Random], bytes] | None = None
    quick: int = 200
