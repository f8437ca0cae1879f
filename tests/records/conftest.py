"""Small annotated pairs for the tests of the record format."""

import io

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.records import writer

HEIGHT, WIDTH = 64, 32


def encode(pixels, image_format="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format)
    return file.getvalue()


def make_person(seed, image_format="PNG", **fields):
    rng = np.random.default_rng(seed)
    keypoints = np.ones((18, 3), np.float32)
    keypoints[:, 0] = rng.integers(0, HEIGHT, 18)
    keypoints[:, 1] = rng.integers(0, WIDTH, 18)
    keypoints[rng.integers(0, 18, 3)] = 0
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    values = {"name": f"{seed:04d}_c1s1_000000_00.png", "keypoints": keypoints, "identity": seed}
    values |= {"encoded": encode(pixels, image_format), "camera": 1} | fields
    return writer.Person(**values)


@pytest.fixture(scope="session")
def persons():
    return [make_person(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def examples(persons):
    """Four serialized pairs at 64 x 32 with 37 parts: person i and person i + 1."""
    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH, image_format="png"))
    following = persons[1:] + persons[:1]
    encoded = encoder.encode(map(writer.Pair, persons, following))
    return [example for example, _ in encoded]
