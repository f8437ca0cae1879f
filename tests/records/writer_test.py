import dataclasses
import errno

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.io import crc32c
from dpig_tf2.ops import pose_maps, regions
from dpig_tf2.records import decoder, schema, wire, writer
from tests.record_files import write_shard

HEIGHT, WIDTH = 64, 32


def features_of(example):
    return tf.train.Example.FromString(example).features.feature


def test_example_holds_masks_boxes_and_labels(persons, examples):
    features = features_of(examples[0])
    keypoints = np.stack([persons[0].keypoints, persons[1].keypoints])
    mask = pose_maps.body_mask(keypoints, HEIGHT, WIDTH, 7).numpy()
    boxes, visible = regions.part_boxes(keypoints, HEIGHT, WIDTH, "market1501", 37)
    for side in range(2):
        stored = features[schema.BODY_MASKS[7].keys[side]].int64_list.value
        np.testing.assert_array_equal(stored, mask[side].ravel())
        stored = features[schema.PART_BOXES.keys[side]].int64_list.value
        np.testing.assert_array_equal(stored, boxes[side].numpy().ravel())
        stored = features[schema.PART_VISIBILITY.keys[side]].int64_list.value
        np.testing.assert_array_equal(stored, visible[side].numpy())
        assert list(features[schema.IDENTITY.keys[side]].int64_list.value) == [side]
    assert list(features["label"].int64_list.value) == [1]
    assert list(features["image_format"].bytes_list.value) == [b"png"]


def test_seven_parts(persons):
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, parts=7))
    ((example, _),) = encoder.encode([writer.Pair(persons[0], persons[1])])
    assert len(features_of(example)["part_bbox_0"].int64_list.value) == 28


def test_sparse_map_is_the_dense_one(persons):
    keypoints = persons[0].keypoints
    dense = pose_maps.pose_map(keypoints[None], HEIGHT, WIDTH, 4).numpy()[0]
    indices = writer.sparse_pose_map(keypoints, HEIGHT, WIDTH, 4)
    assert set(indices) == set(np.flatnonzero(dense.ravel() > 0))
    assert len(indices) == len(set(indices))


def test_coarse_grid_is_one_hot_per_visible_keypoint(persons):
    grid = writer.coarse_grid(persons[0].keypoints, HEIGHT, WIDTH)
    assert grid.shape == (16, 8, 18)
    np.testing.assert_array_equal(grid.sum(axis=(0, 1)), persons[0].keypoints[:, 2])


def test_equal_input_gives_equal_bytes(persons, examples):
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, image_format="png"))
    ((again, _),) = encoder.encode([writer.Pair(persons[0], persons[1])])
    assert again == examples[0]


def test_image_bytes_may_come_from_a_function(persons, examples):
    lazy = dataclasses.replace(persons[0], encoded=lambda: persons[0].encoded)
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, image_format="png"))
    ((example, _),) = encoder.encode([writer.Pair(lazy, persons[1])])
    assert example == examples[0]


def test_failed_shard_leaves_nothing(tmp_path, examples):
    def failing():
        yield examples[0]
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_shard(tmp_path / "a.tfrecord", failing())
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_named(tmp_path, examples):
    def full():
        yield examples[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a.tfrecord'"):
        write_shard(tmp_path / "a.tfrecord", full())
    assert not list(tmp_path.iterdir())


def test_files_are_those_that_tensorflow_writes(tmp_path, examples):
    records = [*examples, b"", b"x" * 100_000]
    write_shard(tmp_path / "ours", records)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as file:
        for record in records:
            file.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int64", []),
        ("int64", [0, 1, 127, 128, 300, 2**21, 2**62, -1, -(2**63)]),
        ("int64", np.arange(300).reshape(3, 100)),
        ("float", []),
        ("float", [0.5, -1e30, float("inf")]),
        ("bytes", []),
        ("bytes", [b"", b"ab" * 100]),
    ],
)
def test_values_are_serialized_as_tensorflow_does(kind, values):
    theirs = tf.train.Feature()
    stored = getattr(theirs, f"{kind}_list").value
    stored.extend(values if kind == "bytes" else np.ravel(values).tolist())
    if not len(values):
        getattr(theirs, f"{kind}_list").SetInParent()
    assert wire.feature(kind, values) == theirs.SerializeToString(deterministic=True)


