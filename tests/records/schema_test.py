import pytest

from dpig_tf2.records import schema


def test_keys_are_spelled_once():
    keys = [key for feature in schema.FEATURES for key in feature.keys]
    assert len(keys) == len(set(keys))


def test_misnamed_mask_is_known_by_its_true_radius():
    assert schema.BODY_MASKS[7].keys == ("pose_mask_r6_0", "pose_mask_r6_1")


@pytest.mark.parametrize(
    ("feature", "size", "lengths"),
    [
        (schema.PART_BOXES, (128, 64), (28, 148)),
        (schema.KEYPOINTS, (128, 64), (54,)),
        (schema.BODY_MASKS[7], (128, 64), (8192,)),
        (schema.COARSE_GRID, (128, 64), (16 * 8 * 18,)),
        (schema.COARSE_GRID, (256, 256), (16 * 16 * 18,)),
        (schema.SPARSE_INDICES[4], (128, 64), None),
    ],
)
def test_allowed_lengths(feature, size, lengths):
    assert feature.allowed_lengths(*size) == lengths


def test_unknown_variant_is_named():
    with pytest.raises(ValueError, match="'duke'"):
        schema.variant("duke")


def test_shard_name_is_the_releases():
    name = schema.shard_name("Market1501", "train", 0, 1)
    assert name == "Market1501_train_00000-of-00001.tfrecord"
