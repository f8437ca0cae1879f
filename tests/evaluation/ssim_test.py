import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from dpig_tf2.evaluation.ssim import apply_mask, masked_ssim, ssim

PROTOCOL_NAMES = ("dpig", "patn", "tf")


def gray_levels(image):
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


def color_ssim(generated, target, *args):
    return np.mean([written_out_ssim(generated[..., c], target[..., c], *args) for c in range(3)])


@pytest.mark.parametrize("protocol", PROTOCOL_NAMES)
def test_identical_images_score_one(pair, mask, protocol):
    assert ssim(pair[0], pair[0], protocol) == pytest.approx(1.0)
    assert masked_ssim(pair[0], pair[0], mask, protocol) == pytest.approx(1.0)


def test_dpig_ssim_equals_written_out_formula(pair):
    generated, target = map(gray_levels, pair)
    expected = written_out_ssim(generated, target, uniform_weights(), np.ptp(target), 49 / 48)
    assert ssim(*pair, "dpig") == pytest.approx(expected, abs=1e-9)


def test_dpig_masked_ssim_is_on_masked_color(pair, mask):
    generated, target = (image * mask[..., None] for image in pair)
    expected = color_ssim(generated, target, uniform_weights(), np.ptp(target), 49 / 48)
    assert masked_ssim(*pair, mask, "dpig") == pytest.approx(expected, abs=1e-9)


def test_patn_ssim_equals_written_out_formula(pair, mask):
    generated, target = pair
    expected = color_ssim(generated, target, gaussian_weights(), np.ptp(generated))
    assert ssim(generated, target, "patn") == pytest.approx(expected, abs=1e-9)
    generated, target = (image * mask[..., None] for image in pair)
    expected = color_ssim(generated, target, gaussian_weights(), np.ptp(generated))
    assert masked_ssim(*pair, mask, "patn") == pytest.approx(expected, abs=1e-9)


def test_tf_ssim_equals_written_out_formula(pair):
    expected = color_ssim(*pair, gaussian_weights(), 255.0)
    assert ssim(*pair, "tf") == pytest.approx(expected, abs=1e-9)


def test_tf_ssim_equals_tensorflow(pair):
    import tensorflow as tf

    generated, target = (tf.constant(image, tf.float32) for image in pair)
    expected = float(tf.image.ssim(generated, target, max_val=255.0))
    # TensorFlow takes differences of squares of levels in float32.
    assert ssim(*pair, "tf") == pytest.approx(expected, abs=2e-5)


def test_protocols_differ(pair):
    assert len({round(ssim(*pair, protocol), 3) for protocol in PROTOCOL_NAMES}) == 3


def test_data_range_comes_from_the_protocols_image(pair):
    generated, target = pair
    dim = (target // 4).astype(np.uint8)
    assert ssim(dim, target, "dpig") != pytest.approx(ssim(target, dim, "dpig"))
    assert ssim(dim, target, "patn") != pytest.approx(ssim(target, dim, "patn"))
    assert ssim(dim, target, "tf") == pytest.approx(ssim(target, dim, "tf"))


@pytest.mark.parametrize("protocol", ("dpig", "patn"))
def test_constant_images_have_a_defined_score(protocol):
    gray, other = np.full((16, 16, 3), 77, np.uint8), np.full((16, 16, 3), 78, np.uint8)
    assert ssim(gray, gray, protocol) == 1.0
    assert ssim(gray, other, protocol) == 0.0


def test_floats_and_uint8_score_the_same(pair):
    as_float = [image.astype(np.float32) for image in pair]
    assert ssim(*as_float, "dpig") == pytest.approx(ssim(*pair, "dpig"))


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
        ssim(generated, pair[1], "dpig")


def test_image_smaller_than_the_window_is_refused():
    small = np.zeros((64, 10, 3), np.uint8)
    assert ssim(small, small, "dpig") == 1.0
    with pytest.raises(ValueError, match="64x10 pixels, protocol 'tf' needs at least 11x11"):
        ssim(small, small, "tf")


def test_unknown_protocol_is_refused(pair):
    with pytest.raises(ValueError, match="'pg2', expected one of dpig, patn, tf"):
        ssim(*pair, "pg2")


def test_mask_shapes_and_values(pair, mask):
    flat = masked_ssim(*pair, mask, "dpig")
    assert masked_ssim(*pair, mask[..., None].astype(np.float32), "dpig") == flat
    assert masked_ssim(*pair, mask.astype(bool), "dpig") == flat
    with pytest.raises(ValueError, match="values up to 255, expected only 0 and 1"):
        masked_ssim(*pair, mask * 255, "dpig")
    with pytest.raises(ValueError, match=r"mask of shape \(20, 32\)"):
        masked_ssim(*pair, mask.T, "dpig")
    with pytest.raises(ValueError, match="mask is empty"):
        masked_ssim(*pair, 0 * mask, "dpig")


def test_apply_mask_keeps_dtype_and_inside(pair, mask):
    masked = apply_mask(pair[0], mask)
    assert masked.dtype == np.uint8
    np.testing.assert_array_equal(masked[mask == 1], pair[0][mask == 1])
    assert not masked[mask == 0].any()
