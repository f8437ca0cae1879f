import numpy as np
import pytest

from dpig_tf2.detection import crops
from dpig_tf2.errors import DpigError


def gradient(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows % 256, columns % 256, rows * 0 + 90], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    "box", [(100, 300, 300, 380), (0, 0, 400, 60), (390, 590, 400, 600), (100, 10, 120, 500)]
)
def test_a_crop_has_the_proportions_and_holds_the_person(box):
    crop = crops.person_crop(np.array(box), (400, 600), 128, 64)
    assert abs(crop.rows / crop.columns - 2) < 0.05
    assert crop.top <= max(box[0], 0) and crop.top + crop.rows >= box[2]
    assert crop.left <= max(box[1], 0) and crop.left + crop.columns >= box[3]
    wide, high = box[3] - box[1], box[2] - box[0]
    assert crop.rows >= 1.19 * high and crop.columns >= 1.19 * wide
    assert min(crop.rows / (1.2 * high), crop.columns / (1.2 * wide)) < 1.1


def test_a_crop_stays_inside_the_photo_where_it_can():
    crop = crops.person_crop(np.array((0, 0, 100, 30)), (400, 600), 128, 64)
    assert (crop.top, crop.left) == (0, 0)


def test_a_crop_that_is_too_large_for_the_photo_is_centered():
    crop = crops.person_crop(np.array((0, 100, 100, 140)), (100, 400), 128, 64)
    assert (crop.top, crop.left, crop.rows, crop.columns) == (-10, 90, 120, 60)


def test_a_crop_has_pixels():
    crop = crops.person_crop(np.array((5, 5, 5, 5)), (400, 600), 128, 64)
    assert (crop.rows, crop.columns) == (2, 1)
    with pytest.raises(DpigError, match="at least one pixel"):
        crops.Crop(0, 0, 0, 4, 8, 4)


def test_keypoints_go_there_and_back():
    crop = crops.person_crop(np.array((50, 100, 250, 180)), (400, 600), 128, 64)
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[:3] = ((60, 110, 1), (240.5, 170.25, 1), (150, 140, 1))
    keypoints[3] = (390, 590, 1)  # not in the crop
    moved = crop.to_crop(keypoints)
    assert np.all(moved[3:] == 0) and np.all(moved[:3, 2] == 1)
    np.testing.assert_allclose(crop.to_photo(moved)[:3], keypoints[:3], atol=1e-4)


@pytest.mark.parametrize(
    ("keypoint", "expected"),
    [
        ((99.6, -20.4, 1), (0, 0, 1)),  # on the outermost pixels of the picture
        ((219.4, 159.4, 1), (59, 89, 1)),
        ((99.4, 50, 1), (0, 0, 0)),  # beyond one of its edges
        ((219.6, 50, 1), (0, 0, 0)),
        ((150, -20.6, 1), (0, 0, 0)),
        ((150, 159.6, 1), (0, 0, 0)),
        ((150, 50, 0), (0, 0, 0)),  # missing
    ],
)
def test_keypoints_at_the_edge_of_a_crop(keypoint, expected):
    crop = crops.Crop(top=100, left=-20, rows=120, columns=180, height=60, width=90)
    np.testing.assert_allclose(crop.to_crop(np.array([keypoint]))[0], expected)
    assert crop.to_photo(np.array([[0.0, 0.0, 0.0]])).max() == 0


def test_what_is_made_smaller_is_averaged():
    """A pattern whose every second pixel would otherwise be dropped."""
    photo = np.zeros((40, 40, 3), np.uint8)
    photo[::2] = 240
    crop = crops.Crop(0, 0, 40, 40, 20, 20)
    assert np.abs(crop.cut(photo)[2:-2].astype(int) - 120).max() < 12
    mask = np.ones((40, 40), np.float32)
    mask[1::2, 1::2] = 0  # three quarters of each pixel are the person's
    assert crop.body_mask(mask).min() == 1 and crop.body_mask(1 - mask).max() == 0


def test_cut_pixels_lie_where_their_keypoints_say():
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[140:160, 90:110] = 255
    crop = crops.Crop(top=100, left=-20, rows=120, columns=180, height=60, width=90)
    picture = crop.cut(photo)
    assert picture.shape == (60, 90, 3) and picture.dtype == np.uint8
    rows, columns = np.nonzero(picture[:, :, 0] > 127)
    keypoint = crop.to_crop(np.array([[149.5, 99.5, 1.0]]))[0]
    np.testing.assert_allclose((rows.mean(), columns.mean()), keypoint[:2], atol=0.6)


