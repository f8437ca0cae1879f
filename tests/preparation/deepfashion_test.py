import pickle
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2.preparation import deepfashion
from dpig_tf2.preparation.conversion import Options
from dpig_tf2.records import decoder

NAMES = ("fashionA_1.jpg", "fashionA_2.jpg", "fashionB_1.jpg", "fashionB_2.jpg", "fashionC_1.jpg")


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    peaks, subsets = {}, {}
    for split in ("train", "test_samples"):
        (folder / f"filted_up_{split}").mkdir()
        for name in NAMES:
            pixels = rng.integers(0, 256, (256, 256, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"filted_up_{split}" / name)
    for name in NAMES[:4]:
        places = rng.integers(0, 256, (18, 2, 2)).tolist()
        peaks[name] = [[(*first, 0.9, 2 * k), (*second, 0.9, 2 * k + 1)]
                       for k, (first, second) in enumerate(places)]  # fmt: skip
        subsets[name] = np.array([[*range(1, 37, 2), 20.0, 18]])  # the second of every two
    (folder / "PoseFiltered").mkdir()
    for kind, content in (("all_peaks", peaks), ("subsets", subsets)):
        path = folder / "PoseFiltered" / f"{kind}_dic_DeepFashion.p"
        path.write_bytes(pickle.dumps(content, 2))
    return folder, peaks


def sources(conversion):
    (path,) = conversion.written.shards
    raw = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    return path, decoder.Decoder(256, 256, 8)(tf.constant(raw))


def test_train_pairs(raw_dir, tmp_path):
    plain = Options(flip=False)
    conversion = deepfashion.convert(raw_dir[0], tmp_path, "train", options=plain)
    path, decoded = sources(conversion)
    assert path.name == "DeepFashion_train_00000-of-00001.tfrecord"
    pairs = zip(*(decoded[side]["name"].numpy() for side in ("source", "target")), strict=True)
    expected = sorted(pairs)
    assert expected == [
        (b"fashionA_1.jpg", b"fashionA_2.jpg"), (b"fashionA_2.jpg", b"fashionA_1.jpg"),
        (b"fashionB_1.jpg", b"fashionB_2.jpg"), (b"fashionB_2.jpg", b"fashionB_1.jpg"),
    ]  # fmt: skip
    _, with_mirrored = sources(deepfashion.convert(raw_dir[0], tmp_path / "both", "train"))
    assert sorted(with_mirrored["source"]["name"].numpy()) == sorted(2 * [p[0] for p in expected])
    assert decoded["source"]["has_mask"].numpy().all()
    assert (decoded["source"]["camera"].numpy() == -1).all()
    assert any("fashionC_1.jpg: no keypoints" in line for line in conversion.problems)


@pytest.mark.parametrize(("person_only", "which"), [(False, 0), (True, 1)])
def test_which_candidates_are_taken(raw_dir, tmp_path, person_only, which):
    folder, peaks = raw_dir
    conversion = deepfashion.convert(
        folder, tmp_path, "train", person_only=person_only, options=Options(flip=False)
    )
    _, decoded = sources(conversion)
    name = decoded["source"]["name"][0].numpy().decode()
    expected = [[choices[which][1], choices[which][0], 1] for choices in peaks[name]]
    np.testing.assert_array_equal(decoded["source"]["keypoints"][0], expected)


def test_sequence_pairs_all_with_all(raw_dir, tmp_path):
    path, decoded = sources(deepfashion.convert(raw_dir[0], tmp_path, "test_seq"))
    assert path.name == "DeepFashion_test_00000-of-00001.tfrecord"
    pairs = zip(*(decoded[side]["name"].numpy() for side in ("source", "target")), strict=True)
    names = [name.encode() for name in NAMES[:4]]
    assert sorted(pairs) == [(source, target) for source in names for target in names]


def test_mirrored_images_of_the_release(raw_dir, tmp_path):
    """The folder of mirrored images and its own poses are used where they are there."""
    folder, peaks = raw_dir
    raw = tmp_path / "raw"
    shutil.copytree(folder, raw)
    flipped = raw / "filted_up_train_flip"
    flipped.mkdir()
    for name in NAMES[:2]:
        Image.fromarray(np.full((256, 256, 3), 7, np.uint8)).save(flipped / name)
    moved = {name: [[(1, 2, 0.9, 0)]] * 18 for name in NAMES[:2]}
    for kind, content in (("all_peaks", moved), ("subsets", {n: np.zeros((1, 20)) for n in moved})):
        path = raw / "PoseFiltered" / f"{kind}_dic_DeepFashion_Flip.p"
        path.write_bytes(pickle.dumps(content, 2))
    conversion = deepfashion.convert(raw, tmp_path / "records", "train")
    _, decoded = sources(conversion)
    assert conversion.written.examples == 6  # four plain, and two of the published mirrored images
    for i in range(2):  # which come first
        np.testing.assert_allclose(decoded["source"]["image"][i], 7, atol=1)
        np.testing.assert_array_equal(decoded["source"]["keypoints"][i], [[2, 1, 1]] * 18)


@pytest.mark.parametrize(
    ("split", "flip", "examples"), [("train", None, 8), ("test_seq", True, 32)]
)
def test_flip(raw_dir, tmp_path, split, flip, examples):
    conversion = deepfashion.convert(raw_dir[0], tmp_path, split, options=Options(flip=flip))
    assert conversion.written.examples == examples


def test_missing_folder_and_poses(tmp_path):
    with pytest.raises(ValueError, match="filted_up_test does not exist"):
        deepfashion.convert(tmp_path, tmp_path / "out", "test")
    (tmp_path / "test").mkdir()
    (tmp_path / "test/a_1.jpg").touch()
    with pytest.raises(ValueError, match="all_peaks_dic_DeepFashion.p does not exist"):
        deepfashion.convert(tmp_path, tmp_path / "out", "test")
