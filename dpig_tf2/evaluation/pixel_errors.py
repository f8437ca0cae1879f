"""Differences of two images, pixel by pixel: L1, L2, PSNR.

Images are color, [H, W, 3], uint8 or float, in levels of [0, 255]. Everything is computed in
float64.
"""

import numpy as np

from dpig_tf2.errors import DpigError

MAX_LEVEL = 255.0

# Identical images would have an infinite PSNR, which spoils every mean and is not valid JSON.
PSNR_CEILING = 100.0


def l1(generated: np.ndarray, target: np.ndarray) -> float:
    """Mean absolute difference of all pixels and channels, in [0, 1] (levels / 255).

    Work that compares images scaled to [-1, 1] reports twice this.

    Args:
        generated, target: [H, W, 3], levels of [0, 255].

    Raises:
        DpigError: not two images of one size.
    """
    generated, target = check_pair(generated, target)
    return float(np.mean(np.abs(generated - target)) / MAX_LEVEL)


def l2(generated: np.ndarray, target: np.ndarray) -> float:
    """Root of the mean squared difference of all pixels and channels, in [0, 1] (levels / 255).

    Args and Raises as in `l1`.
    """
    generated, target = check_pair(generated, target)
    return float(np.sqrt(np.mean((generated - target) ** 2)) / MAX_LEVEL)


def psnr(generated: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio, -20 log10(`l2`), in decibels, at most `PSNR_CEILING`.

    Args and Raises as in `l1`.
    """
    error = l2(generated, target)
    # The error at which the ceiling is reached; it also keeps the logarithm finite.
    return float(-20.0 * np.log10(max(error, 10.0 ** (-PSNR_CEILING / 20.0))))


def check_pair(generated: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both images as float64, still in levels of [0, 255]; raises as `l1`."""
    generated, target = _check_image(generated, "generated"), _check_image(target, "target")
    if generated.shape != target.shape:
        raise DpigError(
            f"generated image of shape {generated.shape}, target image of shape {target.shape}, "
            "expected one shape"
        )
    return generated, target


def _check_image(image: np.ndarray, role: str) -> np.ndarray:
    image = np.asarray(image, np.float64)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DpigError(f"the {role} image has shape {image.shape}, expected [H, W, 3]")
    # Written so that NaN fails too. An image left in [-1, 1] units shows by its negative values.
    if not (image.min() >= 0.0 and image.max() <= MAX_LEVEL):
        raise DpigError(
            f"the {role} image has values in [{image.min():g}, {image.max():g}], "
            "expected levels of [0, 255]"
        )
    return image
