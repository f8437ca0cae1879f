"""LPIPS, the perceptual distance of Zhang et al. 2018 (VGG16, version 0.1), without PyTorch.

The published weights exist for PyTorch only: VGG16 as torchvision trained it (Keras has another
VGG16) and five linear layers in the `lpips` package. This turns them into the file read here, in
any environment that has both packages:

    import lpips, numpy as np
    model = lpips.LPIPS(net="vgg")
    convs = [m for m in model.net.modules() if hasattr(m, "kernel_size") and hasattr(m, "weight")]
    arrays = {f"conv{i}/kernel": m.weight.detach().numpy().transpose(2, 3, 1, 0)
              for i, m in enumerate(convs)}
    arrays |= {f"conv{i}/bias": m.bias.detach().numpy() for i, m in enumerate(convs)}
    arrays |= {f"linear{i}": m.model[-1].weight.detach().numpy().ravel()
               for i, m in enumerate(model.lins)}
    np.savez("lpips_vgg.npz", **arrays)
"""

import os
import pathlib

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.io import array_files
from dpig_tf2.io.hashes import sha256
from dpig_tf2.ops.images import to_network_range

# Convolutions of VGG16 by block; features are taken behind the last one of each, pooling between.
_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# Mean and deviation of ImageNet's colors in [-1, 1] units, as the published weights expect.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_SMALLEST = 2 ** (len(_BLOCKS) - 1)  # pixels; below, pooling leaves nothing


class Lpips:
    """The distance: 0 for equal pictures, unbounded above.

    Args:
        path: `.npz` file with `conv<i>/kernel` [3, 3, C, D], `conv<i>/bias` [D] for i = 0..12, and
            `linear<i>` [D] for i = 0..4.

    Raises:
        WeightsError: if the file is missing, damaged or lacks an array.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path)
        arrays = array_files.load(path)
        _check(arrays, path)
        self._arrays = {name: tf.constant(array, tf.float32) for name, array in arrays.items()}
        self._distance = tf.function(self._distance_of, reduce_retracing=True, autograph=False)
        self.description = {
            "network": "LPIPS 0.1, VGG16",
            "weights": path.name,
            "sha256": sha256(path),
        }

    def __call__(self, generated: np.ndarray, target: np.ndarray) -> float:
        """Distance of two pictures [H, W, 3] in levels of [0, 255].

        Raises:
            DpigError: if they are below 16 x 16 pixels.
        """
        if min(generated.shape[:2]) < _SMALLEST:
            raise DpigError(
                f"images of {generated.shape[0]}x{generated.shape[1]} pixels, LPIPS needs at least "
                f"{_SMALLEST}x{_SMALLEST}"
            )
        pair = tf.constant(np.stack([generated, target]), tf.float32)
        return float(self._distance(pair))

    def _distance_of(self, pair):
        pair = to_network_range(pair)
        features = self._features((pair - tf.constant(_SHIFT)) / tf.constant(_SCALE))
        return tf.add_n(
            [
                tf.reduce_mean(
                    tf.reduce_sum((f[0] - f[1]) ** 2 * self._arrays[f"linear{i}"], axis=-1)
                )
                for i, f in enumerate(map(_unit_length, features))
            ]
        )

    def _features(self, x):
        """Activations [2, h, w, D] behind each block, h and w halving from block to block."""
        features, number = [], 0
        for block in _BLOCKS:
            if features:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            for _ in block:
                x = tf.nn.conv2d(x, self._arrays[f"conv{number}/kernel"], 1, "SAME")
                x = tf.nn.relu(x + self._arrays[f"conv{number}/bias"])
                number += 1
            features.append(x)
        return features


def _unit_length(features):
    """Each pixel's features divided by their length."""
    return features / (tf.norm(features, axis=-1, keepdims=True) + 1e-10)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """{name: shape} of the arrays in a weights file."""
    widths = [width for block in _BLOCKS for width in block]
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(zip([3, *widths], widths, strict=False)):
        shapes |= {f"conv{i}/kernel": (3, 3, inputs, outputs), f"conv{i}/bias": (outputs,)}
    return shapes | {f"linear{i}": block[-1:] for i, block in enumerate(_BLOCKS)}


def _check(arrays, path):
    for name, shape in expected_shapes().items():
        found = arrays[name].shape if name in arrays else None
        if found != shape:
            raise array_files.WeightsError(
                f"{path}: array {name} must be of shape {shape}, found {found or 'none'}",
                file=path,
                field=name,
            )
