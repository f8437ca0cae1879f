import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import pairs

NAMES = ["a_1", "a_2", "b_1", "a_3"]


def identity(name):
    return name[0]


def test_same_identity_pairs_are_ordered_both_ways():
    expected = [
        ("a_1", "a_2"), ("a_2", "a_1"), ("a_1", "a_3"), ("a_3", "a_1"), ("a_2", "a_3"),
        ("a_3", "a_2"),
    ]  # fmt: skip
    assert pairs.make_pairs("same_identity", NAMES, identity) == expected


def test_each_once_and_one_to_all():
    assert pairs.make_pairs("each_once", NAMES, identity) == [(name, "a_3") for name in NAMES]
    assert pairs.make_pairs("one_to_all", NAMES, identity) == [("a_1", name) for name in NAMES]


def test_all_to_all_pairs_an_image_with_itself_too():
    expected = [(source, target) for source in NAMES for target in NAMES]
    assert pairs.make_pairs("all_to_all", NAMES, identity) == expected


def test_unknown_mode():
    with pytest.raises(ValueError, match="'all'"):
        pairs.make_pairs("all", NAMES, identity)


def test_some_per_image():
    names = [f"{person}_{i}" for person in "ab" for i in range(5)]
    chosen = pairs.some_per_image(names, identity, 2, seed=3)
    assert chosen == pairs.some_per_image(names, identity, 2, seed=3)
    assert chosen != pairs.some_per_image(names, identity, 2, seed=4)
    assert len(set(chosen)) == len(chosen) == 20
    assert all(source != target and source[0] == target[0] for source, target in chosen)
    assert {source for source, _ in chosen} == set(names)


class _Draws:
    def __init__(self, *values):
        self.values = list(values)

    def random(self):
        return self.values.pop(0)


def test_python2_shuffle_by_hand():
    # i = 3: j = int(0.3 * 4) = 1, i = 2: j = int(0.9 * 3) = 2, i = 1: j = int(0.0 * 2) = 0
    assert pairs.python2_shuffle("abcd", _Draws(0.3, 0.9, 0.0)) == ["d", "a", "c", "b"]


def test_identities_by_first_appearance():
    listed = [("b_1", "a_1"), ("a_1", "c_1"), ("b_1", "c_1")]
    assert pairs.number_identities(listed, identity) == {"b": 0, "a": 1, "c": 2}


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
    ],
)
def test_pairs_in_the_forms_that_people_have(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    assert pairs.read_pairs_csv(path) == [("a_1", "a_2"), ("b_1", "a_3")]


@pytest.mark.parametrize("text", ["a_1\n", "a_1,a_2\nb_1,a_3,c_1\n", "a_1,a_2\nb_1 a_3\n"])
def test_a_line_of_other_than_two_names_is_named(tmp_path, text):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(DpigError, match="line") as raised:
        pairs.read_pairs_csv(path)
    assert raised.value.file == str(path)
