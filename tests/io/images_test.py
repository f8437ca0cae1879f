import io
import pathlib
import zlib

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.io import images
from dpig_tf2.preparation import photos

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 10, 3), np.uint8)


def test_save_png_round_trip(tmp_path):
    path = tmp_path / "made" / "sheet.png"
    images.save_png(path, PICTURE)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PICTURE)
    assert list(path.parent.iterdir()) == [path]


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    images.save_png(path, PICTURE)

    def disk_full(self, content):
        with open(self, "wb") as file:
            file.write(content[:6])
        raise OSError("no space left")

    monkeypatch.setattr(pathlib.Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="no space"):
        images.save_png(path, 255 - PICTURE)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PICTURE)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [(20, 10), (20, 10, 1)])
def test_one_channel_becomes_three(shape):
    gray = np.arange(200, dtype=np.uint8).reshape(shape)
    assert (images.as_rgb(gray) == gray.reshape(20, 10, 1)).all()
    assert images.as_rgb(gray).shape == (20, 10, 3)


@pytest.mark.parametrize("bad", [PICTURE.astype(float), PICTURE[..., :2]])
def test_other_pictures_are_refused(bad):
    with pytest.raises(ValueError, match="a picture must be"):
        images.as_rgb(bad)


def test_files_are_opened_by_what_they_hold(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(images.encode_png(PICTURE))
    np.testing.assert_array_equal(images.read_rgb(path), PICTURE)
    Image.fromarray(PICTURE).save(path, "BMP")
    with pytest.raises(ValueError, match="is not a JPEG or PNG image"):
        images.read_rgb(path)
    path.write_bytes(b"")
    for read in (images.read_rgb, images.upright_size, photos.read):
        with pytest.raises(ValueError, match="^is empty$"):
            read(path)
    with pytest.raises(ValueError, match="cannot be read"):
        images.read_rgb(tmp_path / "absent.png")


def test_jpeg_keeps_the_picture_close():
    smooth = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(images.encode_jpeg(smooth))))
    assert np.abs(decoded.astype(int) - smooth).max() <= 8


@pytest.mark.parametrize("opened", [images.open_image, images.read_rgb])
def test_huge_pictures_are_refused_by_their_header(tmp_path, monkeypatch, opened):
    path = tmp_path / "huge.png"
    content = bytearray(images.encode_png(PICTURE))
    content[16:24] = (10_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(DpigError, match="10000 x 10000 pixels .* more than the 67108864"):
        opened(path)


@pytest.mark.parametrize(
    "content", [b"DDS |" + bytes(200), b"\0\0\0\x1cftypavif" + b"mif1" * 60, b"\x89PNG", b"8BPS"]
)
@pytest.mark.parametrize("name", ["a.jpg", "a.avif"])
def test_whatever_is_no_photo_has_no_size(tmp_path, name, content):
    """Pillow's readers raise errors of many kinds for it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DpigError) as raised:
        images.upright_size(tmp_path / name)
    assert raised.value.file == str(tmp_path / name)


@pytest.mark.skipif(not images.AVIF, reason="this Pillow cannot read AVIF")
def test_the_size_of_a_damaged_photo(tmp_path):
    """Of each with one odd byte; Pillow's reader of AVIF raises RuntimeError for some."""
    path, refused = tmp_path / "a.avif", 0
    Image.fromarray(PICTURE).save(path)
    whole = path.read_bytes()
    for position in range(300):
        path.write_bytes(whole[:position] + b"\0" + whole[position + 1 :])
        try:
            images.upright_size(path)
        except DpigError:
            refused += 1
    assert refused


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_the_size_in_the_header_is_that_of_the_photo_as_it_is_seen(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(PICTURE).save(tmp_path / name, exif=exif)
    assert images.upright_size(tmp_path / name) == (10, 20, 6)
    assert photos.read(tmp_path / name).size == (10, 20)
