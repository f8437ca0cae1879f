import functools
import pathlib
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest

from dpig_tf2.preparation.pairs import python2_shuffle
from dpig_tf2.preparation.store import PairFile, Store, load, naming


def test_objects_are_found_where_they_were_put(tmp_path):
    store = Store(tmp_path / "store")
    places = [store.add(pickle.dumps(value)) for value in ({"a": 1}, "text", np.arange(3))]
    store.close()
    read = functools.partial(load, tmp_path / "store")
    np.testing.assert_array_equal(read(places[2]), [0, 1, 2])
    assert read(places[0]) == {"a": 1} and read(places[1]) == "text"


def test_a_full_disk_is_named():
    full = pathlib.Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    store, pairs = Store(full), PairFile(full)
    named = "No space left on device: '/dev/full'"
    with pytest.raises(OSError, match=named), naming(pathlib.Path("the file around it")):
        store.add(bytes(1 << 20))
    store.add(b"in the buffer")
    with pytest.raises(OSError, match=named):
        store.close()
    with pytest.raises(OSError, match=named):
        pairs.append(np.zeros((1 << 17, 2)))
    pairs.append([[0, 1]])
    with pytest.raises(OSError, match=named):
        list(pairs.blocks())
    with pytest.raises(OSError, match=named):
        pairs.shuffle(random.Random(0))


@pytest.fixture
def pairs(tmp_path):
    pairs = PairFile(tmp_path / "pairs")
    for start in range(0, 70_000, 1000):
        pairs.append(np.arange(2 * start, 2 * start + 2000).reshape(-1, 2))
    return pairs


def listed(pairs):
    return [tuple(pair) for block in pairs.blocks() for pair in block.tolist()]


def test_pairs_come_back(pairs):
    assert len(pairs) == 70_000
    assert listed(pairs) == [(2 * i, 2 * i + 1) for i in range(70_000)]


def test_shuffled_in_the_file_as_a_list_would_be(pairs):
    expected = listed(pairs)
    python2_shuffle(expected, random.Random(3))
    pairs.shuffle(random.Random(3))
    assert listed(pairs) == expected


def test_nothing_to_shuffle(tmp_path):
    empty = PairFile(tmp_path / "empty")
    empty.shuffle(random.Random(0))
    assert not len(empty) and not listed(empty)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_identities_by_first_appearance(tmp_path, monkeypatch, block):
    monkeypatch.setattr("dpig_tf2.preparation.store._BLOCK", block)
    pairs = PairFile(tmp_path / "pairs")
    pairs.append([[1, 0], [0, 2], [1, 2]])
    assert pairs.numbered(["a", "b", "c", "d"]) == {"b": 0, "a": 1, "c": 2}
    assert pairs.numbered(["a", "b", "b", "d"]) == {"b": 0, "a": 1}


_PEAK = """
import random, re, sys
from dpig_tf2.preparation.pairs import make_pairs
from dpig_tf2.preparation.store import PairFile
pairs = PairFile(__import__("pathlib").Path(sys.argv[1]))
identities = [image // int(sys.argv[2]) for image in range(4000)]
for block in make_pairs("same_identity", identities):
    pairs.append(block)
pairs.shuffle(random.Random(0))
pairs.numbered(identities)
status = open("/proc/self/status").read()
kilobytes = int(re.search(r"RssAnon:\\s+(\\d+)", status)[1])
print(len(pairs), kilobytes)
"""


def test_memory_does_not_grow_with_the_pairs(tmp_path):
    """Pairs are listed, shuffled and numbered: 80 MB of them take no more memory than 0.3 MB."""
    taken = {}
    for images_each in (10, 2500):
        command = [sys.executable, "-c", _PEAK, str(tmp_path / "pairs"), str(images_each)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        count, kilobytes = map(int, told.split())
        taken[count] = kilobytes
    few, many = sorted(taken)
    assert few == 36_000 and many > 8_000_000
    assert taken[many] < taken[few] + 8000
