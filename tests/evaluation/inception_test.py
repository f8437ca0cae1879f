"""InceptionV3 from a file: with random weights, for the real ones are not at hand."""

import keras
import numpy as np
import pytest

from dpig_tf2.evaluation.inception import Inception


@pytest.mark.slow  # builds the network twice
def test_features_and_probabilities_are_those_of_the_network_in_the_file(tmp_path):
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None)
    network.save_weights(tmp_path / "random.weights.h5")
    inception = Inception(tmp_path / "random.weights.h5")
    picture = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    batch = inception.prepare(picture)[None]
    preprocess = keras.applications.inception_v3.preprocess_input
    np.testing.assert_allclose(batch[0], preprocess(picture.astype(np.float32)), atol=1e-6)
    features, probabilities = inception(batch)
    assert features.shape == (1, 2048)
    np.testing.assert_allclose(probabilities, network(batch, training=False), atol=1e-6)
    dense = network.layers[-1]
    logits = features @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(keras.ops.softmax(logits), probabilities, atol=1e-6)
    assert inception.description["weights"] == "random.weights.h5"
    assert inception.prepare(picture[:64, :32]).shape == (299, 299, 3)


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no_file.h5: no such file of Inception weights"):
        Inception(tmp_path / "no_file.h5")
