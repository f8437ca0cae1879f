import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2.records import decoder, writer

HEIGHT, WIDTH = 64, 32


def without(example, *keys):
    parsed = tf.train.Example.FromString(example)
    for key in keys:
        del parsed.features.feature[key]
    return parsed.SerializeToString()


def test_pixels_keypoints_and_labels_by_value(persons, examples):
    decoded = decoder.Decoder(HEIGHT, WIDTH, 7)(tf.constant(examples))
    for i, person in enumerate(persons):
        source = {key: value[i].numpy() for key, value in decoded["source"].items()}
        pixels = np.asarray(Image.open(io.BytesIO(person.encoded)))
        np.testing.assert_array_equal(source["image"], pixels)
        np.testing.assert_array_equal(source["keypoints"], person.keypoints)
        assert source["name"].decode() == person.name
        assert (source["identity"], source["camera"]) == (i, 1)
        assert source["has_mask"] and source["has_parts"]
    assert decoded["target"]["name"][0] == persons[1].name


def test_seven_and_37_parts_give_the_same_boxes(persons, examples):
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, parts=7))
    ((seven, _),) = encoder.encode([writer.Pair(persons[0], persons[1])])
    decoded = decoder.Decoder(HEIGHT, WIDTH)(tf.constant([seven, examples[0]]))
    for key in ("part_boxes", "part_visibility"):
        np.testing.assert_array_equal(decoded["source"][key][0], decoded["source"][key][1])
    assert decoded["source"]["part_boxes"].shape == (2, 7, 4)


def test_absent_optional_keys(examples):
    keys = ["image_name_0", "part_bbox_0", "part_vis_0", "pose_mask_r6_0", "cam_0", "id_0"]
    bare = without(examples[0], *keys)
    source = decoder.Decoder(HEIGHT, WIDTH, 7)(tf.constant([bare, examples[1]]))["source"]
    assert source["has_mask"].numpy().tolist() == [False, True]
    assert source["has_parts"].numpy().tolist() == [False, True]
    assert source["name"][0] == b""
    assert source["camera"][0] == -1 and source["identity"][0] == -1


def test_keypoints_come_back_from_the_sparse_map(persons, examples):
    bare = [without(example, "pose_peaks_0_rcv") for example in examples]
    read = decoder.Decoder(HEIGHT, WIDTH)(tf.constant(bare))["source"]
    expected = np.stack([person.keypoints for person in persons])
    np.testing.assert_array_equal(read["keypoints"], expected)


def test_keypoints_at_every_border_come_back():
    corners = [(row, column, 1) for row in (0, 3, 60, 63) for column in (0, 4, 27, 31)]
    keypoints = np.array([*corners, (0, 0, 0), (32, 16, 1)], np.float32)
    indices = tf.ragged.constant(
        [writer.sparse_pose_map(keypoints, HEIGHT, WIDTH, 4), []], tf.int64
    )
    read = decoder.keypoints_from_sparse_map(indices, WIDTH)
    np.testing.assert_array_equal(read[0], keypoints)
    np.testing.assert_array_equal(read[1], np.zeros((18, 3)))


def test_png_and_jpeg(persons):
    file = io.BytesIO()
    pixels = np.asarray(Image.open(io.BytesIO(persons[0].encoded)))
    Image.fromarray(pixels).save(file, "JPEG")
    jpeg = writer.Person("a.jpg", file.getvalue(), persons[0].keypoints)
    pair = writer.Pair(jpeg, persons[0])
    ((example, _),) = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH)).encode([pair])
    decoded = decoder.Decoder(HEIGHT, WIDTH)(tf.constant([example]))
    expected = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    np.testing.assert_array_equal(decoded["source"]["image"][0], expected)
    np.testing.assert_array_equal(decoded["target"]["image"][0], pixels)


def test_extras_by_name(persons):
    attributes = np.arange(27)
    segmentation = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    person = writer.Person(
        "a", persons[0].encoded, persons[0].keypoints, attributes=attributes,
        word_vectors={25: np.arange(50.0)}, segmentation=segmentation,
    )  # fmt: skip
    ((example, _),) = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH)).encode(
        [writer.Pair(person, person)]
    )
    names = ("attributes", "segmentation", "word_vectors_25")
    source = decoder.Decoder(HEIGHT, WIDTH, extras=names)(tf.constant([example]))["source"]
    np.testing.assert_array_equal(source["attributes"][0], attributes)
    np.testing.assert_array_equal(source["segmentation"][0, :, :, 0], segmentation)
    np.testing.assert_array_equal(source["word_vectors_25"][0], np.arange(50.0))


def test_extras_that_some_records_lack(persons):
    labeled = dataclasses.replace(persons[0], attributes=np.arange(27))
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH))
    examples = [each for each, _ in encoder.encode([writer.Pair(labeled, persons[1])])]
    names = ("attributes", "segmentation", "word_vectors_50")
    decoded = decoder.Decoder(HEIGHT, WIDTH, extras=names)(tf.constant(examples))
    np.testing.assert_array_equal(decoded["source"]["attributes"][0], np.arange(27))
    np.testing.assert_array_equal(decoded["target"]["attributes"][0], [-1] * 27)
    assert not np.any(decoded["source"]["segmentation"])
    assert decoded["source"]["word_vectors_50"].shape == (1, 0)


def test_extras_are_given_only_when_asked_for(examples):
    assert "attributes" not in decoder.Decoder(HEIGHT, WIDTH)(examples)["source"]
    # What is wrong with one is wrong for every reader, as `check` says.
    example = tf.train.Example.FromString(examples[0])
    example.features.feature["attrs_0"].int64_list.value.append(3)
    for extras in ((), ("attributes",)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="attrs_0"):
            decoder.Decoder(HEIGHT, WIDTH, extras=extras)([example.SerializeToString()])


def test_unknown_extra_is_named():
    with pytest.raises(ValueError, match="'gait'"):
        decoder.Decoder(HEIGHT, WIDTH, extras=("gait",))


@pytest.mark.parametrize("keys", [["image_raw_0"], ["pose_peaks_1_rcv", "indices_r4_1"]])
def test_missing_required_key_fails(examples, keys):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoder.Decoder(HEIGHT, WIDTH)(tf.constant([without(examples[0], *keys)]))


def test_wrong_number_of_boxes_fails(examples):
    example = tf.train.Example.FromString(examples[0])
    example.features.feature["part_bbox_0"].int64_list.value.append(3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="part_bbox"):
        decoder.Decoder(HEIGHT, WIDTH)(tf.constant([example.SerializeToString()]))
