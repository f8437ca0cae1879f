import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import io

from dpig_tf2 import config
from dpig_tf2.errors import DpigError
from dpig_tf2.io.manifests import OutputError
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.preparation import market1501
from dpig_tf2.preparation.conversion import Options
from dpig_tf2.records import decoder
from dpig_tf2.records.record_set import RecordSet


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
    told = "\n".join(market1501.convert(raw_dir, tmp_path, "train", Options(dry_run=True)).problems)
    assert "0011_c2s1_000576_01.jpg: no keypoints, its pairs are skipped" in told
    assert "person_seg_train: absent, segmentations are zero" in told
    assert not list(tmp_path.iterdir())


def test_junk_and_distractors_are_known_by_their_names(copied_raw_dir, tmp_path):
    folder = copied_raw_dir / "bounding_box_test"
    for name in ("-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg"):
        shutil.copy(folder / "0001_c1s1_001051_03.jpg", folder / name)
    conversion = market1501.convert(copied_raw_dir, tmp_path / "out", "test")
    assert conversion.written.examples == 8  # 2 of person 0001 and 6 of 0003
    told = f"{folder}: 2 images of Market-1501 junk and distractors, skipped"
    assert told in conversion.problems


def test_all_holds_train_and_test(raw_dir, tmp_path):
    conversion = market1501.convert(raw_dir, tmp_path, "all", Options(flip=True))
    (path,) = conversion.written.shards
    assert path.name == "Market1501_all_00000-of-00001.tfrecord"
    features = [record.features.feature for record in read(path)]
    names = [feature["image_name_0"].bytes_list.value[0][:4] for feature in features]
    # 14 training pairs, 2 of person 0001 and 6 of 0003, each also mirrored.
    assert len(names) == 44 and names.count(b"0003") == 12
    identities = [feature["id_0"].int64_list.value[0] for feature in features]
    persons = len(set(names))
    assert len(set(identities)) == len(set(zip(names, identities, strict=True))) == persons
    assert f"of {persons} identities" in conversion.plan


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


@pytest.fixture
def copied_raw_dir(raw_dir, tmp_path):
    """The fixture in a folder that may be changed."""
    copy = shutil.copytree(raw_dir, tmp_path / "raw", copy_function=shutil.copyfile)
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return copy


def test_segmentations_are_read_by_name_and_mirrored(copied_raw_dir, tmp_path):
    folder = copied_raw_dir / "Market-1501_Segment/seg/person_seg_train"
    folder.mkdir(parents=True)
    pixels = np.zeros((128, 64), np.uint8)
    pixels[10:20, 5:8] = 3
    labels = Image.fromarray(pixels, "P")
    labels.putpalette([200] * 768)  # labels, not their colors, are what counts
    labels.save(folder / "0010_c1s6_027271_01.png")
    conversion = market1501.convert(copied_raw_dir, tmp_path / "out", "train")
    absent = [line for line in conversion.problems if "its segmentation is zero" in line]
    assert len(absent) == 9
    records = [raw.numpy() for raw in tf.data.TFRecordDataset(str(conversion.written.shards[0]))]
    source = decoder.Decoder(128, 64, extras=("segmentation",))(tf.constant(records))["source"]
    names = source["name"].numpy().tolist()
    flipped = names.index(b"0010_c1s6_027271_01.jpg")  # mirrored pairs come first
    plain = names.index(b"0010_c1s6_027271_01.jpg", 14)
    np.testing.assert_array_equal(source["segmentation"][plain, :, :, 0], pixels)
    np.testing.assert_array_equal(source["segmentation"][flipped, :, :, 0], pixels[:, ::-1])
    assert np.count_nonzero(source["segmentation"]) == 60


def test_unusable_segmentation_is_named(copied_raw_dir, tmp_path):
    folder = copied_raw_dir / "Market-1501_Segment/seg/person_seg_train"
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 128)).save(folder / "0010_c1s6_027271_01.png")
    with pytest.raises(ValueError, match="0010_c1s6_027271_01.png: .* mode RGB, expected 128 x 64"):
        market1501.convert(copied_raw_dir, tmp_path / "out", "train")


