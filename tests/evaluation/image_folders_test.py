import re

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.image_folders import (
    Panel,
    image_files,
    pair_by_list,
    pair_by_name,
    read_image,
    read_mask,
    score_folders,
)
from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.evaluation.pair_scores import PairScores
from dpig_tf2.evaluation.ssim import masked_ssim


def noise_image(seed, height=24, width=16):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, levels, **options):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(levels).save(path, **options)
    return path


@pytest.fixture
def folders(tmp_path):
    """Two folders with images of the names a and b, no two alike."""
    for seed, name in enumerate(("generated/a.png", "generated/b.png", "target/a.png")):
        save(tmp_path / name, noise_image(seed))
    save(tmp_path / "target" / "b.png", noise_image(3))
    return tmp_path / "generated", tmp_path / "target"


def test_pairs_are_matched_by_name_whatever_case_and_extension(tmp_path):
    generated, target = tmp_path / "generated", tmp_path / "target"
    for path in (
        generated / "0002_c1.PNG",
        generated / "0001_C1.jpg",
        target / "0001_c1.png",
        target / "0002_c1.jpeg",
        target / "._0003_c1.jpg",
    ):
        save(path, noise_image(0))
    (target / "notes.txt").write_text("not an image")
    assert pair_by_name(generated, target) == [
        ("0001_C1", generated / "0001_C1.jpg", target / "0001_c1.png"),
        ("0002_c1", generated / "0002_c1.PNG", target / "0002_c1.jpeg"),
    ]


@pytest.mark.parametrize("side", (0, 1))
def test_unmatched_names_are_refused_unless_allowed(folders, side):
    for index in range(7):
        save(folders[side] / f"extra{index}.png", noise_image(index))
    with pytest.raises(ValueError, match=r"7 of 9 images .*extra0.png, .*extra4.png, \.\.\.$"):
        pair_by_name(*folders)
    assert [name for name, _, _ in pair_by_name(*folders, allow_unmatched=True)] == ["a", "b"]


@pytest.mark.parametrize("side", (0, 1))
def test_pictures_in_other_formats_are_not_passed_over_in_silence(folders, side):
    for folder in folders:
        save(folder / "c.webp", noise_image(0))
        save(folder / "._d.bmp", noise_image(0))
    (folders[1 - side] / "c.webp").unlink()
    with pytest.raises(DpigError, match=r"1 picture that would not be scored.*\.png: c\.webp$"):
        pair_by_name(*folders)
    assert len(pair_by_name(*folders, allow_unmatched=True)) == 2


def test_folders_without_common_name_are_refused_even_if_unmatched_is_allowed(tmp_path):
    save(tmp_path / "one" / "a.png", noise_image(0))
    save(tmp_path / "two" / "b.png", noise_image(0))
    with pytest.raises(ValueError, match="no image .*a.png against b.png"):
        pair_by_name(tmp_path / "one", tmp_path / "two", allow_unmatched=True)


def test_two_files_of_one_name_are_refused(folders):
    save(folders[0] / "A.jpg", noise_image(0))
    with pytest.raises(ValueError, match="have the same name"):
        pair_by_name(*folders)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        image_files(tmp_path / "nowhere")
    (tmp_path / "readme.md").write_text("no image")
    with pytest.raises(ValueError, match=r"has no image \(\.jpg, \.jpeg, \.png\)"):
        image_files(tmp_path)


def test_scores_are_those_of_the_arrays(folders):
    result = score_folders(*folders, ImageScores("dpig"))
    expected = PairScores("dpig")
    for seed in (0, 1):
        expected.add(noise_image(seed), noise_image(seed + 2))
    assert (result["protocol"], result["count"], result["names"]) == ("dpig", 2, ["a", "b"])
    assert expected.summary()["metrics"].items() <= result["metrics"].items()
    assert not (result["unmatched_generated"] or result["unmatched_target"] or result["skipped"])


def test_unmatched_images_are_named(folders):
    save(folders[1] / "c.png", noise_image(9))
    result = score_folders(*folders, ImageScores("patn"), allow_unmatched=True)
    assert result["count"] == 2
    assert (result["unmatched_generated"], result["unmatched_target"]) == ([], ["c.png"])


