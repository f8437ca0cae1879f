"""What check passes is read, and what it names is refused."""

import dataclasses
import importlib.util
import pathlib
import zlib

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.pipeline import screening
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.records import check, decoder, writer
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.testing import tiny_config
from tests.record_files import write_shard

HEIGHT, WIDTH = 64, 32
NAME = "Market1501_train_00000-of-00001.tfrecord"
MODEL = tiny_config().model
MUTATED = 200


def _mutate(example, seed):
    path = pathlib.Path(__file__).parents[1] / "fuzz/record_mutations.py"
    spec = importlib.util.spec_from_file_location("record_mutations", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.mutate(example, seed)


def changed(example, key, change):
    parsed = tf.train.Example.FromString(example)
    change(parsed.features.feature[key])
    return parsed.SerializeToString()


def with_keypoint(example, values, side=0):
    def change(feature):
        feature.float_list.value[:3] = values

    return changed(example, f"pose_peaks_{side}_rcv", change)


def with_values(example, key, values):
    return changed(example, key, lambda f: f.int64_list.value.__setitem__(slice(0, 4), values))


def without_pixels(feature):
    del feature.int64_list.value[:]


WRONG = {
    "outside": (lambda e: with_keypoint(e, [64, 5, 1]), "pose_peaks_0_rcv has a visible keypoint"),
    "far outside": (lambda e: with_keypoint(e, [5, 1e9, 1]), "pose_peaks_0_rcv has a visible"),
    "left": (lambda e: with_keypoint(e, [5, -1, 1], 1), "pose_peaks_1_rcv has a visible keypoint"),
    "missing, far": (lambda e: with_keypoint(e, [5, 1e9, 0]), "pose_peaks_0_rcv has coordinates"),
    "visibility": (lambda e: with_keypoint(e, [5, 5, 0.7]), "pose_peaks_0_rcv has a visibility"),
    "visibility 2": (lambda e: with_keypoint(e, [5, 5, 2]), "pose_peaks_0_rcv has a visibility"),
    "NaN": (lambda e: with_keypoint(e, [float("nan"), 5, 1]), "pose_peaks_0_rcv holds values that"),
    "box outside": (lambda e: with_values(e, "part_bbox_0", [0, 0, 64, 5]), "part_bbox_0 has a bo"),
    "box -1": (lambda e: with_values(e, "part_bbox_1", [-1, 0, 6, 5]), "part_bbox_1 has a box out"),
    "upside down": (
        lambda e: with_values(e, "part_bbox_0", [9, 0, 3, 5]),
        "part_bbox_0 has a box upside down",
    ),
    "part visibility": (
        lambda e: with_values(e, "part_vis_0", [1, -1, 0, 1]),
        "part_vis_0 holds a value that is neither 0 nor 1",
    ),
    "dtype": (
        lambda e: changed(e, "part_vis_1", lambda f: f.float_list.value.append(1.0)),
        "part_vis_1 holds float_list, expected int64_list",
    ),
    "unread dtype": (
        lambda e: changed(e, "pose_mask_r4_0", lambda f: f.bytes_list.value.append(b"1")),
        "pose_mask_r4_0 holds bytes_list, expected int64_list",
    ),
    "two names": (
        lambda e: changed(e, "image_name_0", lambda f: f.bytes_list.value.append(b"1")),
        "image_name_0 holds 2 values, expected 1",
    ),
    "empty mask": (
        lambda e: changed(e, "pose_mask_r6_0", without_pixels),
        "pose_mask_r6_0 holds 0 values, expected 2048",
    ),
}  # fmt: skip


def is_read(example, mask_radius=7):
    try:
        decoder.Decoder(HEIGHT, WIDTH, mask_radius)(tf.constant([example]))
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError):
        return False
    return True


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_refused(examples, name):
    change, message = WRONG[name]
    (problem,) = check.problems(change(examples[0]), (HEIGHT, WIDTH))
    assert problem.startswith(message)
    assert not any(is_read(change(examples[0]), radius) for radius in (None, 4, 7))


def test_the_place_of_a_fault_is_told(examples):
    example = with_keypoint(examples[0], [5, 1e9, 1])
    (problem,) = check.problems(example, (HEIGHT, WIDTH))
    assert problem.endswith("(number 0: 5 1e+09 1)")


@pytest.mark.parametrize("place", [(-0.9, 0, 1), (63.9, 31.9, 1), (0, 0, 0), (80, -20, 0)])
def test_pixels_of_the_image_are_inside(examples, place):
    example = with_keypoint(examples[0], place)
    assert not check.problems(example, (HEIGHT, WIDTH)) and is_read(example)


@pytest.mark.slow
def test_support_of_the_sparse_map_is_judged_by_record(tmp_path, examples):
    """Keypoints that only a later record lacks, and one record that has no map either."""

    def without(example, *keys):
        parsed = tf.train.Example.FromString(example)
        for key in keys:
            del parsed.features.feature[key]
        return parsed.SerializeToString()

    bare = without(examples[1], "pose_peaks_0_rcv")
    nothing = without(examples[2], "pose_peaks_1_rcv", "indices_r4_1")
    write_shard(tmp_path / NAME, [examples[0], bare, nothing])
    report = check.check_folder(tmp_path)
    (problem,) = report.problems
    assert "record 2: pose_peaks_1_rcv is missing, and so is indices_r4_1" in problem
    kept = screening.usable_records(RecordSet.open(tmp_path, "train"), MODEL, True)
    assert kept.numbers.tolist() == [0, 1] and len(kept.skipped) == 1
    (batch,) = evaluation_batches(kept, MODEL, 2).as_numpy_iterator()
    full = decoder.Decoder(HEIGHT, WIDTH)(tf.constant(examples[:2]))["source"]["keypoints"]
    np.testing.assert_array_equal(batch["source"]["keypoints"], full)


