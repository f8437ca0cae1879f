import itertools
from unittest.mock import Mock

import numpy as np
import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import pairs

NAMES = ["a_1", "a_2", "b_1", "a_3"]


def named(blocks):
    return [(NAMES[source], NAMES[target]) for block in blocks for source, target in block]


def made(mode):
    return named(pairs.make_pairs(mode, [name[0] for name in NAMES]))


def test_same_identity_pairs_are_ordered_both_ways():
    assert made("same_identity") == [
        ("a_1", "a_2"), ("a_2", "a_1"), ("a_1", "a_3"), ("a_3", "a_1"), ("a_2", "a_3"),
        ("a_3", "a_2"),
    ]  # fmt: skip


def test_each_once_and_one_to_all():
    assert made("each_once") == [(name, "a_3") for name in NAMES]
    assert made("one_to_all") == [("a_1", name) for name in NAMES]


def test_all_to_all_pairs_an_image_with_itself_too():
    expected = [(source, target) for source in NAMES for target in NAMES]
    assert made("all_to_all") == expected


def test_unknown_mode():
    with pytest.raises(ValueError, match="'all'"):
        pairs.make_pairs("all", NAMES)


def test_some_per_image():
    identities = [person for person in "abcd" for i in range(5)] + ["e"]

    def chosen(seed):
        blocks = pairs.make_pairs("same_identity", identities, 2, seed)
        return [tuple(pair) for block in blocks for pair in block.tolist()]

    assert chosen(3) == chosen(3) != chosen(4)
    assert len(set(chosen(3))) == len(chosen(3)) == 40
    assert all(s != t and identities[s] == identities[t] for s, t in chosen(3))
    assert [source for source, _ in chosen(3)] == sorted([*range(20), *range(20)])
    assert {target for _, target in chosen(3)} != {0, 1, 2}


def test_some_of_very_many_images_are_drawn_alone(monkeypatch):
    """The time to draw all others for each image would grow with their square."""
    generator = Mock(wraps=np.random.default_rng(1))
    count = 10_001
    blocks = list(itertools.islice(pairs.some_targets(["a"] * count, 3, generator), 50))
    generator.permutation.assert_not_called()
    for source, block in enumerate(blocks):
        assert {*block[:, 0]} == {source} and source not in block[:, 1]
        assert len({*block[:, 1]}) == 3 and block.min() >= 0 and block.max() < count
    monkeypatch.setattr(pairs, "_LARGE_GROUP", 2)
    made = np.concatenate([*pairs.make_pairs("same_identity", "aaaba", 9)])
    assert len({*map(tuple, made.tolist())}) == len(made) == 12


def test_all_pairs_per_image_are_all_pairs():
    identities = [0, 1, 0, 0, 1]
    some, every = (
        {tuple(pair) for block in blocks for pair in block.tolist()}
        for blocks in (
            pairs.make_pairs("same_identity", identities, 9),
            pairs.make_pairs("same_identity", identities),
        )
    )
    assert some == every


@pytest.mark.parametrize(("mode", "count"), [("same_identity", 0), ("all_to_all", 2)])
def test_pairs_per_image_that_cannot_be(mode, count):
    with pytest.raises(DpigError) as raised:
        pairs.make_pairs(mode, NAMES, count)
    assert raised.value.field == "pairs_per_image"


class _Draws:
    def __init__(self, *values):
        self.values = list(values)

    def random(self):
        return self.values.pop(0)


def test_python2_shuffle_by_hand():
    # i = 3: j = int(0.3 * 4) = 1, i = 2: j = int(0.4 * 3) = 1, i = 1: j = int(0.9 * 2) = 1
    items = list("abcd")
    pairs.python2_shuffle(items, _Draws(0.3, 0.4, 0.9))
    assert items == ["a", "c", "d", "b"]


def test_pairs_csv(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("from,to\na_1,a_2\nb_1,a_3\n")
    assert pairs.read_pairs_csv(path) == [("a_1", "a_2"), ("b_1", "a_3")]
    path.write_text("from,to\na_1,\n")
    with pytest.raises(ValueError, match="pairs.csv line 2"):
        pairs.read_pairs_csv(path)


@pytest.mark.parametrize(
    "text",
    [
        "a_1,a_2\nb_1,a_3\n",
        "a_1;a_2\n\nb_1; a_3",
        "a_1\ta_2\nb_1\ta_3\n",
        "a_1 a_2\nb_1  a_3\n",
        "number,To,from\n0,a_2,a_1\n1,a_3,b_1\n",
        "source;target\na_1;a_2\nb_1;a_3\n",
        "\ufefffrom,to\na_1,a_2\nb_1,a_3\n",  # as a spreadsheet saves it
        "\n \nfrom,to\na_1,a_2\n,\nb_1,a_3\n",
        '"a_1","a_2"\n"b_1","a_3"\n',
    ],
)
def test_pairs_in_the_forms_that_people_have(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text, "utf-8")
    assert pairs.read_pairs_csv(path) == [("a_1", "a_2"), ("b_1", "a_3")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_may_hold_spaces_and_be_those_of_a_header(tmp_path, separator):
    path = tmp_path / "pairs.txt"
    expected = [("a 1", "b 1"), ("from", "to")]
    path.write_text("\n".join(map(separator.join, expected)))
    assert pairs.read_pairs_csv(path) == expected


def test_what_is_no_text_is_named(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("from,to\né,b\n".encode("latin-1"))
    with pytest.raises(DpigError, match="pairs.csv: no text in UTF-8") as raised:
        pairs.read_pairs_csv(path)
    assert raised.value.file == str(path)


_NO_PAIR = "pairs.csv: lists no pair, expected two names"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a_1\n", "pairs.csv line 1: expected two names"),
        ("a_1,a_2\nb_1,a_3,c_1\n", "pairs.csv line 2: expected two names"),
        ("a_1,a_2\nb_1 a_3\n", "pairs.csv line 2: expected two names"),
        ("", _NO_PAIR),
        ("\n", _NO_PAIR),
        ("from,to\n", _NO_PAIR),
    ],
)
def test_a_line_of_other_than_two_names_and_a_list_without_one_are_named(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(DpigError, match=message) as raised:
        pairs.read_pairs_csv(path)
    assert raised.value.file == str(path)
