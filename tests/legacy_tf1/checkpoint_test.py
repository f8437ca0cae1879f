import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.legacy_tf1.checkpoint import CheckpointError, read

PREFIX = "model.ckpt-12"
DATA = f"{PREFIX}.data-00000-of-00001"
TENSORS = {"Net/weights": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.int32(4)}


def _write(prefix, tensors):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path / PREFIX, TENSORS)
    return tmp_path


@pytest.mark.parametrize("name", ["", PREFIX, f"{PREFIX}.index", DATA])
def test_reads_a_prefix_one_of_its_files_or_the_folder(folder, name):
    found = read(folder / name)
    assert found.prefix == str(folder / PREFIX)
    assert found.name_step == 12
    assert set(found.tensors) == set(TENSORS)
    for variable, expected in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[variable], expected)


def test_a_folder_means_the_checkpoint_that_it_lists(folder):
    _write(folder / "model.ckpt-90", TENSORS)
    listing = 'model_checkpoint_path: "/machine/of/training/model.ckpt-12"\n'
    (folder / "checkpoint").write_text(listing)
    assert read(folder).name_step == 12


@pytest.mark.parametrize("listing", [None, 'model_checkpoint_path: "gone-1"\n', "\x00broken"])
def test_a_folder_without_a_useful_list_means_the_highest_number(folder, listing):
    _write(folder / "model.ckpt-9", TENSORS)
    if listing:
        (folder / "checkpoint").write_text(listing)
    assert read(folder).name_step == 12


def test_a_name_without_a_number(tmp_path):
    _write(tmp_path / "final", TENSORS)
    assert read(tmp_path).name_step is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: os.truncate(folder / DATA, 10), "damaged or truncated"),
        (lambda folder: (folder / DATA).unlink(), "damaged or truncated"),
        (lambda folder: os.truncate(folder / f"{PREFIX}.index", 20), "damaged or truncated"),
        (lambda folder: os.truncate(folder / f"{PREFIX}.index", 0), "damaged or truncated"),
        (lambda folder: (folder / DATA).write_bytes(b"\xff" * 28), "damaged or truncated"),
        (lambda folder: (folder / f"{PREFIX}.index").unlink(), "holds no checkpoint"),
        (shutil.rmtree, "no checkpoint at"),
    ],
    ids=["short data", "no data", "short index", "empty index", "bits", "no index", "nothing"],
)
def test_damage_is_one_line_that_names_the_file(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.file.startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_other_files_are_no_checkpoint(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **TENSORS)
    with pytest.raises(CheckpointError, match="is not a checkpoint: it has no weights.npz.index"):
        read(path)


def test_an_object_checkpoint_of_tensorflow_2_is_named_as_such(tmp_path):
    prefix = tf.train.Checkpoint(weights=tf.Variable(1.0)).save(str(tmp_path / "ckpt"))
    with pytest.raises(CheckpointError, match="TensorFlow 2 object checkpoint"):
        read(prefix)


def test_variables_larger_than_the_files_are_refused_before_memory_is_taken(folder, monkeypatch):
    def shapes(reader):
        return {"Net/weights": [1 << 40, 1 << 20], "step": []}

    kind = type(tf.train.load_checkpoint(str(folder / PREFIX)))
    monkeypatch.setattr(kind, "get_variable_to_shape_map", shapes)
    monkeypatch.setattr(kind, "get_tensor", lambda reader, name: pytest.fail("memory is taken"))
    with pytest.raises(
        CheckpointError, match="Net/weights would take 4611686018427387904 bytes"
    ) as e:
        read(folder)
    assert (e.value.file, e.value.field) == (str(folder / PREFIX), "Net/weights")


@pytest.mark.parametrize("listing", [b"\xff\xfe", b"odd", b'model_checkpoint_path: "/"', b""])
def test_an_odd_list_does_not_matter(folder, listing):
    (folder / "checkpoint").write_bytes(listing)
    assert read(folder).prefix == str(folder / PREFIX)


@pytest.mark.parametrize("path", [r"C:\\train\\run 1\\model.ckpt-12", r"D:\train\model.ckpt-12"])
def test_a_list_with_windows_paths_is_honored(folder, path):
    _write(folder / "model.ckpt-90", TENSORS)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    assert read(folder).name_step == 12