def test_masks_are_matched_by_name(folders, tmp_path):
    masks = np.zeros((2, 24, 16), np.uint8)
    masks[0, 2:20, 3:12] = 1
    masks[1, 5:15, 5:15] = 1
    save(tmp_path / "masks" / "A.png", masks[0] * 255)
    save(tmp_path / "masks" / "b.png", masks[1])
    save(tmp_path / "masks" / "unused.png", masks[1])
    scores = score_folders(*folders, ImageScores("dpig"), tmp_path / "masks")["metrics"][
        "mask_ssim"
    ]
    assert scores["per_image"] == pytest.approx(
        [
            masked_ssim(noise_image(0), noise_image(2), masks[0], "dpig"),
            masked_ssim(noise_image(1), noise_image(3), masks[1], "dpig"),
        ]
    )


def test_missing_mask_is_refused(folders, tmp_path):
    save(tmp_path / "masks" / "a.png", np.ones((24, 16), np.uint8))
    with pytest.raises(ValueError, match="no mask for 1 of 2 images: b.png"):
        score_folders(*folders, ImageScores("dpig"), tmp_path / "masks")


def test_mask_of_another_size_is_refused_by_file_name(folders, tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "masks" / f"{name}.png", np.ones((16, 24), np.uint8))
    with pytest.raises(ValueError, match=r"masks.a\.png: mask of shape \(16, 24\)"):
        score_folders(*folders, ImageScores("dpig"), tmp_path / "masks")


def test_one_bad_pair_is_reported_and_the_rest_is_scored(folders):
    save(folders[0] / "b.png", noise_image(0, 48, 32))
    result = score_folders(*folders, ImageScores("dpig"))
    assert (result["count"], result["names"]) == (1, ["a"])
    assert len(result["skipped"]) == 1
    assert re.search(r"generated.b\.png, .*target.b\.png: .*expected one", result["skipped"][0])


def test_folders_without_one_good_pair_are_refused(folders):
    for name in ("a.png", "b.png"):
        (folders[1] / name).write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"not one of 2 pairs .*target.a\.png is not a JPEG"):
        score_folders(*folders, ImageScores("dpig"))


def test_generated_images_that_are_named_after_source_and_target(tmp_path):
    for name in ("a.jpg", "b.png"):
        (tmp_path / "target").mkdir(exist_ok=True)
        save(tmp_path / "target" / name, noise_image(0))
    (tmp_path / "generated").mkdir()
    for name in ("c___a_vis.png", "c.jpg___b.png_vis.png", "a_to_b.png"):
        save(tmp_path / "generated" / name, noise_image(1))
    folders = tmp_path / "generated", tmp_path / "target"
    listed = [("c.jpg", "a.jpg"), ("c.jpg", "b.png"), ("a", "b")]
    pairs = pair_by_list(*folders, listed)
    assert [(path.name, real.name) for _, path, real in pairs] == [
        ("c___a_vis.png", "a.jpg"),
        ("c.jpg___b.png_vis.png", "b.png"),
        ("a_to_b.png", "b.png"),
    ]
    with pytest.raises(DpigError, match="1 of 4 listed pairs lack an image.*: b to a"):
        pair_by_list(*folders, [*listed, ("b", "a")])
    assert pair_by_list(*folders, [*listed, ("b", "a")], allow_unmatched=True) == pairs
    keypoints = {"a_to_b.png": POSE}, {"b.png": POSE}
    scores = score_folders(*folders, ImageScores("dpig"), keypoints=keypoints, listed=listed)
    pose_error = scores["metrics"]["pose_error"]
    assert (pose_error["pictures"], pose_error["missed"]) == (2, 1)
    assert scores["unmatched_generated"] == scores["unmatched_target"] == []


def test_the_result_may_be_one_of_several_panels(folders, tmp_path):
    plain = score_folders(*folders, ImageScores("dpig"))
    vis = tmp_path / "vis"
    for path in folders[0].iterdir():
        result = np.asarray(Image.open(path))
        others = [noise_image(seed) for seed in range(10, 14)]
        save(vis / path.name, np.concatenate([*others[:3], result, others[3]], axis=1))
    panel = Panel(4, 5)
    assert score_folders(vis, folders[1], ImageScores("dpig"), panel=panel) == plain
    with pytest.raises(DpigError, match=r"If it shows 5 side by side: --generated_panel"):
        score_folders(vis, folders[1], ImageScores("dpig"))
    with pytest.raises(DpigError, match=r"a\.png is 80 columns wide, expected 3 panels"):
        score_folders(vis, folders[1], ImageScores("dpig"), panel=Panel(1, 3))
    for number, count in ((0, 5), (6, 5)):
        with pytest.raises(DpigError, match=f"panel {number} of {count}"):
            Panel(number, count)