def test_changed_image_is_noticed(copied_raw_dir, tmp_path):
    market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    name = "0001_c1s1_001051_03.jpg"
    Image.new("RGB", (64, 128)).save(copied_raw_dir / "bounding_box_test_samples" / name)
    with pytest.raises(OutputError, match=r"made with other inputs \(images"):
        market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    options = Options(overwrite=True)
    again = market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples", options)
    assert again.written.reused == 0


def test_damaged_and_wrongly_sized_images_are_left_out(copied_raw_dir, tmp_path):
    folder = copied_raw_dir / "bounding_box_test_samples"
    (folder / "0003_c1s6_015971_02.jpg").write_bytes(b"no image")
    Image.new("RGB", (32, 64)).save(folder / "0001_c1s1_001051_03.jpg")
    conversion = market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    told = "\n".join(conversion.problems)
    assert "0003_c1s6_015971_02.jpg: is not a JPEG or PNG image" in told
    assert "0001_c1s1_001051_03.jpg: is 64 x 32 pixels, expected 128 x 64" in told
    assert conversion.written.examples == 2


def test_tables_of_other_persons_are_not_used(copied_raw_dir, tmp_path):
    """Word vectors and attributes are found by row, so that the number of rows must be right."""
    for path in (copied_raw_dir / "bounding_box_test_samples").glob("0001*"):
        path.unlink()
    with pytest.raises(ValueError, match="2 rows for the 1 persons of test"):
        market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    (copied_raw_dir / "Market-1501_Attribute/market_attribute.mat").unlink()
    conversion = market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    told = "\n".join(conversion.problems)
    assert "market_attribute.mat: absent" in told
    assert "test_att_wordvec_dim25.mat: tables of 2, 2 rows for 1 persons, not used" in told
    (record, *_) = read(conversion.written.shards[0])
    assert "attrs_w2v25_0" not in record.features.feature


@pytest.mark.parametrize("variable", [np.zeros((25, 2)), "12345", np.zeros((0, 0), object)])
def test_word_vectors_that_are_no_tables_are_named(copied_raw_dir, tmp_path, variable):
    (path,) = copied_raw_dir.rglob("test_att_wordvec_dim25.mat")
    io.savemat(path, {"test_att": variable})
    with pytest.raises(DpigError, match="expected cells of tables with two axes") as raised:
        market1501.convert(copied_raw_dir, tmp_path / "out", "test_samples")
    assert raised.value.file == str(path)


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
    # The other 26 attributes are 1 or 2; at most one upper color is set.
    for table in (train, test):
        values = np.stack(list(table.values()))
        assert set(np.unique(values[:, 1:])) == {1, 2}
        assert (values[:, 13:21] == 2).sum(axis=1).mean() < 1.1


def test_names():
    assert market1501.identity("0002_c1s1_000451_03.jpg") == "0002"
    assert market1501.camera("0002_c3s1_000451_03.jpg") == 3


def test_pairs_per_image(raw_dir, tmp_path):
    """Each of the 14 pairs' sources once, and the mirror image of each pair with it."""
    conversion = market1501.convert(raw_dir, tmp_path, "train", Options(pairs_per_image=1))
    pairs = [
        tuple(r.features.feature[f"image_name_{side}"].bytes_list.value[0] for side in (0, 1))
        for r in read(conversion.written.shards[0])
    ]
    sources = [source for source, _ in pairs]
    assert sorted(sources) == sorted(2 * list(set(sources)))
    assert all(source[:4] == target[:4] for source, target in pairs)


@pytest.mark.slow
def test_both_layouts_hold_the_same_pairs(raw_dir, tmp_path):
    batches = []
    for layout in ("published", "lean"):
        market1501.convert(raw_dir, tmp_path / layout, "train", Options(layout=layout))
        records = RecordSet.open(tmp_path / layout, "train")
        model = config.preset("market1501").model
        batches.append(list(evaluation_batches(records, model, 32).as_numpy_iterator()))
    tf.nest.map_structure(np.testing.assert_array_equal, *batches)