def test_beyond_the_photo_its_edge_goes_on():
    photo = np.full((40, 40, 3), 50, np.uint8)
    photo[:, :2] = 200
    picture = crops.Crop(0, -40, 40, 60, 40, 60).cut(photo)
    assert np.all(picture[:, :42] == 200) and np.all(picture[:, 42:] == 50)
    picture = crops.Crop(0, 0, 60, 60, 60, 60).cut(photo[:, ::-1])
    assert np.all(picture[:, :38] == 50) and np.all(picture[:, 38:] == 200)
    for corner in (100, -100):
        assert crops.Crop(corner, corner, 8, 4, 8, 4).cut(photo).shape == (8, 4, 3)


def test_a_head_at_the_edge_does_not_become_a_post():
    """Walls go on in the colors of their places, legs go on below."""
    wall = np.linspace(150, 210, 60).astype(np.uint8)
    photo = np.repeat(np.tile(wall, (40, 1))[:, :, None], 3, axis=2)
    photo[:, 22:36] = 20
    sideways = crops.Crop(0, -20, 60, 80, 60, 80).cut(np.swapaxes(photo, 0, 1))[..., 0].astype(int)
    photo[-1] = 20
    picture = crops.Crop(-20, 0, 80, 60, 80, 60).cut(photo)[..., 0].astype(int)
    np.testing.assert_array_equal(picture[20:60], photo[..., 0])
    assert np.abs(picture[:16] - wall).max() < 30
    assert (np.diff(picture[:16].mean(axis=1)) >= 0).all()
    assert np.all(picture[60:] == 20)
    assert np.abs(sideways[:, :16] - wall[:, None]).max() < 30
    assert np.abs(sideways[:, 64:] - wall[:, None]).max() < 30


def test_pasting_back_what_was_cut_changes_nothing():
    photo = gradient(200, 250)
    crop = crops.Crop(20, 30, 128, 64, 128, 64)
    np.testing.assert_array_equal(crop.paste(photo, crop.cut(photo)), photo)


def test_paste_has_a_soft_edge_and_keeps_the_rest():
    photo = np.zeros((200, 250, 3), np.uint8)
    crop = crops.Crop(20, 30, 100, 50, 200, 100)
    pasted = crop.paste(photo, np.full((200, 100, 3), 240, np.uint8), feather=0.2)
    assert photo.max() == 0, "the photo itself is left alone"
    assert np.all(pasted[30:110, 40:70] == 240)
    # 3.5 of 10 pixels inside: 0.35^2 (3 - 0.7) of 240, rounded.
    assert pasted[70, 33, 0] == 68 and pasted[70, 30, 0] < pasted[70, 35, 0]
    outside = np.ones((200, 250), bool)
    outside[20:120, 30:80] = False
    assert np.all(pasted[outside] == 0)


def test_edges_at_the_photos_edge_stay_hard():
    photo = np.zeros((100, 80, 3), np.uint8)
    crop = crops.Crop(-20, 0, 100, 50, 100, 50)
    pasted = crop.paste(photo, np.full((100, 50, 3), 240, np.uint8), feather=0.2)
    assert np.all(pasted[:60, :35] == 240), "above and to the left the photo ends"
    assert pasted[78, 20, 0] < 100 and pasted[20, 48, 0] < 100
    corner = crops.Crop(50, 40, 50, 40, 50, 40)
    pasted = corner.paste(photo, np.full((50, 40, 3), 240, np.uint8), feather=0.2)
    assert np.all(pasted[60:, 50:] == 240), "below and to the right too"
    inside = crops.Crop(10, 10, 50, 40, 50, 40)
    pasted = inside.paste(photo, np.full((50, 40, 3), 240, np.uint8), feather=0)
    assert np.all(pasted[10:60, 10:50] == 240), "without a soft edge"


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(DpigError, match=r"must be \[64, 32, 3\]") as raised:
        crops.Crop(0, 0, 64, 32, 64, 32).paste(gradient(64, 32), gradient(32, 32))
    assert raised.value.field == "picture"


def test_soft_mask_becomes_a_body_mask():
    mask = np.zeros((200, 100), np.float32)
    mask[50:150, 20:60] = 0.9
    mask[50:150, 60:80] = 0.3
    body = crops.Crop(0, 0, 200, 100, 100, 50).body_mask(mask)
    assert body.shape == (100, 50, 1) and body.dtype == np.float32
    expected = np.zeros((100, 50), np.float32)
    expected[25:75, 10:30] = 1
    np.testing.assert_array_equal(body[:, :, 0], expected)
    mask[:] = 1
    for corner in (200, -200):
        assert not crops.Crop(corner, corner, 8, 4, 8, 4).body_mask(np.ones((200, 100))).any()
    beyond = crops.Crop(-100, 0, 200, 100, 100, 50).body_mask(mask)
    assert beyond[:50].max() == 0 and beyond[50:].min() == 1
