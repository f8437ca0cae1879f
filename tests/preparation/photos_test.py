import io
import os
import pathlib
import random
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, features

from dpig_tf2.errors import DpigError
from dpig_tf2.preparation import photos


def save(path, height, width, mode="RGB", **options):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def decode(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def keypoints_at(*points):
    keypoints = np.zeros((18, 3), np.float32)
    for k, point in enumerate(points):
        keypoints[k] = (*point, 1)
    return keypoints


def test_stretch_scales_both_axes():
    placement = photos.place((100, 50), (50, 100), "stretch")
    moved = placement.keypoints(keypoints_at((10, 20)))
    assert moved[0].tolist() == [5, 40, 1]
    assert moved[1].tolist() == [0, 0, 0]


def test_letterbox_keeps_proportions():
    placement = photos.place((100, 50), (64, 64), "letterbox")
    assert placement.scale == (0.64, 0.64)
    assert placement.offset == (0, 16)
    assert placement.keypoints(keypoints_at((50, 0)))[0].tolist() == [32, 16, 1]
    # A missing keypoint does not move to the offset.
    assert placement.keypoints(keypoints_at())[0].tolist() == [0, 0, 0]


def test_none_admits_the_right_size_only():
    assert photos.place((64, 32), (64, 32), "none").is_identity
    with pytest.raises(ValueError, match="is 60 x 32 pixels, expected 64 x 32"):
        photos.place((60, 32), (64, 32), "none")
    with pytest.raises(ValueError, match="'tile'"):
        photos.place((60, 32), (64, 32), "tile")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_fitting_photo_stays_byte_for_byte(tmp_path, ending):
    path = save(tmp_path / f"a.{ending}", 64, 32)
    assert photos.read(path).encoded(photos.place((64, 32), (64, 32), "none")) == path.read_bytes()


def test_letterboxed_photo_has_gray_margins(tmp_path):
    path = save(tmp_path / "a.png", 100, 50)
    pixels = decode(photos.read(path).encoded(photos.place((100, 50), (64, 64), "letterbox")))
    assert pixels.shape == (64, 64, 3)
    assert (pixels[:, :16] == 128).all() and (pixels[:, 48:] == 128).all()
    assert pixels[:, 16:48].std() > 5


def test_flip_mirrors(tmp_path):
    path = save(tmp_path / "a.png", 64, 32)
    plain = decode(path.read_bytes())
    flipped = decode(photos.read(path).encoded(photos.Placement(64, 32), mirrored=True))
    np.testing.assert_array_equal(flipped, plain[:, ::-1])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_color_modes_become_rgb(tmp_path, mode):
    path = save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), 64, 32, mode)
    encoded = photos.read(path).encoded(photos.Placement(64, 32))
    assert Image.open(io.BytesIO(encoded)).mode == "RGB"


def test_stored_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = save(tmp_path / "a.jpg", 32, 64, exif=exif)
    assert photos.read(path).size == (64, 32)
    assert decode(photos.read(path).encoded(photos.Placement(64, 32))).shape == (64, 32, 3)


def test_damaged_orientation(tmp_path):
    """Pillow decodes the pixels, and fails on the tags when they are asked for."""
    path = save(tmp_path / "a.png", 64, 32, exif=b"Exif\0\0MM\0*\0")
    with pytest.raises(DpigError, match="cannot be read") as raised:
        photos.read(path)
    assert raised.value.file == str(path)


def test_mutated_photos_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(300):
        path = save(tmp_path / f"a{('.jpg', '.png', '.bmp', '.webp')[number % 4]}", 8, 4, exif=exif)
        odd = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 6)):
            odd[rng.randrange(min(len(odd), 400))] = rng.randrange(256)
        path.write_bytes(odd)
        try:
            photos.read(path)
        except DpigError as error:
            assert error.file == str(path)


def test_damaged_photo(tmp_path):
    path = save(tmp_path / "a.jpg", 64, 32)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="cannot be read"):
        photos.read(path)


@pytest.mark.parametrize(
    ("name", "content", "encoded"),
    [
        ("a.jpg", "GIF", "JPEG"),
        ("a.png", "BMP", "PNG"),
        ("a.webp", "PNG", "PNG"),
        ("a.jpg", "WEBP", "JPEG"),
        ("a.gif", "TIFF", "JPEG"),
    ],
)
def test_the_content_decides_the_format(tmp_path, name, content, encoded):
    path = tmp_path / name
    with path.open("wb") as file:
        Image.new("RGB", (32, 64), (255, 0, 0)).save(file, content)
    kept = photos.read(path).encoded(photos.Placement(64, 32))
    assert Image.open(io.BytesIO(kept)).format == encoded
    np.testing.assert_allclose(decode(kept)[3, 3], (255, 0, 0), atol=3)


