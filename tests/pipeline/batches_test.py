import dataclasses
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.config import ConfigError
from dpig_tf2.ops import pose_maps, regions
from dpig_tf2.pipeline import batches as pipeline
from dpig_tf2.pipeline import parser, reading
from dpig_tf2.pipeline.cache import count_distinct_images
from dpig_tf2.pipeline.screening import usable_records
from dpig_tf2.pipeline.training_data import Poses, RecordPairs
from dpig_tf2.preparation import synthetic_records
from dpig_tf2.records import index
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError
from tests.record_files import write_shard

MODEL = dataclasses.replace(config.preset("synthetic").model, height=64, width=32, mask_radius=4)
EXAMPLES = 24


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    synthetic_records.write(
        folder,
        identities=4,
        images_per_identity=3,
        pairs_per_image=2,
        num_shards=3,
        height=64,
        width=32,
    )
    return folder


@pytest.fixture(scope="module")
def records(data_dir):
    return RecordSet.open(data_dir, "train")


# Building a dataset takes a second or more, so most tests compare with these batches.
OPTIONS = {"batch_size": 7, "seed": 5}


@pytest.fixture(scope="module")
def whole(records):
    """Seven epochs: 24 batches of 7 out of 24 examples."""
    return take(pipeline.training_batches(records, MODEL, **OPTIONS), EXAMPLES)


@pytest.fixture(scope="module")
def stored(records):
    """All examples in file order."""
    return list(pipeline.evaluation_batches(records, MODEL, 5).as_numpy_iterator())


def rewritten(data_dir, tmp_path, change):
    """A folder with the records that `change` makes from the list of all serialized examples."""
    examples = change([raw for _, raw in RecordSet.open(data_dir, "train").reader.scan()])
    write_shard(tmp_path / "Market1501_train_00000-of-00001.tfrecord", examples)
    return RecordSet.open(tmp_path, "train")


def hidden(examples, kept):
    """Examples whose sources have no visible keypoint but for those of the numbers kept."""
    result = []
    for number, example in enumerate(examples):
        parsed = tf.train.Example.FromString(example)
        values = parsed.features.feature["pose_peaks_0_rcv"].float_list.value
        if number not in kept:
            values[:] = [0.0] * len(values)
        result.append(parsed.SerializeToString())
    return result


@pytest.mark.slow
@pytest.mark.parametrize("kept", [(), (3, 8, 20), range(EXAMPLES)])
def test_persons_for_pictures_have_a_visible_keypoint(data_dir, tmp_path, kept):
    records = rewritten(data_dir, tmp_path, lambda examples: hidden(examples, kept))
    data = RecordPairs(records)
    if not kept:
        with pytest.raises(ConfigError, match="not one person has a visible keypoint"):
            data.shown(MODEL, 8)
        return
    shown = data.shown(MODEL, 8)
    (whole,) = take(pipeline.training_batches(records, MODEL, EXAMPLES, seed=0), 1)
    seen = whole["source"]["keypoints"][..., 2].any(axis=1)
    assert seen.sum() == len(kept)
    np.testing.assert_array_equal(shown["image"], whole["source"]["image"][seen][:8])
    np.testing.assert_array_equal(shown["target_image"], whole["target"]["image"][seen][:8])


def test_poses_for_pictures_have_a_visible_keypoint():
    keypoints = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((18, 3), np.float32)
    poses = Poses(keypoints)  # nothing is seen of the first
    assert len(poses) == 5 and poses.count_persons(MODEL, at_most=9) == 4
    assert poses.shown(MODEL, 4)["keypoints"][:, 0, 0].tolist() == [1, 2, 3, 4]


def test_reconstruction_alone_needs_pairs_for_both_its_updates(records, tiny_config):
    batch_size = EXAMPLES // 2 + 1
    changes = {"reconstruction.batch_size": batch_size, "match_release": True}
    settings = tiny_config.override(**changes)
    assert settings.updates_per_step("reconstruction") == 2
    assert len(RecordPairs(records).require(settings, ["pose"])) == EXAMPLES
    with pytest.raises(RecordError, match=f"too few for a batch of {2 * batch_size}"):
        RecordPairs(records).require(settings, ["pose", "reconstruction"])


