import json

import numpy as np
import pytest
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view

from dpig_tf2.evaluation import metrics

PROTOCOL_NAMES = ("dpig", "patn", "tf")


@pytest.fixture
def pair():
    """A smooth picture and a noisy, darker copy: SSIM well between 0 and 1."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:32, 0:20]
    smooth = np.stack([rows * 6.0, columns * 10.0, 200.0 - rows * 3.0], axis=-1)
    target = np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    generated = np.clip(0.8 * smooth + random.normal(0, 15, smooth.shape), 0, 255)
    return generated.astype(np.uint8), target


@pytest.fixture
def mask():
    mask = np.zeros((32, 20), np.uint8)
    mask[6:25, 4:15] = 1
    return mask


def grey_levels(image):
    return image @ np.array([0.2125, 0.7154, 0.0721])


def written_out_ssim(generated, target, weights, data_range, covariance_factor=1.0):
    """SSIM of two [H, W] images from its definition, over all windows inside the image."""

    def window_mean(image):
        return np.einsum("ijkl,kl->ij", sliding_window_view(image, weights.shape), weights)

    x, y = generated.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = window_mean(x), window_mean(y)
    variances = window_mean(x * x) - mean_x**2 + window_mean(y * y) - mean_y**2
    covariance = window_mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance_factor * covariance + c2) / (covariance_factor * variances + c2)
    return np.mean(luminance * structure)


def uniform_weights():
    return np.full((7, 7), 1 / 49)


def gaussian_weights():
    tap = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(tap, tap) / tap.sum() ** 2


def colour_ssim(generated, target, *args):
    return np.mean([written_out_ssim(generated[..., c], target[..., c], *args) for c in range(3)])


def test_l1_l2_psnr_of_hand_worked_pair():
    target = np.zeros((2, 2, 3), np.uint8)
    generated = target.copy()
    generated[0, 0] = 51  # a fifth of the range in a quarter of the values
    assert metrics.l1(generated, target) == pytest.approx(0.05)
    assert metrics.l2(generated, target) == pytest.approx(0.1)
    assert metrics.psnr(generated, target) == pytest.approx(20.0)


def test_differences_of_uint8_do_not_wrap():
    dark, light = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 20, np.uint8)
    assert metrics.l1(dark, light) == metrics.l1(light, dark) == pytest.approx(10 / 255)


def test_psnr_of_identical_images_is_the_ceiling(pair):
    assert metrics.psnr(pair[0], pair[0]) == metrics.PSNR_CEILING


@pytest.mark.parametrize("protocol", PROTOCOL_NAMES)
def test_identical_images_score_one(pair, mask, protocol):
    assert metrics.ssim(pair[0], pair[0], protocol) == pytest.approx(1.0)
    assert metrics.masked_ssim(pair[0], pair[0], mask, protocol) == pytest.approx(1.0)


def test_dpig_ssim_equals_written_out_formula(pair):
    generated, target = map(grey_levels, pair)
    expected = written_out_ssim(generated, target, uniform_weights(), np.ptp(target), 49 / 48)
    assert metrics.ssim(*pair, "dpig") == pytest.approx(expected, abs=1e-9)


def test_dpig_masked_ssim_is_on_masked_colour(pair, mask):
    generated, target = (image * mask[..., None] for image in pair)
    expected = colour_ssim(generated, target, uniform_weights(), np.ptp(target), 49 / 48)
    assert metrics.masked_ssim(*pair, mask, "dpig") == pytest.approx(expected, abs=1e-9)


def test_patn_ssim_equals_written_out_formula(pair, mask):
    generated, target = pair
    expected = colour_ssim(generated, target, gaussian_weights(), np.ptp(generated))
    assert metrics.ssim(generated, target, "patn") == pytest.approx(expected, abs=1e-9)
    generated, target = (image * mask[..., None] for image in pair)
    expected = colour_ssim(generated, target, gaussian_weights(), np.ptp(generated))
    assert metrics.masked_ssim(*pair, mask, "patn") == pytest.approx(expected, abs=1e-9)


def test_tf_ssim_equals_written_out_formula(pair):
    expected = colour_ssim(*pair, gaussian_weights(), 255.0)
    assert metrics.ssim(*pair, "tf") == pytest.approx(expected, abs=1e-9)


def test_tf_ssim_equals_tensorflow(pair):
    import tensorflow as tf

    generated, target = (tf.constant(image, tf.float32) for image in pair)
    expected = float(tf.image.ssim(generated, target, max_val=255.0))
    # TensorFlow takes differences of squares of levels in float32.
    assert metrics.ssim(*pair, "tf") == pytest.approx(expected, abs=2e-5)


def test_protocols_differ(pair):
    assert len({round(metrics.ssim(*pair, protocol), 3) for protocol in PROTOCOL_NAMES}) == 3


def test_data_range_comes_from_the_protocols_image(pair):
    generated, target = pair
    dim = (target // 4).astype(np.uint8)
    assert metrics.ssim(dim, target, "dpig") != pytest.approx(metrics.ssim(target, dim, "dpig"))
    assert metrics.ssim(dim, target, "patn") != pytest.approx(metrics.ssim(target, dim, "patn"))
    assert metrics.ssim(dim, target, "tf") == pytest.approx(metrics.ssim(target, dim, "tf"))


@pytest.mark.parametrize("protocol", ("dpig", "patn"))
def test_constant_images_have_a_defined_score(protocol):
    grey, other = np.full((16, 16, 3), 77, np.uint8), np.full((16, 16, 3), 78, np.uint8)
    assert metrics.ssim(grey, grey, protocol) == 1.0
    assert metrics.ssim(grey, other, protocol) == 0.0


def test_floats_and_uint8_score_the_same(pair):
    as_float = [image.astype(np.float32) for image in pair]
    assert metrics.ssim(*as_float, "dpig") == pytest.approx(metrics.ssim(*pair, "dpig"))


@pytest.mark.parametrize(
    ("generated", "message"),
    [
        (np.zeros((32, 20), np.uint8), r"expected \[H, W, 3\]"),
        (np.zeros((32, 21, 3), np.uint8), "expected one shape"),
        (np.full((32, 20, 3), -1.0), r"levels of \[0, 255\]"),
        (np.full((32, 20, 3), np.nan), r"levels of \[0, 255\]"),
    ],
)
def test_bad_images_are_refused(pair, generated, message):
    with pytest.raises(ValueError, match=message):
        metrics.ssim(generated, pair[1], "dpig")


def test_image_smaller_than_the_window_is_refused():
    small = np.zeros((64, 10, 3), np.uint8)
    assert metrics.ssim(small, small, "dpig") == 1.0
    with pytest.raises(ValueError, match="64x10 pixels, protocol 'tf' needs at least 11x11"):
        metrics.ssim(small, small, "tf")


def test_unknown_protocol_is_refused(pair):
    with pytest.raises(ValueError, match="'pg2', expected one of dpig, patn, tf"):
        metrics.ssim(*pair, "pg2")


def test_mask_shapes_and_values(pair, mask):
    flat = metrics.masked_ssim(*pair, mask, "dpig")
    assert metrics.masked_ssim(*pair, mask[..., None].astype(np.float32), "dpig") == flat
    assert metrics.masked_ssim(*pair, mask.astype(bool), "dpig") == flat
    with pytest.raises(ValueError, match="values up to 255, expected only 0 and 1"):
        metrics.masked_ssim(*pair, mask * 255, "dpig")
    with pytest.raises(ValueError, match=r"Mask of shape \(20, 32\)"):
        metrics.masked_ssim(*pair, mask.T, "dpig")
    with pytest.raises(ValueError, match="mask is empty"):
        metrics.masked_ssim(*pair, 0 * mask, "dpig")


def test_apply_mask_keeps_dtype_and_inside(pair, mask):
    masked = metrics.apply_mask(pair[0], mask)
    assert masked.dtype == np.uint8
    np.testing.assert_array_equal(masked[mask == 1], pair[0][mask == 1])
    assert not masked[mask == 0].any()


def test_score_pairs_summarises_each_metric(pair, mask):
    generated, target = pair
    summary = metrics.score_pairs([(generated, target), (target, target)], "dpig", [mask, 0 * mask])
    first = metrics.ssim(generated, target, "dpig")
    scores = summary["metrics"]["ssim"]
    assert summary["protocol"] == "dpig" and summary["count"] == 2
    assert scores["per_image"] == pytest.approx([first, 1.0])
    assert scores["mean"] == pytest.approx((first + 1.0) / 2)
    # Of two values the standard error is half their distance.
    assert scores["standard_error"] == pytest.approx((1.0 - first) / 2)
    masked = metrics.masked_ssim(generated, target, mask, "dpig")
    assert summary["metrics"]["mask_ssim"] == {
        "mean": masked,
        "standard_error": None,
        "count": 1,
        "per_image": [masked, None],
    }
    json.dumps(summary, allow_nan=False)


def test_score_pairs_without_masks_has_no_masked_ssim(pair):
    assert set(metrics.score_pairs([pair], "tf")["metrics"]) == {"ssim", "psnr", "l1", "l2"}


def test_further_scores_of_a_pair_are_summarised_like_the_others(pair):
    scores = metrics.Scores("dpig", {"largest": lambda a, b: float(max(a.max(), b.max()))})
    scores.add(*pair)
    scores.add(0 * pair[0], 0 * pair[1])
    assert scores.summary()["metrics"]["largest"]["per_image"][1] == 0.0


def test_score_pairs_refuses_bad_lists(pair, mask):
    with pytest.raises(ValueError, match="No image pair"):
        metrics.score_pairs([], "dpig")
    with pytest.raises(ValueError, match="2 masks for 1 image pairs"):
        metrics.score_pairs([pair], "dpig", [mask, mask])


def test_a_refused_pair_leaves_the_scores_unchanged(pair, mask):
    scores = metrics.Scores("dpig")
    scores.add(*pair)
    before = scores.summary()
    with pytest.raises(ValueError, match="Mask of shape"):
        scores.add(*pair, mask[:-1])
    assert scores.summary() == before


def test_inception_score_of_uniform_and_one_hot():
    assert metrics.inception_score(np.full((20, 5), 0.2), 2) == pytest.approx((1.0, 0.0))
    one_hot = np.eye(5)[np.arange(20) % 5]
    assert metrics.inception_score(one_hot, 2) == pytest.approx((5.0, 0.0))


def test_inception_score_of_hand_worked_case():
    # p(y) = (0.5, 0.5); both rows have KL = 0.9 ln 1.8 + 0.1 ln 0.2.
    score, _ = metrics.inception_score(np.array([[0.9, 0.1], [0.1, 0.9]]), 1)
    assert score == pytest.approx(np.exp(0.9 * np.log(1.8) + 0.1 * np.log(0.2)))


def test_inception_score_splits_are_averaged():
    varied, constant = np.eye(4), np.tile(np.eye(4)[:1], (4, 1))
    score, deviation = metrics.inception_score(np.concatenate([varied, constant]), 2)
    assert (score, deviation) == pytest.approx((2.5, 1.5))


@pytest.mark.parametrize(
    ("probabilities", "splits", "message"),
    [
        (np.full((4, 5), 0.3), 1, "sum to 1"),
        (np.array([[1.5, -0.5]]), 1, "at least 0"),
        (np.full((4, 5), np.nan), 1, "sum to 1"),
        (np.full(5, 0.2), 1, "expected"),
        (np.full((4, 5), 0.2), 5, "5 splits of 4 images"),
        (np.full((4, 5), 0.2), 0, "0 splits of 4 images"),
    ],
)
def test_inception_score_refuses_bad_input(probabilities, splits, message):
    with pytest.raises(ValueError, match=message):
        metrics.inception_score(probabilities, splits)


def gaussian_features(mean, covariance, count=50):
    """Features whose sample mean and covariance are exactly the given ones."""
    features = np.random.default_rng(3).normal(size=(count, len(mean)))
    features -= features.mean(axis=0)
    whitened = features @ np.linalg.inv(np.linalg.cholesky(np.cov(features, rowvar=False))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_known_gaussians():
    a = gaussian_features(np.zeros(2), np.diag([4.0, 9.0]))
    b = gaussian_features(np.array([3.0, 0.0]), np.diag([1.0, 25.0]))
    # |shift|^2 = 9; commuting covariances add the squared differences of deviations, 1 and 4.
    assert metrics.frechet_distance(a, b) == pytest.approx(14.0)


def test_frechet_distance_of_covariances_that_do_not_commute():
    covariance_a, covariance_b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.diag([5.0, 1.0])
    a = gaussian_features(np.zeros(2), covariance_a)
    b = gaussian_features(np.zeros(2), covariance_b)
    # For 2x2: tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) = sqrt(13 + 2 * 5).
    expected = 11.0 - 2.0 * np.sqrt(23.0)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected)


def test_frechet_distance_equals_its_formula_with_scipys_matrix_root():
    random = np.random.default_rng(9)
    a, b = random.normal(size=(60, 6)), random.normal(0.5, 1.5, size=(40, 6))
    a[:, 1] += a[:, 0]
    covariances = [np.cov(features, rowvar=False) for features in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    expected = shift + np.trace(covariances[0] + covariances[1] - 2.0 * root)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_properties():
    random = np.random.default_rng(5)
    a, b = random.normal(size=(12, 30)), random.normal(1.0, 2.0, size=(9, 30))
    distance = metrics.frechet_distance(a, b)
    assert distance == pytest.approx(metrics.frechet_distance(b, a), rel=1e-9)
    assert distance > 1.0
    # More dimensions than samples: the covariances are singular.
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    rotation, _ = np.linalg.qr(random.normal(size=(30, 30)))
    assert metrics.frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance)


def test_frechet_distance_of_one_dimension():
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])
    assert metrics.frechet_distance(a, b) == pytest.approx(16.0 + 2.0)


def test_kernel_distance_of_hand_worked_case():
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    # Off-diagonal kernels within: 1 and 1. Between: 1, 1, 1 and (1 * 2 + 1)^3 = 27.
    distance, deviation = metrics.kernel_distance(a, b, subsets=3)
    assert (distance, deviation) == pytest.approx((1.0 + 1.0 - 2.0 * 30.0 / 4.0, 0.0))


def test_kernel_distance_tells_same_from_different():
    random = np.random.default_rng(6)
    a, b = random.normal(size=(400, 8)), random.normal(size=(300, 8))
    near, _ = metrics.kernel_distance(a, b, subsets=20, subset_size=150)
    same, _ = metrics.kernel_distance(a, a, subsets=20, subset_size=150)
    far, _ = metrics.kernel_distance(a, b + 1.0, subsets=20, subset_size=150)
    assert abs(near) < 0.1 and abs(same) < 0.1
    assert far > 1.0


def test_kernel_distance_depends_on_the_seed_only():
    random = np.random.default_rng(7)
    a, b = random.normal(size=(40, 3)), random.normal(size=(40, 3))
    first, again, other = (
        metrics.kernel_distance(a, b, subsets=4, subset_size=10, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again and first != other


@pytest.mark.parametrize("distance", (metrics.frechet_distance, metrics.kernel_distance))
def test_bad_features_are_refused(distance):
    features = np.zeros((4, 3))
    with pytest.raises(ValueError, match="3 and 2 dimensions"):
        distance(features, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="expected"):
        distance(features, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="NaN"):
        distance(features, np.full((4, 3), np.nan))


def test_bad_subsets_are_refused():
    features = np.zeros((4, 3))
    with pytest.raises(ValueError, match="0 subsets of 10"):
        metrics.kernel_distance(features, features, subsets=0, subset_size=10)
    with pytest.raises(ValueError, match="5 subsets of 1"):
        metrics.kernel_distance(features, features, subsets=5, subset_size=1)


def some_poses(count=6):
    random = np.random.default_rng(8)
    poses = np.concatenate(
        [
            random.uniform(0, 64, (count, 18, 1)),
            random.uniform(0, 32, (count, 18, 1)),
            np.ones((count, 18, 1)),
        ],
        axis=-1,
    )
    poses[:, 15:] = 0.0
    return poses


def test_keypoint_error_of_known_shift():
    target = some_poses(2)
    predicted = target.copy()
    predicted[:, :15, :2] += (3.0, 4.0)
    predicted[0, 0] = 0.0  # missed: not in the distance, but in the visibility
    predicted[1, 17] = (60.0, 30.0, 1.0)  # made up
    assert metrics.keypoint_error(predicted, target) == {
        "pixel_error": pytest.approx(5.0),
        "compared_keypoints": 29,
        "visibility_accuracy": pytest.approx(34 / 36),
    }


def test_keypoint_error_without_common_keypoint_is_none():
    error = metrics.keypoint_error(np.zeros((1, 18, 3)), some_poses(1))
    assert error["pixel_error"] is None and error["compared_keypoints"] == 0


def test_pose_frechet_distance_is_in_normalised_units():
    poses = some_poses()
    shifted = poses + np.array([8.0, 0.0, 0.0])
    # All 18 rows move by 8 / 64 of the height, that is 0.25 of [-1, 1].
    distance = metrics.pose_frechet_distance(poses, shifted, 64, 32)
    assert distance == pytest.approx(18 * 0.25**2)
    assert metrics.pose_frechet_distance(poses, poses, 64, 32) == pytest.approx(0.0, abs=1e-9)


def test_bad_poses_are_refused():
    poses = some_poses()
    with pytest.raises(ValueError, match=r"expected \[N >= 1, 18, 3\]"):
        metrics.keypoint_error(poses[:, :17], poses)
    with pytest.raises(ValueError, match="5 predicted poses for 6 target poses"):
        metrics.keypoint_error(poses[:5], poses)
    with pytest.raises(ValueError, match="visibility other than 0 and 1"):
        metrics.keypoint_error(poses * 0.5, poses)
    with pytest.raises(ValueError, match="size 0x32"):
        metrics.pose_frechet_distance(poses, poses, 0, 32)
