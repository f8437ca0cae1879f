"""LPIPS against its formula, on random weights."""

import numpy as np
import pytest

from dpig_tf2.evaluation import lpips
from dpig_tf2.io.array_files import WeightsError


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    return {
        name: random.normal(
            0, (2 / np.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0.1, shape
        ).astype(np.float32)
        for name, shape in lpips.expected_shapes().items()
    }


@pytest.fixture(scope="module")
def distance(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("lpips") / "weights.npz"
    np.savez(path, **arrays)
    return lpips.Lpips(path)


def convolved(x, kernel, bias):
    """3x3 convolution with zeros around, then ReLU, written out; x is [h, w, C]."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    patches = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    flat = kernel.reshape(9, *kernel.shape[2:])
    return np.maximum(sum(p @ k for p, k in zip(patches, flat, strict=True)) + bias, 0)


def written_out(generated, target, arrays):
    total, number = 0.0, 0
    levels = [image / 127.5 - 1 for image in (generated, target)]
    pair = [(x - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450] for x in levels]
    for block, convolutions in enumerate((2, 2, 3, 3, 3)):
        if block:
            pair = [
                x.reshape(h // 2, 2, w // 2, 2, -1).max(axis=(1, 3))
                for x in pair
                for h, w in [x.shape[:2]]
            ]
        for _ in range(convolutions):
            kernel, bias = arrays[f"conv{number}/kernel"], arrays[f"conv{number}/bias"]
            pair = [convolved(x, kernel, bias) for x in pair]
            number += 1
        units = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in pair]
        total += np.mean(((units[0] - units[1]) ** 2) @ arrays[f"linear{block}"])
    return total


def test_distance_equals_its_formula(distance, arrays):
    random = np.random.default_rng(1)
    generated, target = random.integers(0, 256, (2, 32, 16, 3), dtype=np.uint8)
    expected = written_out(generated, target, arrays)
    assert distance(generated, target) == pytest.approx(expected, rel=1e-4)
    assert distance(target, target) == 0.0


def test_too_small_pictures_are_refused(distance):
    small = np.zeros((64, 15, 3), np.uint8)
    with pytest.raises(ValueError, match="64x15 pixels, LPIPS needs at least 16x16"):
        distance(small, small)


@pytest.mark.parametrize(("wrong", "found"), [({}, "none"), ({"linear2": np.ones(4)}, r"\(4,\)")])
def test_a_file_of_other_arrays_is_refused(arrays, tmp_path, wrong, found):
    others = {name: array for name, array in arrays.items() if name != "linear2"}
    np.savez(tmp_path / "w.npz", **others, **wrong)
    message = rf"w.npz: array linear2 must be .*\(256,\), found {found}"
    with pytest.raises(WeightsError, match=message):
        lpips.Lpips(tmp_path / "w.npz")
