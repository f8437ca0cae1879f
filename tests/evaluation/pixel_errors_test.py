import numpy as np
import pytest

from dpig_tf2.evaluation.pixel_errors import PSNR_CEILING, l1, l2, psnr


def test_l1_l2_psnr_of_hand_worked_pair():
    target = np.zeros((2, 2, 3), np.uint8)
    generated = target.copy()
    generated[0, 0] = 51  # a fifth of the range in a quarter of the values
    assert l1(generated, target) == pytest.approx(0.05)
    assert l2(generated, target) == pytest.approx(0.1)
    assert psnr(generated, target) == pytest.approx(20.0)


def test_differences_of_uint8_do_not_wrap():
    dark, light = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 20, np.uint8)
    assert l1(dark, light) == l1(light, dark) == pytest.approx(10 / 255)


def test_psnr_of_identical_images_is_the_ceiling(pair):
    assert psnr(pair[0], pair[0]) == PSNR_CEILING
