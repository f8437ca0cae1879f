import pytest

from dpig_tf2.records import files
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
    names = [path.name for path in files.find_shards(folder, "train")]
    assert names == [f"Market1501_train_0000{i}-of-00002.tfrecord" for i in range(2)]


def test_prefix_decides_between_datasets(folder):
    (path,) = files.find_shards(folder, "test", "DeepFashion")
    assert path.name.startswith("DeepFashion")
    with pytest.raises(RecordError, match="Market1501"):
        files.find_shards(folder, "test")


def test_missing_shard_is_named(folder):
    (folder / "Market1501_train_00001-of-00002.tfrecord").unlink()
    with pytest.raises(RecordError, match="lacks shard 00001"):
        files.find_shards(folder, "train")


def test_mixed_shard_counts_are_refused(folder):
    (folder / "Market1501_train_00000-of-00001.tfrecord").touch()
    with pytest.raises(RecordError, match="mixes shards"):
        files.find_shards(folder, "train")


def test_absent_split_says_what_is_there(folder):
    with pytest.raises(RecordError, match="validation.*Market1501_train"):
        files.find_shards(folder, "validation")


def test_absent_folder_is_named(tmp_path):
    with pytest.raises(RecordError, match="nowhere does not exist"):
        files.find_shards(tmp_path / "nowhere", "train")
