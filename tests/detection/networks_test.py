from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dpig_tf2.detection import networks
from dpig_tf2.detection.networks import Region
from dpig_tf2.errors import DpigError


def spot(height, width, row, column, size):
    """A black photo with a white square around a point."""
    photo = np.zeros((height, width, 3), np.uint8)
    photo[row - size : row + size, column - size : column + size] = 255
    return photo


def middle(picture):
    rows, columns = np.nonzero(picture[:, :, 0] > 127)
    return columns.mean() + 0.5, rows.mean() + 0.5


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
@pytest.mark.parametrize(("size", "dot"), [(120, 3), (900, 20)])
def test_a_crop_and_its_map_agree(mirrored, angle, size, dot):
    photo = spot(size, size + 60, size // 2 + 13, size // 3 + 5, dot)
    region = Region(size / 2, size / 2 - 4, size * 1.1, angle)
    x, y = middle(networks.crop(photo, region, 128, mirrored))
    to_photo = region.to_photo(128, mirrored)
    expected = (size // 3 + 5, size // 2 + 13)
    np.testing.assert_allclose(to_photo @ (x, y, 1), expected, atol=region.side / 128)


def test_a_mirrored_crop_is_the_mirror_image():
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    plain, mirrored = (networks.crop(photo, Region(30, 40, 64), 64, flip) for flip in (False, True))
    np.testing.assert_allclose(mirrored[:, ::-1], plain, atol=1)


def test_the_edge_goes_on_beyond_the_photo():
    photo = np.zeros((20, 10, 3), np.uint8)
    photo[:, :5] = 200
    picture = networks.crop(photo, Region(5, 10, 80), 80)
    assert np.all(picture[:, :39] == 200) and np.all(picture[:, 41:] == 0)
    far = networks.crop(photo, Region(-200, 10, 40), 16)
    assert np.all(far == 200)


def test_shrinking_averages():
    photo = np.zeros((400, 400, 3), np.uint8)
    photo[::2] = 200
    picture = networks.crop(photo, Region(200, 200, 400), 50)
    np.testing.assert_allclose(picture[1:-1, 1:-1], 100, atol=1)


def test_a_region_points_up_the_person():
    region = Region.around((10.0, 50.0), (10.0, 30.0))
    assert (region.x, region.y, region.side, region.angle) == (10, 50, 50, 0)
    lying = Region.around((10.0, 50.0), (30.0, 50.0))
    # The person's upper end lies to the right of the photo, and up in the picture.
    to_photo = lying.to_photo(100)
    np.testing.assert_allclose(to_photo @ (50, 10, 1), (30, 50), atol=1e-9)


@pytest.mark.parametrize(
    "region", [Region(50, 5, 4), Region(500, 5, 40), Region(50, 5, 501), Region(5, 5, np.nan)]
)
def test_senseless_regions_do_not_fit(region):
    assert Region(50, 5, 40).fits(np.zeros((10, 100, 3), np.uint8))
    assert not region.fits(np.zeros((10, 100, 3), np.uint8))


def test_mask_comes_back_to_its_place():
    photo = spot(80, 60, 40, 20, 10)
    region = Region(30, 40, 90, 0.5)
    mask = networks.crop(photo, region, 256)[:, :, 0] / 255
    back = networks.mask_in_photo(mask, region, 80, 60)
    assert back.shape == (80, 60) and back.dtype == np.float32
    np.testing.assert_array_equal(back[31:49, 11:29] > 0.5, True)
    assert back[:27].max() < 0.5 and back[:, 34:].max() < 0.5


def test_mirrored_landmarks_are_pairs():
    pairs = networks.MIRRORED
    np.testing.assert_array_equal(pairs[pairs], np.arange(networks.NUM_LANDMARKS))
    assert pairs[0] == 0 and pairs[11] == 12 and pairs[2] == 5 and pairs[7] == 8 and pairs[31] == 32


def test_points_move_to_their_heat():
    points = np.tile([128.0, 128.0], (networks.NUM_LANDMARKS, 1))
    heat = np.zeros((64, 64, networks.NUM_LANDMARKS))
    heat[33, 31, 0] = 0.8  # nearby, and clear
    heat[33, 31, 1] = 0.4  # unclear
    heat[50, 50, 2] = 0.9  # out of reach
    points[3] = (-40.0, 900.0)
    moved, peaks = networks._refined(points, heat)
    np.testing.assert_allclose(moved[0], (31 * 4, 33 * 4))
    np.testing.assert_array_equal(moved[1:], points[1:])
    np.testing.assert_allclose(peaks[:4], (0.8, 0.4, 0, 0))


def test_the_best_of_overlapping_boxes_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [0, 0, 2, 2.0]])
    assert list(networks._without_overlap(boxes)) == [0, 2, 3]


def test_anchors_are_the_middles_of_cells():
    anchors = networks._anchors()
    assert anchors.shape == (2254, 2)
    np.testing.assert_allclose(anchors[0], (4 / 224, 4 / 224))
    np.testing.assert_allclose(anchors[-1], (208 / 224, 208 / 224))


def test_a_file_of_another_network_is_refused(pose_model):
    content = (pose_model / "pose_detection.tflite").read_bytes()
    with pytest.raises(DpigError, match=r"expected \[1, 256, 256, 3\]") as raised:
        networks.LandmarkNetwork(content, "a.tflite", 1)
    assert raised.value.file == "a.tflite"
    with pytest.raises(DpigError, match="not a LiteRT model"):
        networks.PersonFinder(content[:1000], "a.tflite", 1)


def test_threads_share_a_network(pose_model):
    """As two who use the page at once."""
    content = (pose_model / "pose_detection.tflite").read_bytes()
    network = networks._Network(content, "a.tflite", 1, 224, {"scores": (2254, 1)})
    pictures = np.random.default_rng(0).random((12, 224, 224, 3), np.float32)
    alone = [network(picture)["scores"] for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        together = [found["scores"] for found in threads.map(network, pictures)]
    np.testing.assert_array_equal(together, alone)
