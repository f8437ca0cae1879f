"""Persons of image files."""

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.io import images
from dpig_tf2.sampling.readers import FileReader


@pytest.fixture
def folder(tmp_path):
    """Two photos that have to be resized, one without keypoints, one damaged, and keypoints."""
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "lone.png"):
        Image.fromarray(rng.integers(0, 256, (100, 40, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no image")
    rows, columns = list(range(10, 28)), [20] * 18
    lines = [f"{name}: {rows}: {columns}" for name in ("a.jpg", "b.png", "bad.png")]
    text = "\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n"
    (tmp_path / "keypoints.csv").write_text(text)
    return tmp_path


def reader(folder, model, *names):
    keypoints = str(folder / "keypoints.csv")
    return FileReader(folder, names, keypoints, "auto", "stretch", model, batch_size=8)


def test_a_photo_is_decoded_once_and_not_compressed_again(folder, tiny_config, monkeypatch):
    opened = []
    once = Image.open
    monkeypatch.setattr(Image, "open", lambda file, **o: opened.append(file) or once(file, **o))
    (persons,) = reader(folder, tiny_config.model, "a.jpg", "b.png").persons()
    assert [path.name for path in opened] == ["a.jpg", "b.png"]
    for name, image in zip(("a.jpg", "b.png"), persons.images, strict=True):
        photo = images.open_image(folder / name)
        expected = np.asarray(photo.resize((32, 64), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(image, expected)
    np.testing.assert_allclose(persons.keypoints[0, 0], [10 * 64 / 100, 20 * 32 / 40, 1])


def test_what_is_skipped_is_named(folder, tiny_config):
    files = reader(folder, tiny_config.model, "a.jpg", "bad.png", "lone.png")
    assert [person.names for person in files.persons()] == [("a",)]
    bad, lone = files.skipped
    assert "bad.png: is not a JPEG or PNG image" in bad and "lone.png: no keypoints in" in lone


def test_photos_have_no_pairs(folder, tiny_config):
    with pytest.raises(DpigError, match="photos have no pairs"):
        reader(folder, tiny_config.model, "a.jpg").pairs()
