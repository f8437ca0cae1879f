"""The lean layout: photos once, pairs as numbers; read like the published one."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.io.manifests import OutputError
from dpig_tf2.pipeline import batches, cache
from dpig_tf2.pipeline.screening import usable_records
from dpig_tf2.preparation import synthetic_records
from dpig_tf2.records import check, index, schema
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError
from dpig_tf2.testing import tiny_config

MODEL = tiny_config().model
PAIRS = "Market1501_train.pairs"


def make(folder, layout, **options):
    options = {"identities": 4, "images_per_identity": 4, "pairs_per_image": 3} | options
    return synthetic_records.write(
        folder, height=64, width=32, num_shards=2, layout=layout, **options
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    for layout in schema.LAYOUTS:
        make(folder / layout, layout)
    return folder


@pytest.fixture(scope="module")
def published(folders):
    return RecordSet.open(folders / "published", "train")


@pytest.fixture(scope="module")
def lean(folders):
    return RecordSet.open(folders / "lean", "train")


@pytest.fixture
def copy(folders, tmp_path):
    return shutil.copytree(folders / "lean", tmp_path / "lean")


def assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"cache": "memory"}, {"skip_bad_records": True}])
def test_training_batches_are_the_same(published, lean, options):
    expected, found = (
        list(
            batches.training_batches(each, MODEL, 7, 5, start=3, **options)
            .take(9)
            .as_numpy_iterator()
        )
        for each in (published, lean)
    )
    assert_equal(found, expected)


@pytest.mark.slow
def test_examples_and_images_are_the_same(published, lean):
    assert len(published) == len(lean) == 48
    for read in (batches.evaluation_batches, batches.unique_persons):
        expected, found = (list(read(r, MODEL, 20).as_numpy_iterator()) for r in (published, lean))
        assert_equal(found, expected)
    assert_equal(cache.distinct_images(lean), cache.distinct_images(published))
    assert cache.count_distinct_images(lean, 100) == 16
    assert cache.count_distinct_images(lean, 5) == 5


def test_twenty_times_smaller(tmp_path):
    size = {}
    for layout in schema.LAYOUTS:
        make(tmp_path / layout, layout, identities=1, images_per_identity=12, pairs_per_image=11)
        size[layout] = sum(f.stat().st_size for f in (tmp_path / layout).glob("Market1501*"))
    assert size["published"] > 20 * size["lean"]


def test_check_counts_photos_and_pairs(folders):
    report = check.check_folder(folders / "lean")
    assert report.ok
    assert "Market1501_train: 2 files, 16 photos" in str(report)
    assert f"{PAIRS}: 48 examples" in str(report)


def refused(folder, message):
    """What opening says, which the check says as well."""
    with pytest.raises(RecordError, match=message) as raised:
        usable_records(RecordSet.open(folder, "train"), MODEL)
    assert str(raised.value) in check.check_folder(folder).problems
    return raised.value


def test_missing_pairs(copy):
    (copy / PAIRS).unlink()
    assert refused(copy, "is missing").file == str(copy / PAIRS)


def test_pairs_that_are_cut_off(copy):
    (copy / PAIRS).write_bytes((copy / PAIRS).read_bytes()[:-3])
    assert refused(copy, "is cut off: 381 bytes").file == str(copy / PAIRS)


@pytest.mark.parametrize("number", [-1, 16])
def test_pairs_of_photos_that_are_not_there(copy, number):
    pairs = np.fromfile(copy / PAIRS, "<i4")
    pairs[9] = number
    pairs.tofile(copy / PAIRS)
    error = refused(copy, f"pair 4: photo {number}, expected 0 to 15")
    assert (error.file, error.record) == (str(copy / PAIRS), 4)


def test_pairs_that_the_manifest_does_not_know(copy):
    pairs = np.fromfile(copy / PAIRS, "<i4")
    pairs[:8].tofile(copy / PAIRS)
    refused(copy, "has 4 examples, manifest_Market1501_train.json says 48")


def test_pairs_with_another_content(copy):
    pairs = np.fromfile(copy / PAIRS, "<i4")
    pairs[::-1].tofile(copy / PAIRS)
    (problem,) = check.check_folder(copy).problems
    assert f"{PAIRS} has another checksum" in problem


def test_a_photo_shard_that_is_missing(copy):
    next(copy.glob("*00001-of-00002.photos.tfrecord")).unlink()
    with pytest.raises(RecordError, match="lacks shard 00001"):
        RecordSet.open(copy, "train")


def test_layouts_do_not_mix(copy, folders):
    shard = next((folders / "published").glob("*00000-of-00002.tfrecord"))
    shutil.copy(shard, copy)
    with pytest.raises(RecordError, match="mixes the layouts lean and published") as raised:
        RecordSet.open(copy, "train")
    assert raised.value.field == "layout"
    assert any("mixes the layouts" in line for line in check.check_folder(copy).problems)


@pytest.mark.parametrize("there", schema.LAYOUTS)
def test_a_folder_keeps_its_layout(folders, tmp_path, there):
    (other,) = set(schema.LAYOUTS) - {there}
    folder = shutil.copytree(folders / there, tmp_path / there)
    with pytest.raises(OutputError, match=f"made with layout='{there}', not '{other}'") as raised:
        make(folder, other)
    assert raised.value.field == "layout"
    make(folder, other, overwrite=True)
    assert RecordSet.open(folder, "train").layout == other
    assert check.check_folder(folder).ok


def test_an_unknown_layout(tmp_path):
    with pytest.raises(ValueError, match="layout must be published or lean, got 'thin'"):
        make(tmp_path / "out", "thin")
    assert not (tmp_path / "out").exists()


def test_a_finished_folder_is_not_redone(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.glob("Market1501*")}
    assert make(copy, "lean").reused == 2
    assert {path: path.stat().st_mtime_ns for path in copy.glob("Market1501*")} == before
    (copy / PAIRS).unlink()
    make(copy, "lean")
    assert check.check_folder(copy).ok


@pytest.mark.slow
def test_pairs_of_a_damaged_photo_are_skipped(copy):
    path = next(copy.glob("*00000-of-00002.photos.tfrecord"))
    content = bytearray(path.read_bytes())
    content[index.index_file(path).offsets[2] + 500] ^= 1
    path.write_bytes(content)
    records = RecordSet.open(copy, "train")
    with pytest.raises(tf.errors.OpError, match="record 2: wrong checksum"):
        list(batches.evaluation_batches(records, MODEL, 20))
    kept = usable_records(records, MODEL, skip_bad_records=True)
    assert len(kept) == 48 - 6
    assert len(kept.skipped) == 1 and f"{path} record 2: wrong checksum" in kept.skipped[0]
    assert not (kept.pairs[kept.numbers] == 2).any()
    assert len(list(batches.evaluation_batches(kept, MODEL, 42))) == 1
    assert len(cache.distinct_images(kept)[0]) == 15