@pytest.mark.parametrize("change", ["time", "size"])
def test_the_fingerprint_tells_files_that_were_written_anew(data_dir, tmp_path, change):
    def fingerprint(folder):
        return RecordPairs(RecordSet.open(folder, "train")).fingerprint()

    copy = shutil.copytree(data_dir, tmp_path / "copy")
    assert fingerprint(copy) == fingerprint(data_dir)
    data = RecordPairs(RecordSet.open(copy, "train"))
    path, written = data.records.paths[1], data.records.paths[1].stat().st_mtime_ns
    if change == "size":
        path.write_bytes(path.read_bytes() + b"more")
    os.utime(path, ns=(written, written + (change == "time")))
    assert data.fingerprint() != fingerprint(data_dir)


def stripped(examples, *keys):
    result = []
    for example in examples:
        parsed = tf.train.Example.FromString(example)
        for key in keys:
            for side in (0, 1):
                del parsed.features.feature[key.format(side)]
        result.append(parsed.SerializeToString())
    return result


def take(batches, count):
    return list(batches.take(count).as_numpy_iterator())


def assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def test_open_counts_examples_over_shards(records):
    assert len(records) == EXAMPLES
    assert len(records.paths) == 3
    assert (records.height, records.width) == (64, 32)


def test_training_batch_has_the_documented_form(records, whole):
    batches = pipeline.training_batches(records, MODEL, 6, seed=1)
    expected = {
        "image": ([6, 64, 32, 3], tf.uint8),
        "keypoints": ([6, 18, 3], tf.float32),
        "body_mask": ([6, 64, 32, 1], tf.uint8),
        "part_boxes": ([6, 7, 4], tf.float32),
        "part_visibility": ([6, 7], tf.float32),
    }
    for side in ("source", "target"):
        spec = batches.element_spec[side]
        assert {k: (s.shape.as_list(), s.dtype) for k, s in spec.items()} == expected
    assert set(np.unique(whole[0]["source"]["body_mask"])) == {0, 1}
    assert whole[0]["source"]["image"].max() > 100


def test_every_example_comes_once_an_epoch(whole, stored):
    def images(batches):
        return sorted(image.tobytes() for b in batches for image in b["source"]["image"])

    # No epoch but the last ends at a batch border, and nothing is dropped.
    assert images(whole) == sorted(7 * images(stored))


@pytest.mark.parametrize("cache", pipeline.CACHES)
def test_start_continues_exactly(records, whole, cache):
    rest = pipeline.training_batches(records, MODEL, start=4, cache=cache, **OPTIONS)
    assert_equal(whole[4:9], take(rest, 5))


def test_seed_decides_the_order(records, whole):
    other = take(pipeline.training_batches(records, MODEL, 7, seed=6), 1)
    assert not np.array_equal(whole[0]["source"]["image"], other[0]["source"]["image"])


