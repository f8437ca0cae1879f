"""Structural similarity (SSIM) of two images, as each line of work measures it.

Images are color, [H, W, 3], uint8 or float, in levels of [0, 255]. Everything is computed in
float64.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.pixel_errors import MAX_LEVEL, check_pair

# A spread of levels below this is rounding of the gray conversion, not a picture.
_FLAT_IMAGE_RANGE = 1e-6


@dataclass(frozen=True)
class SsimProtocol:
    """How a line of work measures SSIM; numbers of different protocols cannot be compared.

    Attributes:
        name: what reports call it.
        gray: SSIM on luminance (0.2125 R + 0.7154 G + 0.0721 B) instead of the mean of the SSIMs of
            the three channels. Masked SSIM is on color in every protocol.
        window: "uniform" 7x7 or "gaussian" 11x11 with standard deviation 1.5. Only windows that lie
            inside the image count.
        sample_covariance: divides the window's (co)variances by n - 1 instead of n (n = 49, 121).
        data_range: what SSIM's constants scale with: the largest minus the smallest level of the
            "target" or of the "generated" image, after graying and masking, or 255 ("full").
    """

    name: str
    gray: bool
    window: Literal["uniform", "gaussian"]
    sample_covariance: bool
    data_range: Literal["target", "generated", "full"]

    @property
    def window_size(self) -> int:
        return 7 if self.window == "uniform" else 11


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # The tables of the DPIG paper and of its predecessor PG2.
        SsimProtocol("dpig", True, "uniform", True, "target"),
        # The tables of PATN and of most later work on pose transfer.
        SsimProtocol("patn", False, "gaussian", False, "generated"),
        # `tf.image.ssim` with its defaults; the same as Wang et al. 2004 on each channel.
        SsimProtocol("tf", False, "gaussian", False, "full"),
    )
}


def resolve_protocol(protocol: str | SsimProtocol) -> SsimProtocol:
    """The protocol of that name; a `SsimProtocol` is returned as it is.

    Raises:
        DpigError: no protocol has that name.
    """
    if isinstance(protocol, SsimProtocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise DpigError(f"unknown protocol {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol]


def ssim(generated: np.ndarray, target: np.ndarray, protocol: str | SsimProtocol) -> float:
    """Structural similarity in [-1, 1], averaged over windows and channels; 1 = identical.

    Where the image that gives the data range is constant, SSIM is 0 / 0 or ignores its constants;
    the score is then 1 for identical images and 0 otherwise.

    Args:
        generated, target: [H, W, 3], levels of [0, 255].
        protocol: a `SsimProtocol` or the name of one in `PROTOCOLS`.

    Raises:
        DpigError: not two images of one size, smaller than the window, or an unknown protocol.
    """
    protocol = resolve_protocol(protocol)
    generated, target = check_pair(generated, target)
    if protocol.gray:
        # `rgb2gray` is linear, so levels of [0, 255] stay levels of [0, 255].
        return _structural_similarity(rgb2gray(generated), rgb2gray(target), protocol)
    return _structural_similarity(generated, target, protocol)


def masked_ssim(
    generated: np.ndarray, target: np.ndarray, mask: np.ndarray, protocol: str | SsimProtocol
) -> float:
    """Structural similarity of the two color images, both black outside the mask.

    The mean includes the black windows, which score 1: a small mask gives a high score.

    Args:
        generated, target: [H, W, 3], levels of [0, 255].
        mask: [H, W] or [H, W, 1] in {0, 1}, for example the body mask of the target's keypoints.
        protocol: a `SsimProtocol` or the name of one in `PROTOCOLS`.

    Raises:
        DpigError: as for `ssim`; the mask has another size, other values or no pixel set.
    """
    protocol = resolve_protocol(protocol)
    generated, target = check_pair(generated, target)
    if not np.any(mask):
        raise DpigError("the mask is empty, expected at least one pixel set")
    return _structural_similarity(apply_mask(generated, mask), apply_mask(target, mask), protocol)


def apply_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Image that is black outside the mask, [H, W, 3] of the image's dtype.

    Args:
        image: [H, W, 3].
        mask: [H, W] or [H, W, 1] in {0, 1}.

    Raises:
        DpigError: the mask has another size or other values.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if mask.shape not in (image.shape[:2], (*image.shape[:2], 1)):
        raise DpigError(
            f"mask of shape {mask.shape} for an image of shape {image.shape}, expected "
            f"{image.shape[:2]} or {(*image.shape[:2], 1)}"
        )
    if not np.all((mask == 0) | (mask == 1)):
        raise DpigError(f"mask with values up to {np.max(mask)}, expected only 0 and 1")
    return image * mask.reshape(*image.shape[:2], 1).astype(image.dtype)


def _structural_similarity(
    generated: np.ndarray, target: np.ndarray, protocol: SsimProtocol
) -> float:
    """SSIM of two float images, [H, W] or [H, W, 3]."""
    size = protocol.window_size
    if min(generated.shape[:2]) < size:
        raise DpigError(
            f"images of {generated.shape[0]}x{generated.shape[1]} pixels, protocol "
            f"{protocol.name!r} needs at least {size}x{size}"
        )
    data_range = _data_range(generated, target, protocol)
    if data_range < _FLAT_IMAGE_RANGE:
        return float(np.allclose(generated, target, rtol=0.0, atol=_FLAT_IMAGE_RANGE))
    # A number; scikit-image returns a tuple only where more is asked for.
    similarity: Any = structural_similarity(
        generated,
        target,
        win_size=size,
        data_range=data_range,
        channel_axis=None if generated.ndim == 2 else 2,
        gaussian_weights=protocol.window == "gaussian",
        sigma=1.5,
        use_sample_covariance=protocol.sample_covariance,
        K1=0.01,
        K2=0.03,
    )
    return float(similarity)


def _data_range(generated: np.ndarray, target: np.ndarray, protocol: SsimProtocol) -> float:
    if protocol.data_range == "full":
        return MAX_LEVEL
    return float(np.ptp(target if protocol.data_range == "target" else generated))
