import types

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.serving import verification
from dpig_tf2.serving.formats import ExportError
from dpig_tf2.serving.signatures import available_signatures


@pytest.mark.slow
def test_recorded_persons_are_distinct(tiny_config, synthetic_data):
    """Every photo is the source of three pairs in turn."""
    records = RecordSet.open(synthetic_data, "train")
    found = verification.recorded_persons(records, tiny_config.model, 5)
    assert found["images"].shape == (5, 64, 32, 3) and found["images"].dtype == np.uint8
    assert found["keypoints"].shape == (5, 18, 3)
    assert len(np.unique(found["images"], axis=0)) == 5
    every = verification.recorded_persons(records, tiny_config.model, 100)
    assert len(every["images"]) == len(np.unique(every["images"], axis=0)) == 24


def test_persons_take_the_pose_of_the_next_one(sampler):
    """In their own poses, a mix-up of poses and targets would not be seen."""
    persons = verification.synthetic_persons(sampler.config.model, 3)
    signature = available_signatures(sampler.model)[0]["transfer"]
    inputs = verification.inputs_of(signature, sampler, persons)
    np.testing.assert_array_equal(inputs["keypoints"], persons["keypoints"])
    np.testing.assert_array_equal(inputs["target_keypoints"], persons["keypoints"][[1, 2, 0]])


def test_pictures_may_differ_by_a_level(sampler):
    persons = verification.synthetic_persons(sampler.config.model, 2)

    def run(inputs):
        images = sampler.transfer(**inputs)
        images[0, 0, 0, 0] ^= 8
        return {"images": images}

    signature = available_signatures(sampler.model)[0]["transfer"]
    found = verification.differences(signature, sampler, run, persons)["images"]
    assert 7 <= found["max"] <= 9 and found["allowed"] == 1


def test_codes_may_differ_by_a_share_of_their_largest_number(sampler):
    persons = verification.synthetic_persons(sampler.config.model, 2)
    codes = sampler.encode_pose(persons["keypoints"])
    signature = available_signatures(sampler.model)[0]["encode_pose"]
    found = verification.differences(
        signature, sampler, lambda _: {"pose": codes + np.float32(0.25)}, persons
    )["pose"]
    assert found["allowed"] == pytest.approx(1e-3 * max(1, np.abs(codes).max()))
    assert (found["mean"], found["max"]) == pytest.approx((0.25, 0.25), abs=1e-4)


def test_the_largest_difference_is_that_of_all_pictures():
    found = [
        {"images": {"mean": 1.0, "max": 3.0}, "pose": {"mean": 50.0, "max": 90.0}},
        {"image_bytes": {"mean": 2.0, "max": 2.5}},
    ]
    assert verification.largest(found) == {"mean": 1.5, "max": 3.0}
    assert verification.largest([{"pose": found[0]["pose"]}]) == {}


def test_persons_of_the_calibration_are_others_than_those_of_the_verification(tiny_config):
    three = verification.synthetic_persons(tiny_config.model, 3)
    last = verification.synthetic_persons(tiny_config.model, 1, skip=2)
    for name, array in three.items():
        np.testing.assert_array_equal(last[name][0], array[2])
    assert len(np.unique(three["images"], axis=0)) == 3


@pytest.fixture
def recorded(tiny_config, monkeypatch):
    """Persons of records of which the given number have visible keypoints, the last ones."""

    def persons(seen):
        images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((8, 4, 3), np.uint8)
        keypoints = np.zeros((6, 18, 3), np.float32)
        keypoints[6 - seen :, 0] = 1.0
        source = {"image": images, "keypoints": keypoints}
        batches = tf.data.Dataset.from_tensor_slices({"source": source}).batch(4)
        monkeypatch.setattr(verification, "evaluation_batches", lambda *_: batches)
        records = types.SimpleNamespace(paths=["some.tfrecord"])
        return verification.recorded_persons(records, tiny_config.model, 4)

    return persons


def test_persons_without_a_visible_keypoint_are_left_out(recorded):
    found = recorded(seen=3)
    assert found["images"][:, 0, 0, 0].tolist() == [3, 4, 5]
    assert found["keypoints"][..., 2].sum() == 3


def test_records_without_any_visible_keypoint_are_refused(recorded):
    with pytest.raises(ExportError, match="not one person has a visible keypoint") as caught:
        recorded(seen=0)
    assert caught.value.file == "some.tfrecord"
