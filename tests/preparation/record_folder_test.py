import itertools
import json
import os
import types

import pytest
import tensorflow as tf

from dpig_tf2 import progress
from dpig_tf2.errors import DpigError
from dpig_tf2.io import crc32c
from dpig_tf2.io.locks import LockedError
from dpig_tf2.io.manifests import OutputError
from dpig_tf2.preparation import record_folder
from dpig_tf2.preparation.record_folder import Output
from tests.record_files import write_shard


class Encoder:
    """Stands for the real encoder; fails when told to."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.encoded = []

    def encode(self, start, stop):
        for pair in range(start, stop):
            if pair == self.fails_at:
                raise KeyboardInterrupt
            self.encoded.append(pair)
            example = f"example {pair}".encode()
            yield example, crc32c.crc32c(example)


def write(folder, encoder, overwrite=False, count=10, shards=3, **settings):
    output = Output(folder, "Market1501", "train", shards, overwrite)
    with record_folder.claimed(output):
        return record_folder.write_shards(output, count, encoder.encode, {"seed": 1} | settings)


def content(folder):
    paths = sorted(folder.glob("*.tfrecord"))
    return [raw.numpy().decode() for path in paths for raw in tf.data.TFRecordDataset(str(path))]


def test_shards_and_manifest(tmp_path):
    written = write(tmp_path, Encoder())
    assert (written.examples, len(written.shards), written.reused) == (10, 3, 0)
    assert content(tmp_path) == [f"example {i}" for i in range(10)]
    manifest = json.loads((tmp_path / "manifest_Market1501_train.json").read_text())
    assert manifest["finished"] and manifest["settings"]["seed"] == 1
    counts = [entry["examples"] for entry in manifest["files"].values()]
    assert counts == [3, 3, 4]
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"].values())


def test_interrupted_run_continues_at_its_shard(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Encoder(fails_at=4))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "Market1501_train_00000-of-00003.tfrecord",
        "manifest_Market1501_train.json",
    ]
    encoder = Encoder()
    assert write(tmp_path, encoder).reused == 1
    assert encoder.encoded == list(range(3, 10))
    assert content(tmp_path) == [f"example {i}" for i in range(10)]


def test_killed_between_shard_and_manifest(tmp_path):
    """A shard that the manifest does not know, as after a kill at the worst moment."""
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Encoder(fails_at=0))
    assert [path.name for path in tmp_path.iterdir()] == ["manifest_Market1501_train.json"]
    shard = tmp_path / "Market1501_train_00000-of-00003.tfrecord"
    write_shard(shard, [b"not noted"])
    assert write(tmp_path, Encoder()).reused == 0
    assert content(tmp_path) == [f"example {i}" for i in range(10)]


def test_damaged_shard_is_written_again(tmp_path):
    write(tmp_path, Encoder())
    shard = tmp_path / "Market1501_train_00001-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1])
    encoder = Encoder()
    assert write(tmp_path, encoder).reused == 2
    assert encoder.encoded == [3, 4, 5]


def test_splits_with_longer_names_are_left_alone(tmp_path):
    other = tmp_path / "Market1501_train_more_00000-of-00001.tfrecord"
    write_shard(other, [b"precious"])
    write(tmp_path, Encoder())
    write(tmp_path, Encoder(), overwrite=True)
    assert other.exists()


@pytest.mark.parametrize("split", ["", "a/b", ".."])
def test_split_must_be_a_name(tmp_path, split):
    with pytest.raises(DpigError) as raised:
        Output(tmp_path, "Market1501", split)
    assert raised.value.field == "split"


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    """Of every file that it writes; those of another split may be of a run that is at work."""

    def temporaries(split):
        name = f"Market1501_{split}"
        scratch = Output(tmp_path, "Market1501", split).scratch_name
        shards = [f"{name}_00000-of-00003{ending}" for ending in (".tfrecord", ".photos.tfrecord")]
        files = [*shards, f"{name}.pairs", f"manifest_{name}.json", f"{scratch}views0"]
        return {tmp_path / f".{file}.123.tmp" for file in files}

    other = temporaries("train_more") | temporaries("train.v2") | temporaries("train_2")
    below = tmp_path / "below"  # has a lock of its own
    below.mkdir()
    other |= {below / path.name for path in temporaries("train")}
    for path in other | temporaries("train"):
        path.write_bytes(b"half")
    write(tmp_path, Encoder())
    assert set(tmp_path.rglob(".*")) == other


def test_finished_folder_is_not_redone(tmp_path):
    write(tmp_path, Encoder())
    encoder = Encoder()
    assert write(tmp_path, encoder).reused == 3
    assert encoder.encoded == []


def test_other_settings_are_refused_by_name(tmp_path):
    write(tmp_path, Encoder())
    for other, field in (({"seed": 2}, "seed"), ({"shards": 2}, "shards")):
        with pytest.raises(OutputError) as raised:
            write(tmp_path, Encoder(), **other)
        assert raised.value.field == field
    assert len(content(tmp_path)) == 10


def test_overwrite_keeps_what_is_right_already(tmp_path):
    write(tmp_path, Encoder())
    assert write(tmp_path, Encoder(), overwrite=True).reused == 3


def test_overwrite_replaces(tmp_path):
    write(tmp_path, Encoder())
    write(tmp_path, Encoder(), overwrite=True, shards=1, seed=2)
    assert len(list(tmp_path.glob("*.tfrecord"))) == 1
    assert write(tmp_path, Encoder(), shards=1, seed=2).reused == 1


def test_files_of_unknown_origin_are_kept(tmp_path):
    write_shard(tmp_path / "Market1501_train_00000-of-00001.tfrecord", [b"precious"])
    with pytest.raises(OutputError, match="of unknown origin"):
        write(tmp_path, Encoder())
    assert content(tmp_path) == ["precious"]


def test_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest_Market1501_train.json").write_text("{}")
    with pytest.raises(OutputError) as raised:
        write(tmp_path, Encoder())
    assert raised.value.file == str(tmp_path / "manifest_Market1501_train.json")


def test_too_many_shards(tmp_path):
    with pytest.raises(DpigError, match="cannot cut 2 examples into 3 shards") as raised:
        write(tmp_path, Encoder(), count=2)
    assert raised.value.field == "num_shards"


def test_more_shards_than_names_can_tell(tmp_path):
    Output(tmp_path, "Market1501", "train", 99_999)
    with pytest.raises(DpigError, match="num_shards must be at most 99999, got 100000") as raised:
        Output(tmp_path, "Market1501", "train", 100_000)
    assert raised.value.field == "num_shards"


def test_a_second_writer_is_told_of_the_first(tmp_path):
    class Second(Encoder):
        def encode(self, start, stop):
            with pytest.raises(LockedError, match=f"by process {os.getpid()} on"):
                write(tmp_path, Encoder())
            return super().encode(start, stop)

    write(tmp_path, Second())
    assert content(tmp_path) == [f"example {i}" for i in range(10)]
    assert not list(tmp_path.glob(".*"))


class Late:
    """Stands for processes that tell how much is done when all of it is."""

    def each(self, function, tasks, report):
        for task in tasks:
            yield task, function(*task)
        report(sum(stop - start for *_, start, stop in tasks))


def test_the_rate_is_that_of_what_this_run_has_written(tmp_path, monkeypatch, capsys):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Encoder(fails_at=4))
    capsys.readouterr()
    seconds = types.SimpleNamespace(monotonic=itertools.count().__next__)
    monkeypatch.setattr(progress, "time", seconds)
    output = Output(tmp_path, "Market1501", "train", 3)
    with record_folder.claimed(output):
        record_folder.write_shards(output, 10, Encoder().encode, {"seed": 1}, workers=Late())
    assert ": 10/10,  7.00it/s, " in capsys.readouterr().err  # 3 were written before