@pytest.mark.parametrize("content", [b"DDS |" + bytes(200), b"8BPS" + bytes(200)])
def test_other_content_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DpigError, match="is not a JPEG or PNG image, nor BMP, WEBP, TIFF"):
        photos.read(tmp_path / "a.jpg")


def test_the_first_frame_of_an_animation(tmp_path):
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    (tmp_path / "a.gif").rename(tmp_path / "a.jpg")
    assert photos.read(tmp_path / "a.jpg").image.getpixel((3, 3)) == (255, 0, 0)


def test_formats_that_fit_the_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(save(tmp_path / "a.png", 64, 32).read_bytes())
    for name in ("a.jpg", "a.bmp", "a.webp"):
        path = tmp_path / name
        if not path.exists():
            save(path, 64, 32)
        assert decode(photos.read(path).encoded(photos.Placement(64, 32))).shape == (64, 32, 3)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_lose_the_lower_ones(tmp_path, ending):
    gray = np.arange(64 * 32, dtype=np.uint16).reshape(64, 32) * 32
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(gray).save(tmp_path / f"a.{ending}", exif=exif)
    photo = photos.read(tmp_path / f"a.{ending}")
    expected = (gray[::-1, ::-1] >> 8)[:, :, None].repeat(3, 2)
    np.testing.assert_array_equal(np.asarray(photo.image), expected)
    assert not photo.is_plain


def test_more_than_sixteen_bits(tmp_path):
    Image.fromarray(np.full((64, 32), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DpigError, match="has pixels of mode F, expected 8 bits"):
        photos.read(tmp_path / "a.tif")
    gray = Image.fromarray(np.full((64, 32), 300, np.uint16))
    gray.save(tmp_path / "a.png", transparency=300)
    with pytest.raises(DpigError, match="has pixels of mode I;16, expected 8 bits"):
        photos.read(tmp_path / "a.png")


def test_photos_are_listed_and_what_is_left_out_is_named(tmp_path):
    photo_names = ["a.PNG", "anna/b.jpg", "anna/deep/c.tif", "d - Copy.jpg", "e.jpg"]
    left_out = ["f.heic", "-1_c1s1_000401_03.jpg", "0000_c6s1_000151_01.jpg", "e - Copy (2).jpg"]
    for name in (*photo_names, *left_out, "Thumbs.db", "._e.jpg", ".cache/g.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d - Copy.jpg").write_text("another photo")
    (tmp_path / "d.jpg").touch()
    problems = []
    found = photos.find_images(tmp_path, problems)
    assert found == (sorted([*photo_names, "d.jpg"]), len(left_out))
    copy, heic, junk = problems
    assert copy == f"{tmp_path / 'e - Copy (2).jpg'}: a copy of e.jpg, skipped"
    assert heic.startswith(f"{tmp_path / 'f.heic'}: ")
    assert junk.startswith(f"{tmp_path}: 2 images of Market-1501 junk")
    with pytest.raises(DpigError) as raised:
        photos.list_images(tmp_path / "nowhere")
    assert raised.value.file == str(tmp_path / "nowhere")
    with pytest.raises(DpigError, match="e.jpg is a file, not a folder"):
        photos.list_images(tmp_path / "e.jpg")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.heic").touch()
    with pytest.raises(DpigError, match="x.heic"):
        photos.list_images(tmp_path / "sub")
    (tmp_path / "sub" / "x.heic").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "sub" / "photo", "PNG")
    with pytest.raises(DpigError, match="photo: an image without an ending"):
        photos.list_images(tmp_path / "sub")


def test_what_cannot_be_opened_is_named(tmp_path):
    save(tmp_path / "a.png", 4, 4)
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "notes").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "linked").symlink_to(tmp_path)
    problems = []
    assert photos.list_images(tmp_path, problems) == ["a.png"]
    assert problems == [
        f"{tmp_path / 'linked'}: a link to a folder, not followed",
        f"{tmp_path / 'b.png'}: no file that can be opened, skipped",
    ]


def test_a_copy_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    for name in ("a.jpg", "a - Copy.jpg"):
        (tmp_path / name).touch()
    monkeypatch.setattr("filecmp.cmp", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert photos.list_images(tmp_path) == ["a - Copy.jpg", "a.jpg"]


def test_photos_whose_names_are_not_utf8_are_left_out(tmp_path):
    """Nothing that names them could be written once all work was done."""
    names = [os.fsdecode(name) for name in (b"b.png", b"caf\xe9/1.png", b"caf\xe9_1.png")]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name, 4, 4)
    problems = []
    assert photos.list_images(tmp_path, problems) == ["b.png"]
    for problem, name in zip(problems, ("/1.png", "_1.png"), strict=True):
        assert problem.startswith(f"{tmp_path}/caf\\udce9{name}: its name is not UTF-8")
    with pytest.raises(DpigError, match="its name is not UTF-8"):
        photos.read(tmp_path / names[2])


