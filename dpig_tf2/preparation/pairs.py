"""Which images form a pair."""

import itertools
import random
import re
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from dpig_tf2.errors import DpigError

PairList = list[tuple[str, str]]
_PAIR_COLUMNS = (("from", "to"), ("source", "target"))  # of a header
_AROUND_NAMES = re.compile(r'^[\s"]+|[\s"]+$')
PAIR_MODES = ("same_identity", "each_once", "one_to_all", "all_to_all")


def make_pairs(mode: str, names: Sequence[str], identity: Callable[[str], Hashable]) -> PairList:
    """Ordered (source, target) pairs of image names.

    Args:
        mode: "same_identity", every ordered pair of two images of one person; "each_once", every
            image once as the source, the last image being the target; "one_to_all", the first image
            with every image; "all_to_all", every image with every image, itself included.
        names: in the order in which pairs are wanted.
        identity: the person of a name.

    Raises:
        DpigError: if the mode is unknown.
    """
    if mode == "same_identity":
        return same_identity(names, identity)
    if mode == "each_once":
        return [(name, names[-1]) for name in names]
    if mode == "one_to_all":
        return [(names[0], name) for name in names]
    if mode == "all_to_all":
        return list(itertools.product(names, names))
    raise DpigError(f"pairs must be one of {', '.join(PAIR_MODES)}; got {mode!r}", field="pairs")


def same_identity(names: Sequence[str], identity: Callable[[str], Hashable]) -> PairList:
    """Every pair of two images of one person, both ways round, person by person."""
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        groups.setdefault(identity(name), []).append(name)
    pairs = []
    for group in groups.values():
        for i, first in enumerate(group):
            for second in group[i + 1 :]:
                pairs += [(first, second), (second, first)]
    return pairs


def some_per_image(
    names: Sequence[str], identity: Callable[[str], Hashable], count: int, seed: int
) -> PairList:
    """Same-identity pairs, each image being the source of `count` of them at most, shuffled."""
    generator = np.random.default_rng(seed)
    targets: dict[str, list[str]] = {}
    for source, target in same_identity(names, identity):
        targets.setdefault(source, []).append(target)
    pairs = [
        (source, others[i])
        for source, others in targets.items()
        for i in generator.permutation(len(others))[:count]
    ]
    return [pairs[i] for i in generator.permutation(len(pairs))]


def read_pairs_csv(path) -> PairList:
    """The (from, to) rows of a file of pairs.

    Fields are separated by commas, semicolons, tabs or spaces; a header "from,to" or
    "source,target" is not needed, and further columns are passed over if there is one.

    Raises:
        DpigError: naming the file and line, if a row does not hold two names.
    """
    with open(path, encoding="utf-8-sig") as file:
        try:
            lines = file.read().splitlines()
        except UnicodeDecodeError as error:
            raise DpigError(f"{path}: no text in UTF-8: {error}", file=path) from error
    first = next((line for line in lines if line.strip()), "")
    separator = next((mark for mark in ",;\t" if mark in first), None)  # None: any white space
    columns, width, pairs = (0, 1), 2, []
    for number, line in enumerate(lines, 1):
        fields = [_AROUND_NAMES.sub("", field) for field in line.split(separator)]
        if not any(fields):
            continue
        names = list(map(str.lower, fields))
        header = next((pair for pair in _PAIR_COLUMNS if {*pair} <= {*names}), None)
        if line is first and header:
            columns = tuple(map(names.index, header))
            width = len(fields)
            continue
        if len(fields) != width or not all(fields[column] for column in columns):
            raise DpigError(
                f"{path} line {number}: expected two names, from and to; got {line[:80]!r}",
                file=path,
            )
        pairs.append((fields[columns[0]], fields[columns[1]]))
    return pairs


def python2_shuffle(items: Sequence, generator: random.Random) -> list:
    """The order that Python 2's `random.shuffle` gives: the release's order of records.

    Python 3 draws the same numbers but picks its indices by another rule.
    """
    items = list(items)
    for i in reversed(range(1, len(items))):
        j = int(generator.random() * (i + 1))
        items[i], items[j] = items[j], items[i]
    return items


def number_identities(pairs: PairList, identity: Callable[[str], Hashable]) -> dict[Hashable, int]:
    """Index of each person by first appearance in the list of pairs."""
    indices: dict[Hashable, int] = {}
    for pair in pairs:
        for name in pair:
            indices.setdefault(identity(name), len(indices))
    return indices
