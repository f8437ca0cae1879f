import types

import numpy as np
import pytest

from dpig_tf2.detection.detector import Person


@pytest.fixture(scope="session")
def sampler(tiny_config):
    """Networks as they are before training."""
    from dpig_tf2.config import STAGES
    from dpig_tf2.models import factory
    from dpig_tf2.sampling.sampler import PersonSampler

    model = tiny_config.model
    names = [name for stage in STAGES for name in factory.stage_networks(stage, model)]
    names = [name for name in names if not name.endswith(("critic", "discriminator"))]
    return PersonSampler(tiny_config, factory.build_networks(names, model))


@pytest.fixture(scope="session")
def studio(sampler):
    from dpig_tf2.page.studio import Studio

    return Studio(sampler, "runs/my run")


@pytest.fixture(scope="session")
def members(studio):
    from dpig_tf2.page import cast

    return cast.synthetic_members(studio.model)


@pytest.fixture(scope="session")
def poses(studio):
    from dpig_tf2.page import cast

    return cast.gallery_poses(studio.model)


class FakeDetector:
    """Finds one person in the middle of every photo, and nobody on a photo that is all black."""

    def detect(self, photos):
        return [self._persons(photo) for photo in photos]

    def _persons(self, photo):
        if not photo.any():
            return []
        rows, columns = photo.shape[:2]
        points = np.stack(
            [np.linspace(0.2, 0.8, 18) * rows, np.linspace(0.4, 0.6, 18) * columns, np.ones(18)], 1
        ).astype(np.float32)
        box = np.array([0.1 * rows, 0.3 * columns, 0.9 * rows, 0.7 * columns], np.float32)
        scores = np.ones(18, np.float32)
        region = types.SimpleNamespace()
        return [Person(points, scores, box, 1.0, 1.0, (rows, columns), scores, region)]


@pytest.fixture(scope="session")
def detector():
    return FakeDetector()
