"""Which images form a pair.

Images are numbers here, and pairs come in blocks int64 [n, 2] of (source, target), so that their
number is limited by files and not by memory.
"""

import collections
import random
import re
from collections.abc import Hashable, Iterator, MutableSequence, Sequence

import numpy as np

from dpig_tf2.errors import DpigError

_PAIR_COLUMNS = (("from", "to"), ("source", "target"))  # of a header
_AROUND_NAMES = re.compile(r'^[\s"]+|[\s"]+$')
_LARGE_GROUP = 10_000  # photos of one person, from which it takes too long to draw all to keep few
PAIR_MODES = ("same_identity", "each_once", "one_to_all", "all_to_all")


def make_pairs(
    mode: str, identities: Sequence[Hashable], per_image: int | None = None, seed: int = 0
) -> Iterator[np.ndarray]:
    """Ordered pairs of images, in blocks.

    Args:
        mode: "same_identity", every ordered pair of two images of one person; "each_once", every
            image once as the source, the last image being the target; "one_to_all", the first image
            with every image; "all_to_all", every image with every image, itself included.
        identities: the person of each image.
        per_image: of "same_identity", how many pairs each image is the source of at most; which,
            the seed decides.
        seed: see `per_image`.

    Raises:
        DpigError: if the mode is unknown, or has all its pairs.
    """
    if mode not in PAIR_MODES:
        raise DpigError(
            f"pairs must be one of {', '.join(PAIR_MODES)}; got {mode!r}", field="pairs"
        )
    count = len(identities)
    if per_image is not None:
        if mode != "same_identity":
            raise DpigError(
                f"pairs_per_image goes with same_identity pairs; these are {mode}",
                field="pairs_per_image",
            )
        return some_targets(identities, per_image, np.random.default_rng(seed))
    if mode == "same_identity":
        return _same_identity(identities)
    sources = range(1 if mode == "one_to_all" else count)
    targets = np.array([count - 1]) if mode == "each_once" else np.arange(count)
    return (np.stack([np.full_like(targets, source), targets], axis=1) for source in sources)


def _same_identity(identities):
    """Every pair of two images of one person, both ways round, person by person."""
    for group in _groups(identities):
        for i, first in enumerate(group[:-1]):
            later = group[i + 1 :]
            both = np.stack([np.full_like(later, first), later], axis=1)
            yield np.stack([both, both[:, ::-1]], axis=1).reshape(-1, 2)


def some_targets(
    identities: Sequence[Hashable], count: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Same-identity pairs in blocks, each image being the source of `count` of them at most.

    Raises:
        DpigError: if the count is below 1.
    """
    if count < 1:
        raise DpigError(f"pairs_per_image must be at least 1, got {count}", field="pairs_per_image")
    return _some_targets(identities, count, generator)


def _some_targets(identities, count, generator):
    for group in _groups(identities):
        if len(group) < 2:
            continue
        for i, source in enumerate(group):
            chosen = _some(len(group) - 1, count, generator)
            targets = group[chosen + (chosen >= i)]  # the image itself is passed over
            yield np.stack([np.full_like(targets, source), targets], axis=1)


def _some(number, count, generator):
    """`count` of the whole numbers below `number`, or all of them, in random order."""
    if number < _LARGE_GROUP:  # whose pairs stay those of earlier versions
        return generator.permutation(number)[:count]
    return generator.choice(number, min(count, number), replace=False)


def _groups(identities):
    """The images of each person, int64, by first appearance."""
    groups: dict[Hashable, list[int]] = collections.defaultdict(list)
    for image, identity in enumerate(identities):
        groups[identity].append(image)
    return (np.array(group) for group in groups.values())


def read_pairs_csv(path) -> list[tuple[str, str]]:
    """The (from, to) rows of a file of pairs.

    Fields are separated by commas, semicolons, tabs or spaces; a header "from,to" or
    "source,target" is not needed, and further columns are passed over if there is one.

    Raises:
        DpigError: naming the file and line, if a row does not hold two names, or there is none.
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
    if not pairs:
        raise DpigError(f"{path}: lists no pair, expected two names a line", file=path)
    return pairs


def python2_shuffle(items: MutableSequence | memoryview, generator: random.Random) -> None:
    """Brings items into the order of Python 2's `random.shuffle`: the release's order of records.

    Python 3 draws the same numbers but picks its indices by another rule.
    """
    for i in reversed(range(1, len(items))):
        j = int(generator.random() * (i + 1))
        items[i], items[j] = items[j], items[i]
