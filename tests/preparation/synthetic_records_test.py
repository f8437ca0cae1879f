import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.io.manifests import OutputError
from dpig_tf2.preparation import synthetic_records
from dpig_tf2.records import check, decoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    for split in ("train", "test"):
        synthetic_records.write(
            folder, split, identities=3, images_per_identity=3, pairs_per_image=1, parts=7
        )
    return folder


def decoded(folder, split):
    (path,) = folder.glob(f"Market1501_{split}_*.tfrecord")
    raw = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    return decoder.Decoder(48, 24, 7, extras=("attributes",))(tf.constant(raw))


def test_records_pass_the_check(folder):
    report = check.check_folder(folder)
    assert report.ok
    assert "part regions: 7 (9)" in str(report)


def test_pairs_show_one_person(folder):
    pairs = decoded(folder, "train")
    assert len(pairs["source"]["name"]) == 9
    np.testing.assert_array_equal(pairs["source"]["identity"], pairs["target"]["identity"])
    for source, target in zip(
        pairs["source"]["name"].numpy(), pairs["target"]["name"].numpy(), strict=True
    ):
        assert source[:4] == target[:4] and source != target


def test_splits_show_other_persons(folder):
    persons = [{name[:4] for name in decoded(folder, s)["source"]["name"].numpy()}
               for s in ("train", "test")]  # fmt: skip
    assert not persons[0] & persons[1]


def test_factors_render_the_image(folder):
    factors = json.loads(synthetic_records.factors_path(folder, "train").read_text())
    assert len(factors) == 9
    source = decoded(folder, "train")["source"]
    name = source["name"][0].numpy().decode()
    drawn = {key: synthetic.from_dict(value) for key, value in factors[name].items()}
    truth = synthetic.render(**drawn, height=48, width=24)
    stored = source["image"][0].numpy()
    assert np.abs(truth.astype(int) - stored).mean() < 4  # JPEG
    keypoints = synthetic.pose_keypoints(drawn["pose"], 48, 24)
    np.testing.assert_array_equal(source["keypoints"][0], keypoints)
    attributes = synthetic.attributes(drawn["foreground"])
    np.testing.assert_array_equal(source["attributes"][0], attributes)


def test_images_are_jpeg(folder):
    raw = next(iter(tf.data.TFRecordDataset(str(next(folder.glob("*train*.tfrecord")))))).numpy()
    features = tf.train.Example.FromString(raw).features.feature
    image = Image.open(io.BytesIO(features["image_raw_0"].bytes_list.value[0]))
    assert (image.format, image.size) == ("JPEG", (24, 48))
    assert features["real_data"].int64_list.value[0] == 0


def test_second_run_repeats_nothing(folder):
    again = synthetic_records.write(
        folder, "train", identities=3, images_per_identity=3, pairs_per_image=1, parts=7
    )
    assert again.reused == 1
    with pytest.raises(OutputError, match="identities=3, not 4"):
        synthetic_records.write(
            folder, "train", identities=4, images_per_identity=3, pairs_per_image=1, parts=7
        )


@pytest.mark.parametrize(
    "option", [{"images_per_identity": 1}, {"pairs_per_image": 0}, {"identities": 0}]
)
def test_bad_sizes_are_named(tmp_path, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        synthetic_records.write(tmp_path, **option)
    assert not list(tmp_path.iterdir())
