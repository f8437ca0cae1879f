import string

import hypothesis
import pytest
from hypothesis import strategies

from dpig_tf2.records import schema, shards
from dpig_tf2.records.schema import RecordError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "Market1501_train_00000-of-00002.tfrecord",
        "Market1501_train_00001-of-00002.tfrecord",
        "Market1501_test_00000-of-00001.tfrecord",
        "DeepFashion_test_00000-of-00001.tfrecord",
        "pn_pairs_num_train.p",
    ):
        (tmp_path / name).touch()
    return tmp_path


def test_shards_in_order(folder):
    names = [path.name for path in shards.find_shards(folder, "train")]
    assert names == [f"Market1501_train_0000{i}-of-00002.tfrecord" for i in range(2)]


def test_prefix_decides_between_datasets(folder):
    (path,) = shards.find_shards(folder, "test", "DeepFashion")
    assert path.name.startswith("DeepFashion")
    with pytest.raises(RecordError, match="Market1501"):
        shards.find_shards(folder, "test")


def test_missing_shard_is_named(folder):
    (folder / "Market1501_train_00001-of-00002.tfrecord").unlink()
    with pytest.raises(RecordError, match="lacks shard 00001"):
        shards.find_shards(folder, "train")


def test_mixed_shard_counts_are_refused(folder):
    (folder / "Market1501_train_00000-of-00001.tfrecord").touch()
    with pytest.raises(RecordError, match="mixes shards"):
        shards.find_shards(folder, "train")


def test_a_folder_named_as_a_shard_is_no_shard(folder):
    odd = folder / "Market1501_train_00002-of-00002.tfrecord"
    odd.mkdir()
    assert odd not in shards.find_shards(folder, "train")
    (stray,) = shards.strays(folder)
    assert stray.startswith(str(odd))


def test_absent_split_says_what_is_there(folder):
    with pytest.raises(RecordError, match="validation.*Market1501_train"):
        shards.find_shards(folder, "validation")


def test_absent_folder_is_named(tmp_path):
    with pytest.raises(RecordError, match="nowhere does not exist"):
        shards.find_shards(tmp_path / "nowhere", "train")


def test_a_file_is_no_folder(folder):
    with pytest.raises(RecordError, match="tfrecord is a file, expected a folder"):
        shards.find_splits(folder / "DeepFashion_test_00000-of-00001.tfrecord")


# Names as `preparation` admits them.
NAMES = strategies.text(
    string.ascii_letters + string.digits + "_.-", min_size=1, max_size=12
).filter(lambda name: name[0] not in ".-_" and name[-1] != "_")
PREFIXES = strategies.sampled_from([v.file_prefix for v in schema.VARIANTS.values()])
OTHER_PREFIXES = NAMES.filter(lambda name: not name.startswith(("Market1501_", "DeepFashion_")))
KNOWN = strategies.sampled_from(shards.KNOWN_SPLITS)


@hypothesis.given(PREFIXES, NAMES)
def test_names_that_this_program_writes_are_read_exactly(prefix, split):
    assert shards.prefix_and_split(f"{prefix}_{split}") == (prefix, split)


@hypothesis.given(OTHER_PREFIXES, KNOWN)
def test_known_splits_of_any_dataset_are_read_exactly(prefix, split):
    assert shards.prefix_and_split(f"{prefix}_{split}") == (prefix, split)


@hypothesis.given(NAMES, NAMES)
@hypothesis.example("Market1501_mine", "train")
@hypothesis.example("My_hard", "test")
def test_what_is_asked_for_in_full_is_found(prefix, split):
    assert shards.prefix_and_split(f"{prefix}_{split}", split, prefix) == (prefix, split)


@hypothesis.given(NAMES, NAMES)
def test_no_name_is_torn_apart(prefix, split):
    assert "_".join(shards.prefix_and_split(f"{prefix}_{split}")) == f"{prefix}_{split}"


@pytest.mark.parametrize(
    "stem, wanted, expected",
    [
        ("My_Data_train", None, ("My_Data", "train")),
        ("My_Data_test_seq", None, ("My_Data", "test_seq")),
        ("My_Data_test_seq", "seq", ("My_Data", "test_seq")),
        ("My_hard_test", None, ("My_hard", "test")),
        ("My_hard_test", "hard_test", ("My", "hard_test")),
        ("Market1501_hard_test", None, ("Market1501", "hard_test")),
        ("Market1501_train_more", "more", ("Market1501", "train_more")),
        ("mine_evening", None, ("mine", "evening")),
    ],
)
def test_where_prefix_and_split_part(stem, wanted, expected):
    assert shards.prefix_and_split(stem, wanted) == expected


@pytest.mark.parametrize("prefix", [None, "My_Data"])
def test_a_dataset_with_underscores_is_found(tmp_path, prefix):
    path = tmp_path / schema.shard_name("My_Data", "train", 0, 1)
    path.touch()
    assert shards.find_shards(tmp_path, "train", prefix) == [path]
    assert list(shards.find_splits(tmp_path)) == [("My_Data", "train")]