@pytest.mark.slow
def test_replicas_share_the_global_batch(records):
    """Two workers of two replicas each, at the global batch of one replica alone."""
    workers = 2
    options = {"batch_size": 8, "seed": 5, "cache": "memory"}
    whole = take(pipeline.training_batches(records, MODEL, **options), 3)
    pieces = []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, num_replicas_in_sync=4)
        batches = pipeline.training_batches(records, MODEL, input_context=context, **options)
        pieces.append(take(batches, 3 * 4 // workers))
    share = 4 // workers
    for step, batch in enumerate(whole):
        parts = [b for piece in pieces for b in piece[step * share : (step + 1) * share]]
        assert all(len(part["source"]["image"]) == 2 for part in parts)
        joined = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *parts)
        assert_equal(batch, joined)


@pytest.mark.slow
def test_distributed_dataset_takes_the_batches(records, whole):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    distributed = strategy.distribute_datasets_from_function(
        lambda context: pipeline.training_batches(records, MODEL, input_context=context, **OPTIONS)
    )
    batch = next(iter(distributed))
    np.testing.assert_array_equal(batch["source"]["image"], whole[0]["source"]["image"])


def test_evaluation_keeps_file_order_names_and_remainder(records, stored):
    assert [len(batch["source"]["name"]) for batch in stored] == [5, 5, 5, 5, 4]
    names = [name for batch in stored for name in batch["source"]["name"]]
    in_files = [
        tf.train.Example.FromString(raw).features.feature["image_name_0"].bytes_list.value[0]
        for _, raw in records.reader.scan()
    ]
    assert names == in_files
    source, target = stored[0]["source"], stored[0]["target"]
    np.testing.assert_array_equal(source["identity"], target["identity"])
    cameras = zip(source["name"], source["camera"], strict=True)
    assert all(name[6:7] == b"%d" % camera for name, camera in cameras)


def test_evaluation_limit(records):
    batches = list(pipeline.evaluation_batches(records, MODEL, 4, limit=6))
    assert [len(batch["source"]["image"]) for batch in batches] == [4, 2]


def test_unique_persons_are_every_image_once(records, stored):
    batches = list(pipeline.unique_persons(records, MODEL, 5).as_numpy_iterator())
    names = [name for batch in batches for name in batch["name"]]
    assert len(names) == len(set(names)) == 12
    by_name = {
        name: batch["source"]["image"][i]
        for batch in stored
        for i, name in enumerate(batch["source"]["name"])
    }
    images = np.concatenate([batch["image"] for batch in batches])
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(image, by_name[name])


def test_unique_persons_without_names(data_dir, tmp_path):
    nameless = rewritten(data_dir, tmp_path, lambda all_: stripped(all_, "image_name_{}"))
    batches = list(pipeline.unique_persons(nameless, MODEL, 8))
    assert sum(len(batch["image"]) for batch in batches) == 12


def test_absent_masks_and_boxes_are_computed_equal(data_dir, tmp_path, stored):
    bare = rewritten(
        data_dir,
        tmp_path,
        # Every other record keeps its own, so that a batch holds both kinds.
        lambda all_: [
            stripped([example], "pose_mask_r4_{}", "part_bbox_{}", "part_vis_{}")[0]
            if i % 2
            else example
            for i, example in enumerate(all_)
        ],
    )
    assert_equal(stored, list(pipeline.evaluation_batches(bare, MODEL, 5)))


def test_old_records_with_sparse_pose_maps_only(data_dir, tmp_path, stored):
    keys = ("pose_peaks_{}_rcv", "part_bbox_{}", "part_vis_{}", "image_name_{}")
    old = rewritten(data_dir, tmp_path, lambda all_: stripped(all_, *keys))
    for read, full in zip(pipeline.evaluation_batches(old, MODEL, 5), stored, strict=True):
        np.testing.assert_array_equal(
            read["target"]["keypoints"], np.trunc(full["target"]["keypoints"])
        )


def test_another_radius_is_drawn(records):
    model = dataclasses.replace(MODEL, mask_radius=5)
    (batch,) = take(pipeline.training_batches(records, model, 4, seed=1), 1)
    drawn = pose_maps.body_mask(batch["source"]["keypoints"], 64, 32, 5)
    np.testing.assert_array_equal(batch["source"]["body_mask"], drawn)
    boxes, visible = regions.part_boxes(batch["source"]["keypoints"], 64, 32, "market1501")
    np.testing.assert_array_equal(batch["source"]["part_boxes"], boxes)
    np.testing.assert_array_equal(batch["source"]["part_visibility"], visible)


def test_distinct_images_are_counted_as_far_as_asked(records):
    assert count_distinct_images(records, at_most=5) == 5
    assert count_distinct_images(records, at_most=100) == 12


def test_extras_are_read_by_name(records):
    batches = pipeline.evaluation_batches(records, MODEL, 4, extras=("attributes",))
    assert take(batches, 1)[0]["target"]["attributes"].shape == (4, 27)


def break_image(examples, number):
    parsed = tf.train.Example.FromString(examples[number])
    parsed.features.feature["image_raw_1"].bytes_list.value[0] = b"\xff\xd8 not an image"
    return examples[:number] + [parsed.SerializeToString()] + examples[number + 1 :]


@pytest.mark.slow
def test_a_folder_whose_name_is_not_utf8(data_dir, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    records = rewritten(data_dir, folder, lambda all_: all_)
    assert len(take(pipeline.training_batches(records, MODEL, 8, seed=1), 1)) == 1
    assert len(usable_records(records, MODEL, skip_bad_records=True)) == EXAMPLES


def test_undecodable_image_is_named(data_dir, tmp_path):
    broken = rewritten(data_dir, tmp_path, lambda all_: break_image(all_, 10))
    with pytest.raises(tf.errors.OpError) as raised:
        take(pipeline.training_batches(broken, MODEL, 8, seed=1), 3)
    message = str(raised.value)
    assert "00000-of-00001.tfrecord record 10: image_raw_1 cannot be decoded" in message


@pytest.mark.slow
def test_wrong_checksum_is_named(data_dir, tmp_path):
    records = rewritten(data_dir, tmp_path, lambda all_: all_)
    path = records.paths[0]
    data = bytearray(path.read_bytes())
    data[index.index_file(path).offsets[2] + 500] ^= 1
    path.write_bytes(data)
    with pytest.raises(tf.errors.OpError, match="record 2: wrong checksum"):
        list(pipeline.evaluation_batches(RecordSet.open(tmp_path, "train"), MODEL, 8))


def test_cut_off_file_is_named(data_dir, tmp_path):
    path = rewritten(data_dir, tmp_path, lambda all_: all_).paths[0]
    path.write_bytes(path.read_bytes()[:-100])
    cut = RecordSet.open(tmp_path, "train")
    with pytest.raises(RecordError, match="record 23 is cut off") as raised:
        pipeline.training_batches(cut, MODEL, 8, seed=1)
    assert raised.value.file == str(path)


@pytest.mark.slow
def test_bad_records_are_skipped_and_counted_on_request(data_dir, tmp_path):
    records = rewritten(data_dir, tmp_path, lambda all_: break_image(all_, 10))
    path = records.paths[0]
    data = bytearray(path.read_bytes())
    data[index.index_file(path).offsets[2] + 500] ^= 1
    path.write_bytes(data[:-100])
    kept = usable_records(RecordSet.open(tmp_path, "train"), MODEL, skip_bad_records=True)
    assert len(kept) == EXAMPLES - 3
    assert len(kept.skipped) == 3
    assert any("record 2: wrong checksum" in line for line in kept.skipped)
    assert any("record 10: image_raw_1" in line for line in kept.skipped)
    assert any("record 23 is cut off" in line for line in kept.skipped)
    batches = pipeline.training_batches(
        RecordSet.open(tmp_path, "train"), MODEL, 7, seed=1, skip_bad_records=True
    )
    assert len(take(batches, 3)) == 3


def test_first_record_may_be_bad(data_dir, tmp_path):
    path = rewritten(data_dir, tmp_path, lambda all_: break_image(all_, 1)).paths[0]
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    records = RecordSet.open(tmp_path, "train")
    assert (records.height, records.width) == (64, 32)
    with pytest.raises(tf.errors.OpError, match="record 0: wrong checksum"):
        take(pipeline.evaluation_batches(records, MODEL, 8), 1)


def test_wrong_image_size_names_file_and_sizes(records):
    model = config.preset("market1501").model
    with pytest.raises(RecordError, match=r"00000-of-00003.*64 x 32.*takes 128 x 64"):
        pipeline.training_batches(records, model, 4, seed=0)


def test_records_are_parsed_by_one_trace_however_often_they_are_read(records, monkeypatch):
    parse, traced = parser.parse_person, []
    monkeypatch.setattr(parser, "parse_person", lambda *a, **k: traced.append(1) or parse(*a, **k))
    reading._person_parser.cache_clear()  # of other tests
    for seed in (0, 1):
        take(pipeline.training_batches(records, MODEL, 4, seed=seed), 1)
    assert traced == [1]


def test_too_few_examples(records):
    with pytest.raises(RecordError, match="'train' has 24 examples, too few for a batch of 25"):
        pipeline.training_batches(records, MODEL, 25, seed=0)


def test_unknown_cache(records):
    with pytest.raises(ValueError, match="'disk'"):
        pipeline.training_batches(records, MODEL, 4, seed=0, cache="disk")


def test_replicas_must_divide_the_batch(records):
    context = tf.distribute.InputContext(1, 0, num_replicas_in_sync=3)
    with pytest.raises(ValueError, match="multiple of 3 replicas"):
        pipeline.training_batches(records, MODEL, 8, 0, input_context=context)


def test_open_without_records(tmp_path):
    with pytest.raises(RecordError, match="no record files"):
        RecordSet.open(tmp_path, "train")
    (tmp_path / "Market1501_train_00000-of-00001.tfrecord").touch()
    with pytest.raises(RecordError, match="no records of split 'train'; every file is empty"):
        RecordSet.open(tmp_path, "train")


@pytest.mark.slow
def test_released_records_read_as_train_and_test(shared_dir):
    model = config.preset("market1501").model
    folder = shared_dir / "fixtures/convert/market1501_records"
    train = RecordSet.open(folder / "train", "train")
    assert len(train) == 28
    assert len(list(pipeline.evaluation_batches(train, model, 7))) == 4
    test = RecordSet.open(folder / "test_samples", "test")
    (batch,) = take(pipeline.training_batches(test, model, 8, seed=0), 1)
    drawn = pose_maps.body_mask(batch["source"]["keypoints"], 128, 64, 7)
    np.testing.assert_array_equal(batch["source"]["body_mask"], drawn)
