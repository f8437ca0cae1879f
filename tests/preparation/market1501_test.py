import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2.preparation import market1501
from dpig_tf2.records import decoder


def read(path):
    raw = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    return [tf.train.Example.FromString(record) for record in raw]


@pytest.fixture(scope="module")
def raw_dir(shared_dir):
    return shared_dir / "fixtures/convert/market1501_raw"


@pytest.mark.parametrize("split", ["train", "test_samples"])
def test_equal_to_the_released_converter(shared_dir, raw_dir, tmp_path, split):
    """Every key of every record, and their order."""
    conversion = market1501.convert(raw_dir, tmp_path, split)
    (ours,) = conversion.written.shards
    (theirs,) = (shared_dir / "fixtures/convert/market1501_records" / split).glob("*.tfrecord")
    assert ours.name == theirs.name
    assert read(ours) == read(theirs)


def test_what_is_absent_is_reported(raw_dir, tmp_path):
    told = "\n".join(market1501.convert(raw_dir, tmp_path, "train", dry_run=True).problems)
    assert "0011_c2s1_000576_01.jpg: no keypoints, its pairs are left out" in told
    assert "person_seg_train: absent, segmentations are zero" in told
    assert not list(tmp_path.iterdir())


def test_too_short_test_folder_is_explained(raw_dir, tmp_path):
    with pytest.raises(ValueError, match="holds 5 images: the first 6617 .* --split=test_samples"):
        market1501.convert(raw_dir, tmp_path, "test")


def test_all_holds_train_and_test(raw_dir, tmp_path, monkeypatch):
    train, test = market1501._PARTS["all"]
    short = dataclasses.replace(test, skip=2)  # the fixture holds five test images, not thousands
    monkeypatch.setitem(market1501._PARTS, "all", (train, short))
    conversion = market1501.convert(raw_dir, tmp_path, "all", flip=True)
    (path,) = conversion.written.shards
    assert path.name == "Market1501_all_00000-of-00001.tfrecord"
    names = [r.features.feature["image_name_0"].bytes_list.value[0][:4] for r in read(path)]
    # 14 training pairs and the 6 of person 0003, each also mirrored.
    assert len(names) == 40 and names.count(b"0003") == 12


def test_without_mirrored_folder_they_are_made(raw_dir, tmp_path):
    copy = tmp_path / "raw"
    for name in ("bounding_box_train", "Market-1501_PoseFiltered"):
        shutil.copytree(raw_dir / name, copy / name)
    conversion = market1501.convert(copy, tmp_path / "out", "train")
    records = [raw.numpy() for raw in tf.data.TFRecordDataset(str(conversion.written.shards[0]))]
    assert len(records) == 28
    decoded = decoder.Decoder(128, 64, 7)(tf.constant(records))
    names = decoded["source"]["name"].numpy().tolist()
    images = decoded["source"]["image"].numpy().astype(int)
    first = names[:14].index(b"0010_c1s6_027271_01.jpg")
    second = 14 + names[14:].index(b"0010_c1s6_027271_01.jpg")
    assert np.abs(images[first] - images[second][:, ::-1]).mean() < 6  # JPEG, encoded again
    keypoints = decoded["source"]["keypoints"].numpy()
    wrist, mirrored = keypoints[second][4], keypoints[first][7]
    assert wrist[2] == mirrored[2] == 1
    np.testing.assert_array_equal(mirrored[:2], [wrist[0], 63 - wrist[1]])


def test_segmentations(raw_dir, tmp_path):
    copy = tmp_path / "raw"
    shutil.copytree(raw_dir, copy)
    copy.chmod(0o755)
    folder = copy / "Market-1501_Segment/seg/person_seg_test"
    folder.mkdir(parents=True)
    pixels = np.zeros((128, 64), np.uint8)
    pixels[10:20, 5:8] = 1
    Image.fromarray(pixels).save(folder / "0001_c1s1_001051_03.png")
    conversion = market1501.convert(copy, tmp_path / "out", "test_samples")
    records = [raw.numpy() for raw in tf.data.TFRecordDataset(str(conversion.written.shards[0]))]
    source = decoder.Decoder(128, 64, extras=("segmentation",))(tf.constant(records))["source"]
    at = source["name"].numpy().tolist().index(b"0001_c1s1_001051_03.jpg")
    np.testing.assert_array_equal(source["segmentation"][at, :, :, 0], pixels)
    assert np.sum(source["segmentation"]) == 30


def test_missing_poses_are_named(raw_dir, tmp_path):
    shutil.copytree(raw_dir / "bounding_box_train", tmp_path / "bounding_box_train")
    with pytest.raises(ValueError, match="all_peaks_dic_Market-1501_train.p does not exist"):
        market1501.convert(tmp_path, tmp_path / "out", "train")


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="'query'"):
        market1501.convert(tmp_path, tmp_path, "query")


def test_real_attributes_in_one_order(shared_dir):
    path = shared_dir / "real/market1501/market_attribute.mat"
    train = market1501.read_attributes(path, "train", [])
    test = market1501.read_attributes(path, "test", [])
    assert (len(train), len(test)) == (751, 750)
    assert "0002" in train and "0001" in test
    ages = [
        table[:, 0] for table in (np.stack(list(train.values())), np.stack(list(test.values())))
    ]
    assert all(set(np.unique(age)) == {1, 2, 3, 4} for age in ages)
    # The other 26 attributes are 1 or 2; at most one upper colour is set.
    for table in (train, test):
        values = np.stack(list(table.values()))
        assert set(np.unique(values[:, 1:])) == {1, 2}
        assert (values[:, 13:21] == 2).sum(axis=1).mean() < 1.1


def test_names():
    assert market1501.identity("0002_c1s1_000451_03.jpg") == "0002"
    assert market1501.camera("0002_c3s1_000451_03.jpg") == 3