POSE = np.stack([np.arange(18) * 2, np.arange(18), np.ones(18)], axis=1).astype(np.float32)


def test_pose_error_is_of_the_targets_with_keypoints(folders):
    generated = {"A.jpg": POSE + [3, 4, 0], "b.png": POSE}
    targets = {"a.png": POSE, "b.png": np.zeros((18, 3))}
    scores = score_folders(*folders, ImageScores("dpig"), keypoints=(generated, targets))
    assert scores["metrics"]["pose_error"] == {
        "pictures": 1,
        "missed": 0,
        "found": 0.0,  # 10 % of the extent of 34 pixels are nearer
        "pixel_error": pytest.approx(5.0),
        "compared_keypoints": 18,
        "visibility_accuracy": 1.0,
    }
    with pytest.raises(ValueError, match="images a, b, generated keypoints z.png"):
        score_folders(*folders, ImageScores("dpig"), keypoints=({"z.png": POSE}, {"a.png": POSE}))


@pytest.mark.parametrize("miss", [{}, {"b.png": np.zeros((18, 3))}])
def test_a_person_that_is_not_found_counts_as_wrong(folders, miss):
    """However it is said that nobody was found."""
    keypoints = {"A.jpg": POSE, **miss}, {"a.png": POSE, "b.png": POSE}
    scores = score_folders(*folders, ImageScores("dpig"), keypoints=keypoints)
    assert scores["metrics"]["pose_error"] == {
        "pictures": 2,
        "missed": 1,
        "found": 0.5,
        "pixel_error": 0.0,
        "compared_keypoints": 18,
        "visibility_accuracy": 0.5,
    }


def test_images_are_scored_as_they_are_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored rows are columns, from the right
    image = noise_image(0)
    path = save(tmp_path / "a.png", np.rot90(image), exif=exif)
    np.testing.assert_array_equal(read_image(path), image)
    np.testing.assert_array_equal(read_image(path, Panel(2, 2)), image[:, 8:])


def test_gif_named_jpg_is_refused(tmp_path):
    path = save(tmp_path / "a.jpg", noise_image(0)[..., 0], format="GIF")
    with pytest.raises(ValueError, match=r"a\.jpg is not a JPEG or PNG image"):
        read_image(path)


@pytest.mark.parametrize("name", ("a.jpg", "a.png"))
def test_truncated_image_is_refused(tmp_path, name):
    path = save(tmp_path / name, noise_image(0))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        read_image(path)


def test_png_named_jpg_is_read(tmp_path):
    path = save(tmp_path / "a.jpg", noise_image(0), format="PNG")
    np.testing.assert_array_equal(read_image(path), noise_image(0))


def test_gray_opaque_and_deep_images(tmp_path):
    gray = noise_image(0)[..., 0]
    levels = read_image(save(tmp_path / "gray.png", gray))
    np.testing.assert_array_equal(levels, np.repeat(gray[..., None], 3, axis=-1))
    opaque = np.dstack([noise_image(0), np.full((24, 16), 255, np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "o.png", opaque)), noise_image(0))
    opaque[3, 4, 3] = 254
    with pytest.raises(ValueError, match=r"t\.png has transparent pixels"):
        read_image(save(tmp_path / "t.png", opaque))
    with pytest.raises(ValueError, match=r"deep\.png has pixels of mode I;16"):
        read_image(save(tmp_path / "deep.png", gray.astype(np.uint16)))


def test_a_photo_is_no_mask(tmp_path):
    path = save(tmp_path / "photo.png", noise_image(0))
    with pytest.raises(ValueError, match="photo.png has many levels .* expected a mask: bright"):
        read_mask(path)


def test_a_person_before_white_is_no_mask(tmp_path):
    photo = np.full((24, 16, 3), 255, np.uint8)
    photo[6:20, 5:11] = noise_image(0)[6:20, 5:11]
    for what in (photo, (photo == 255).astype(np.uint8)):  # or a mask of the background
        path = save(tmp_path / "white.png", what)
        with pytest.raises(ValueError, match="white.png is bright in all corners, .* a mask"):
            read_mask(path)
    everything = save(tmp_path / "all.png", np.ones((24, 16), np.uint8))
    assert read_mask(everything).all()


@pytest.mark.parametrize("full", (1, 255))
def test_mask_levels(tmp_path, full):
    mask = (noise_image(0)[..., 0] > 128).astype(np.uint8)
    path = save(tmp_path / "mask.png", mask * np.uint8(full))
    np.testing.assert_array_equal(read_mask(path), mask)
