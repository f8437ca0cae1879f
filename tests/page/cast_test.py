import numpy as np
import pytest
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.page import cast


def test_synthetic_members_fit_the_model_and_differ(studio, members):
    model = studio.model
    assert len({member.label for member in members}) == len(members)
    for member in members:
        assert member.image.shape == (model.height, model.width, 3)
        assert member.keypoints.shape == (18, 3) and member.keypoints[:, 2].any()
        assert set(member.factors) == {"foreground", "background", "pose"}
    assert not np.array_equal(members[0].image, members[1].image)


def test_gallery_poses_show_the_whole_body(poses):
    assert len(poses) == 12
    assert all(pose[:14, 2].all() for pose in poses)


def _photo(path, rows=400, columns=300):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(1, 256, (rows, columns, 3), np.uint8)).save(path)
    return path


def test_a_person_is_cut_out_of_a_photo(tmp_path, studio, detector):
    member = cast.member_on_photo(_photo(tmp_path / "a.png"), "Me", studio.model, detector)
    model = studio.model
    assert member.image.shape == (model.height, model.width, 3)
    assert member.keypoints[:, 2].any()
    assert member.photo.shape == (400, 300, 3)
    pasted = member.crop.paste(member.photo, member.image)
    assert pasted.shape == member.photo.shape


def test_a_large_photo_is_made_smaller(tmp_path):
    Image.new("RGB", (7000, 5800), (9, 99, 200)).save(tmp_path / "large.png")
    assert cast.read_photo(tmp_path / "large.png").shape == (1326, 1600, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"no picture", "cannot be used as a photo"),
        ("a.png", b"", "cannot be used as a photo"),
        ("a.txt", b"text", "cannot be used as a photo"),
        ("a", b"text", "no ending"),
    ],
)
def test_files_that_are_no_photos_get_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DpigError, match=message) as caught:
        cast.read_photo(tmp_path / name)
    assert caught.value.file == str(tmp_path / name)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_small_and_huge_and_empty_photos_get_a_sentence(tmp_path, studio, detector):
    with pytest.raises(DpigError, match="too small: 20 x 40 pixels"):
        cast.read_photo(_photo(tmp_path / "small.png", 40, 20))
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(DpigError, match="pixels"):
        cast.read_photo(tmp_path / "huge.png")
    Image.new("RGB", (300, 400)).save(tmp_path / "nobody.png")
    with pytest.raises(DpigError, match="No person was found"):
        cast.member_on_photo(tmp_path / "nobody.png", "Me", studio.model, detector)


def test_moved_poses_stay_in_the_image(studio):
    points = [[-5, 500, 1], [3, 4, 0], *[[10, 10, 1]] * 16]
    pose = cast.moved_pose(points, studio.model)
    np.testing.assert_array_equal(pose[0], [0, studio.model.width - 1, 1])
    np.testing.assert_array_equal(pose[1], [0, 0, 0])
    points[2] = [9.996, 9.994, 1]
    np.testing.assert_array_equal(
        cast.moved_pose(points, studio.model)[2], np.float32([10, 9.99, 1])
    )


@pytest.mark.parametrize(
    "points",
    [None, [], [[1, 2, 1]] * 17, [[1, 2, float("nan")]] * 18, [["a", 1, 1]] * 18, [[1, 2, 0]] * 18],
)
def test_what_is_no_pose_is_refused(studio, points):
    with pytest.raises(DpigError) as caught:
        cast.moved_pose(points, studio.model)
    assert caught.value.field == "pose"
