"""Collections of synthetic images named as Market-1501 names its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.synthetic.appearance import sample_foreground
from dpig_tf2.synthetic.factors import SCENES, Background, Foreground, Pose
from dpig_tf2.synthetic.poses import sample_pose
from dpig_tf2.synthetic.scene import sample_background, vary_background

# Second number of a random stream's seed; `pipeline.fresh_persons` has others.
_FOREGROUND_STREAM, _CAMERA_STREAM, _IMAGE_STREAM = range(3)
_MAX_IDENTITY, _MAX_IMAGES, _MAX_CAMERAS, _SEQUENCES = 9999, 1000, 9, 6


@dataclass(frozen=True)
class SyntheticImage:
    """One image by its factors.

    Attributes:
        name: `NNNN_cCsS_FFFFFF_II.jpg`: identity, camera, sequence, frame, index in the frame.
        identity: from 1.
        camera: from 1.
        foreground, background, pose: what `render` draws.
    """

    name: str
    identity: int
    camera: int
    foreground: Foreground
    background: Background
    pose: Pose


def make_images(
    seed: int,
    identities: int,
    images_per_identity: int,
    first_identity: int = 1,
    cameras: int = 6,
) -> list[SyntheticImage]:
    """The factors of a data set's images.

    An identity looks the same in all its images, a camera always shows the same kind of place.
    Every value is a function of (seed, identity, image index) alone: asking for more identities or
    images, or for some of them only, changes none.

    Args:
        seed: non-negative.
        identities: how many persons, from number `first_identity` on.
        images_per_identity: at most 1000; consecutive images go round the cameras.
        first_identity: identities reach 9999 at most.
        cameras: 1 to 9.

    Returns:
        identities * images_per_identity images, by identity, then by image index.

    Raises:
        DpigError: naming the argument that is out of range.
    """
    _check_range("seed", seed, 0, 2**63)
    _check_range("identities", identities, 1, _MAX_IDENTITY)
    _check_range("images_per_identity", images_per_identity, 1, _MAX_IMAGES)
    _check_range("first_identity", first_identity, 1, _MAX_IDENTITY + 1 - identities)
    _check_range("cameras", cameras, 1, _MAX_CAMERAS)
    places = [_place(seed, camera) for camera in range(cameras)]
    return [
        image
        for identity in range(first_identity, first_identity + identities)
        for image in _identity_images(seed, identity, images_per_identity, places)
    ]


def _identity_images(
    seed: int, identity: int, count: int, places: list[Background]
) -> list[SyntheticImage]:
    foreground = sample_foreground(_stream(seed, _FOREGROUND_STREAM, identity))
    images = []
    for index in range(count):
        rng = _stream(seed, _IMAGE_STREAM, identity, index)
        place = (identity + index) % len(places)
        frame = 1000 * index + int(rng.integers(1000))
        sequence = 1 + index // len(places) % _SEQUENCES
        images.append(
            SyntheticImage(
                name=f"{identity:04d}_c{place + 1}s{sequence}_{frame:06d}_01.jpg",
                identity=identity,
                camera=place + 1,
                foreground=foreground,
                background=vary_background(rng, places[place]),
                pose=sample_pose(rng),
            )
        )
    return images


def _place(seed: int, camera: int) -> Background:
    """What a camera looks at; neighboring cameras look at different kinds of scene."""
    first = int(_stream(seed, _CAMERA_STREAM).integers(len(SCENES)))
    scene = SCENES[(first + camera) % len(SCENES)]
    return sample_background(_stream(seed, _CAMERA_STREAM, camera), scene)


def _stream(seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng((seed, *numbers))


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise DpigError(f"{name} must be from {lowest} to {highest}, got {value}")
