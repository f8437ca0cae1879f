"""Features and class probabilities of pictures by InceptionV3, for IS, FID and KID."""

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.ops.images import to_network_range
from dpig_tf2.run_folder import file_checksum


class Inception:
    """The network: pictures in, pooled features and class probabilities out.

    Layout and weights are those of `keras.applications.InceptionV3` with the classifier, trained on
    ImageNet. Published tables use the TensorFlow 1 graph of 2015-12-05 instead, whose weights,
    classes (1008) and resizing differ, so numbers can be compared among each other only.

    Args:
        weights: `inception_v3_weights_tf_dim_ordering_tf_kernels.h5` of keras.applications, or the
            same model saved as `.weights.h5`; None downloads the former.

    Raises:
        ValueError: if the file is missing, is of another network (the `notop` file, say), or the
            download fails.
    """

    size = 299  # rows and columns of the network's input

    def __init__(self, weights: str | os.PathLike | None):
        path = None if weights is None else pathlib.Path(weights)
        classifier = _load(path)
        pooled = classifier.get_layer("avg_pool").output
        self._network = keras.Model(classifier.input, [pooled, classifier.output])
        self.description = {
            "network": "keras-applications InceptionV3",
            "weights": "imagenet" if path is None else path.name,
            "sha256": None if path is None else file_checksum(path),
            "preprocessing": f"bilinear to {self.size}x{self.size}, then to [-1, 1]",
            "note": "not comparable with tables of the TensorFlow 1 graph inception-2015-12-05",
        }

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """A picture [H, W, 3] in levels of [0, 255] as float32 [299, 299, 3] in [-1, 1]."""
        resized = tf.image.resize(np.asarray(image, np.float32), (self.size, self.size))
        return to_network_range(resized).numpy()

    def __call__(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features [N, 2048] and probabilities [N, 1000] of prepared pictures [N, 299, 299, 3]."""
        features, probabilities = self._network(batch, training=False)
        return features.numpy(), probabilities.numpy()


def _load(path: pathlib.Path | None) -> keras.Model:
    if path is None:
        return _download()
    if not path.is_file():
        raise ValueError(f"{path}: no such file of Inception weights")
    try:
        return keras.applications.InceptionV3(weights=os.fspath(path))
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"{path}: not weights of keras.applications.InceptionV3 with its classifier ({error})"
        ) from error


def _download() -> keras.Model:
    try:
        return keras.applications.InceptionV3(weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where the download fails
        raise ValueError(f"Inception weights cannot be downloaded: {error}") from error
