import numpy as np
import pytest


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