def test_no_memory_is_taken_for_a_far_keypoint(examples):
    """A batch with one is refused before a mask is drawn for it."""
    parsed = tf.train.Example.FromString(with_keypoint(examples[0], [1e9, 1e9, 1]))
    for key in ("pose_mask_r4_0", "pose_mask_r6_0"):
        del parsed.features.feature[key]
    assert not is_read(parsed.SerializeToString())


def test_image_headers_are_looked_at_before_decoding(examples):
    def huge(feature):
        content = feature.bytes_list.value[0]
        promised = (1 << 30).to_bytes(4, "big")
        feature.bytes_list.value[0] = content[:16] + promised * 2 + content[24:]

    example = changed(examples[0], "image_raw_0", huge)
    (problem,) = check.problems(example, (HEIGHT, WIDTH))
    assert problem.startswith("image_raw_0 cannot be decoded")
    assert not is_read(example)


def test_both_images_of_another_size_are_a_problem_of_the_record(tmp_path, examples):
    encoded = tf.io.encode_png(np.zeros((32, 16, 3), np.uint8)).numpy()
    small = examples[1]
    for key in ("image_raw_0", "image_raw_1"):
        small = changed(small, key, lambda f: f.bytes_list.value.__setitem__(0, encoded))
    write_shard(tmp_path / NAME, [examples[0], small])
    problems = check.check_folder(tmp_path).problems
    assert len(problems) == 2
    assert all("record 1: image_raw_" in p and "is 32 x 16 pixels" in p for p in problems)


@pytest.mark.slow
def test_mutated_records_are_judged_alike(tmp_path, examples):
    """Check, screening and reading agree on every one; values that are delivered keep to bounds."""
    mutated = [_mutate(examples[seed % 4], seed) for seed in range(MUTATED)]
    write_shard(tmp_path / NAME, [examples[0], *mutated])
    records = RecordSet.open(tmp_path, "train")
    passed = [not records.problems(number) for number in range(len(records))]
    kept = screening.usable_records(records, MODEL, skip_bad_records=True)
    assert kept.numbers.tolist() == np.flatnonzero(passed).tolist()
    assert len(kept) + len(kept.skipped) == len(records)
    report = check.check_folder(tmp_path)
    named = {line.split(":")[0].split()[-1] for line in report.problems}
    assert named == {str(number) for number in np.flatnonzero(~np.array(passed))}
    disagreeing = [
        number
        for number, example in enumerate([examples[0], *mutated])
        if is_read(example) != passed[number]
    ]
    assert disagreeing == []
    assert 0.2 < np.mean(passed) < 0.8  # both verdicts are tried
    for batch in evaluation_batches(kept, MODEL, 16).as_numpy_iterator():
        for person in batch.values():
            seen = person["keypoints"][..., 2] > 0
            places = person["keypoints"][..., :2]
            assert np.isin(person["keypoints"][..., 2], (0, 1)).all()
            assert ((places > -1) & (places < [HEIGHT, WIDTH]))[seen].all()
            assert np.isin(person["body_mask"], (0, 1)).all()
            assert np.isin(person["part_visibility"], (0, 1)).all()
            boxes = person["part_boxes"]
            assert (boxes >= 0).all() and (boxes <= [63, 31, 63, 31]).all()
            assert (boxes[..., :2] <= boxes[..., 2:]).all()


def test_writers_refuse_what_readers_refuse(persons):
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH))
    outside = persons[0].keypoints.copy()
    outside[3] = (200, 5, 1)
    for change, message in (
        ({"keypoints": outside}, "pose_peaks_1_rcv has a visible keypoint outside"),
        ({"attributes": np.arange(5)}, "attrs_1 holds 5 values"),
        ({"encoded": persons[0].encoded[:-40]}, "TensorFlow does not decode it"),
    ):
        wrong = dataclasses.replace(persons[0], **change)
        with pytest.raises(ValueError, match=message):
            list(encoder.encode([writer.Pair(persons[1], wrong)]))


def test_compressed_records_are_named_as_such(tmp_path, examples):
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(tmp_path / NAME), options) as file:
        file.write(examples[0])
    (problem, *_) = check.check_folder(tmp_path).problems
    assert "is compressed (gzip)" in problem and "damaged" not in problem
    with pytest.raises(ValueError, match="is compressed"):
        RecordSet.open(tmp_path, "train")
    (tmp_path / NAME).write_bytes(zlib.compress(bytes(100)))
    assert "is compressed (zlib)" in check.check_folder(tmp_path).problems[0]


def test_copies_of_record_files_are_mentioned(tmp_path, examples):
    copy = NAME.replace(".tfrecord", " (1).tfrecord")
    write_shard(tmp_path / NAME, examples)
    write_shard(tmp_path / copy, examples)
    report = check.check_folder(tmp_path)
    assert report.ok and any(copy in line for line in report.lines)
    (tmp_path / NAME).unlink()
    with pytest.raises(ValueError, match=r"not read: .*\(1\).tfrecord"):
        RecordSet.open(tmp_path, "train")
    (tmp_path / copy).unlink()
    (tmp_path / NAME).symlink_to("absent")
    with pytest.raises(ValueError, match=f"not read: .*{NAME} .it is no file"):
        RecordSet.open(tmp_path, "train")