def test_the_middle_of_a_wide_photo():
    placement = photos.place((256, 256), (256, 176), "crop")
    assert placement == photos.Placement(256, 176, (1.0, 1.0), (0, -40))
    pixels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(256, 0).repeat(3, 2)
    placed = photos.Photo(Image.fromarray(pixels), True, pathlib.Path("a.png"), b"").placed(
        placement
    )
    np.testing.assert_array_equal(placed, pixels[:, 40:216])


def test_photos_that_are_too_long_to_be_cut():
    with pytest.raises(DpigError, match="would be 256 x 25600000 pixels before it is cut"):
        photos.place((1, 100_000), (256, 176), "crop")
    assert photos.place((1, 100_000), (256, 176), "letterbox").scale == (0.00176, 0.00176)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_behind_transparent_pixels_never_shows(tmp_path, mode):
    hidden = Image.new("RGBA", (8, 8), (200, 200, 200, 0))
    hidden.paste((10, 10, 10, 255), (0, 0, 4, 8))
    options = {"transparency": 0} if mode in ("P", "RGB") else {}
    if mode == "P":
        hidden = Image.fromarray(np.array(hidden)[:, :, 3] // 255, "P")
        hidden.putpalette([200] * 3 + [10] * 3)
    elif mode == "RGB":
        hidden, options = hidden.convert("RGB"), {"transparency": (200, 200, 200)}
    else:
        hidden = hidden.convert(mode)
    hidden.save(tmp_path / "a.png", **options)
    photo = photos.read(tmp_path / "a.png", (1, 2, 3))
    assert photo.image.getpixel((0, 0)) == (10, 10, 10)
    assert photo.image.getpixel((7, 0)) == (1, 2, 3)
    assert not photo.is_plain


def test_only_a_background_that_was_cut_out_is_an_outline(tmp_path):
    def cutout(alpha):
        pixels = np.dstack([np.full((8, 8, 3), 9, np.uint8), np.array(alpha, np.uint8)])
        Image.fromarray(pixels).save(tmp_path / "a.png")
        return photos.read(tmp_path / "a.png").cutout

    inner, corner, lower = np.zeros((8, 8)), np.full((8, 8), 255), np.zeros((8, 8))
    inner[2:6, 2:6], corner[0, 0], lower[2:, 2:6] = 255, 0, 200
    np.testing.assert_array_equal(cutout(inner), np.float32(inner / 255))
    np.testing.assert_array_equal(cutout(lower), np.float32(lower / 255))
    assert cutout(corner) is None and cutout(np.zeros((8, 8))) is None
    assert photos.read(save(tmp_path / "b.png", 8, 8)).cutout is None


def test_photos_that_cannot_be_read_are_named(tmp_path):
    save(tmp_path / "a.tif", 8, 4)
    (tmp_path / "b.png").write_text("no picture")
    Image.new("RGBA", (4, 8), (200, 200, 200, 0)).save(tmp_path / "c.png")
    skipped = []
    read = dict(photos.read_all(tmp_path, ["a.tif", "b.png", "c.png"], skipped, (1, 2, 3)))
    assert list(read) == ["a.tif", "c.png"]
    assert (read["c.png"] == (1, 2, 3)).all()
    (problem,) = skipped
    assert problem.startswith(f"{tmp_path / 'b.png'}: is not a")


@pytest.mark.parametrize("ending", ["tif", "gif", "avif"])
def test_further_formats_are_read(tmp_path, ending):
    if ending == "avif" and not features.check("avif"):
        pytest.skip("this Pillow cannot read AVIF")
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / f"a.{ending}")
    photo = photos.read(tmp_path / f"a.{ending}")
    assert photo.size == (10, 20)
    np.testing.assert_allclose(photo.image.getpixel((3, 3)), (255, 0, 0), atol=3)
    assert not photo.is_plain


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_photo_goes_to_its_place_without_another_compression(tmp_path, name):
    photo = photos.read(save(tmp_path / name, 100, 50))
    placed = photo.placed(photos.place(photo.size, (50, 64), "letterbox"))
    expected = photo.image.resize((25, 50), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(placed[:, 19:44], np.asarray(expected))
    assert (placed[:, :19] == 128).all() and (placed[:, 44:] == 128).all()


def test_a_photo_is_decoded_once_whatever_is_made_of_it(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", 64, 32)
    photo = photos.read(path)
    monkeypatch.setattr(photos, "open_image", None)
    assert photo.is_plain and photo.is_kept(photos.Placement(64, 32))
    path.unlink()
    assert photo.encoded(photos.Placement(64, 32)) == photo.content
    for place in (photos.Placement(64, 32), photos.place((64, 32), (32, 32), "crop")):
        assert not photo.is_kept(place, mirrored=True)
        assert decode(photo.encoded(place, mirrored=True)).shape == (place.height, 32, 3)
