"""A sampler whose pictures have contrast, for all tests of exports."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def sampler(tiny_config):
    """All networks of the tiny model, untrained."""
    from dpig_tf2.models import factory
    from dpig_tf2.sampling.sampler import PersonSampler

    names = ["appearance_encoder", "generator", "pose_encoder", "pose_decoder"]
    names += [f"{factor}_mapping" for factor in tiny_config.model.factors]
    keras.utils.set_random_seed(0)
    networks = factory.build_networks(names, tiny_config.model)
    rng = np.random.default_rng(0)
    for variable in (v for network in networks.values() for v in network.variables):
        # Biases away from zero, and outputs that fill the range of an image.
        variable.assign(variable + rng.normal(0.0, 0.1, variable.shape))
    return PersonSampler(tiny_config, networks)
