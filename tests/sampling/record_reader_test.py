"""Persons of records: each image once, under one name; bad ones are told."""

import numpy as np
import pytest

from dpig_tf2.sampling import record_reader
from dpig_tf2.sampling.record_reader import RecordReader


def persons(*given):
    """A side of a batch, from (name, level of the image) or (name, level, "unseen")."""
    count = len(given)
    keypoints = np.ones((count, 18, 3), np.float32)
    for row, (_, _, *unseen) in enumerate(given):
        keypoints[row, :, 2] = not unseen
    return {
        "name": np.array([name for name, *_ in given], object),
        "image": np.stack([np.full((64, 32, 3), level, np.uint8) for _, level, *_ in given]),
        "keypoints": keypoints,
        "identity": np.arange(count),
        "body_mask": np.zeros((count, 64, 32, 1)),
        "part_boxes": np.zeros((count, 7, 4)),
        "part_visibility": np.ones((count, 7)),
    }


A, B, C, OTHER_A = (b"a.jpg", 1), (b"b.jpg", 2), (b"c.jpg", 3), (b"a.jpg", 9)
UNSEEN = (b"u.jpg", 5, "unseen")


class _Batches:
    """What `evaluation_batches` gives; remembers what it was asked for."""

    def __init__(self, *batches):
        self._batches, self.asked = batches, None

    def __call__(self, records, model, batch_size, limit, skip_bad_records):
        self.asked = batch_size, limit, skip_bad_records
        return self

    def as_numpy_iterator(self):
        for sources, targets in self._batches:
            yield {"source": persons(*sources), "target": persons(*targets)}


@pytest.fixture
def open_reader(tiny_config, synthetic_data, monkeypatch):
    def opened(*batches, **options):
        monkeypatch.setattr(record_reader, "evaluation_batches", _Batches(*batches))
        return RecordReader(str(synthetic_data), "test", tiny_config.model, 7, **options)

    return opened


def names(batches):
    return [batch.names for batch in batches]


def test_every_image_comes_once(open_reader):
    reader = open_reader(([A, A, B], [B, C, A]), ([A, B], [C, C]), ([C], [A]))
    found = list(reader.persons())
    assert names(found) == [("a", "b"), ("c",)]
    assert found[0].images[:, 0, 0, 0].tolist() == [1, 2]
    assert found[0].identities == ("0", "2")
    assert set(found[0].parts) == {"body_mask", "part_boxes", "part_visibility"}
    assert reader.done == 6
    assert [path.name for path in reader.files] == ["manifest_Market1501_test.json"]
    assert reader.files[0].exists()


def test_both_sides_count_each_target_behind_its_source(open_reader):
    reader = open_reader(([A, B, C], [C, OTHER_A, A]), both_sides=True)
    assert names(reader.persons()) == [("a", "c", "b", "a-2")]


def test_a_limit_is_one_of_persons(open_reader):
    reader = open_reader(([A, A], [B, B]), ([B, C], [A, A]), ([A], [A]), limit=2)
    assert names(reader.persons()) == [("a",), ("b",)]
    assert (reader.done, reader.total) == (2, 2)
    assert record_reader.evaluation_batches.asked == (7, None, False)


def test_a_limit_of_pairs_is_one_of_records(open_reader):
    reader = open_reader(([A], [B]), limit=2, skip_bad_records=True)
    ((sources, targets),) = reader.pairs()
    assert sources.names + targets.names == ("a", "b")
    assert record_reader.evaluation_batches.asked == (7, 2, True)


def test_another_image_of_the_same_name_gets_another_one(open_reader):
    unnamed = (b"", 1), (b"", 2)
    reader = open_reader(([A, OTHER_A, *unnamed], [OTHER_A, A, *reversed(unnamed)]))
    ((sources, targets),) = reader.pairs()
    assert sources.names == ("a", "a-2", "image_000002", "image_000003")
    assert targets.names == ("a-2", "a", "image_000003", "image_000002")


def test_the_same_image_with_other_keypoints_is_another_person(open_reader):
    moved = persons(A)
    moved["keypoints"] += 1
    reader = open_reader()
    assert reader._name(persons(A), 0) == "a" and reader._name(moved, 0) == "a-2"


def test_who_is_not_seen_is_told_once_and_left_out(open_reader):
    reader = open_reader(([UNSEEN, A], [A, B]), ([UNSEEN], [B]))
    assert names(reader.persons()) == [("a",)]
    assert reader.skipped == ["u: not one keypoint is visible"]


def test_pairs_of_who_is_not_seen_are_left_out(open_reader):
    reader = open_reader(([UNSEEN, A, B], [A, UNSEEN, C]))
    ((sources, targets),) = reader.pairs()
    assert (sources.names, targets.names) == (("b",), ("c",))
    assert reader.done == 3 and len(reader.skipped) == 2