def test_keys_are_in_the_order_of_tensorflow(examples):
    """All of an example, but for the keys of one side that follow those of the other."""
    for example in examples:
        stored = tf.train.Example.FromString(example).features.feature
        for side in ("0", "1"):
            own = {key: value for key, value in stored.items() if side in key}
            theirs = tf.train.Features(feature=own).SerializeToString(deterministic=True)
            ours = wire.features({key: value.SerializeToString() for key, value in own.items()})
            assert ours == theirs


def test_checksums_are_those_of_the_examples(persons):
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH))
    pairs = [writer.Pair(persons[i], persons[j]) for i, j in ((0, 1), (1, 0), (0, 0), (0, 1))]
    for example, checksum in encoder.encode(pairs):
        assert checksum == crc32c.crc32c(example)


def test_few_persons_in_memory_give_the_same_bytes(persons, examples, monkeypatch):
    for name in ("_CACHED_BYTES", "_DESCRIBED_PERSONS", "_KNOWN_PERSONS", "_CHUNK"):
        monkeypatch.setattr(writer, name, 1)
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, image_format="png"))
    following = persons[1:] + persons[:1]
    found = encoder.encode(map(writer.Pair, persons, following))
    assert [example for example, _ in found] == examples
    kept = encoder._checked, encoder._checksums, encoder._described, encoder._values
    assert max(map(len, kept)) <= 2
    assert encoder._value_bytes == sum(map(writer._bytes, encoder._values.values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": 8}, "parts must be"),
        ({"image_format": "gif"}, "image format must be"),
        ({"variant": "duke"}, "record variant"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        writer.PairEncoder(
            writer.Format(**{"variant": "market1501", "height": 64, "width": 32} | arguments)
        )


def test_released_records_are_written_again_exactly(shared_dir):
    """Every key of the release's own records, from what they say about keypoints and labels."""
    paths = sorted((shared_dir / "fixtures/convert/market1501_records").glob("*/*.tfrecord"))
    for path in paths:
        released = [raw.numpy() for raw in tf.data.TFRecordDataset(str(path))]
        pairs = [writer.Pair(*(_person(features_of(r), side) for side in (0, 1))) for r in released]
        written = writer.PairEncoder(writer.Format("market1501", 128, 64)).encode(pairs)
        for (ours, _), theirs in zip(written, released, strict=True):
            assert tf.train.Example.FromString(ours) == tf.train.Example.FromString(theirs)


def _person(features, side):
    def read(feature):
        value = features[feature.keys[side]]
        return getattr(value, value.WhichOneof("kind")).value

    return writer.Person(
        name=read(schema.NAME)[0].decode(),
        encoded=read(schema.IMAGE)[0],
        keypoints=np.reshape(read(schema.KEYPOINTS), (18, 3)).astype(np.float32),
        identity=read(schema.IDENTITY)[0],
        camera=read(schema.CAMERA)[0],
        attributes=np.asarray(read(schema.ATTRIBUTES)),
        word_vectors={size: read(feature) for size, feature in schema.WORD_VECTORS.items()},
        candidates=np.asarray(read(schema.CANDIDATES)),
        segmentation=np.asarray(read(schema.SEGMENTATION)),
    )


def test_written_examples_decode(examples):
    decoded = decoder.Decoder(HEIGHT, WIDTH, 7)(tf.constant(examples))
    assert decoded["source"]["image"].shape == (4, HEIGHT, WIDTH, 3)
