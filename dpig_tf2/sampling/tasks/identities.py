"""A set of virtual identities for re-identification, named and laid out as Market-1501."""

import dataclasses

import numpy as np

from dpig_tf2.config import ConfigError
from dpig_tf2.errors import DpigError
from dpig_tf2.sampling.output_folder import Item
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, kept_arrays

TRAIN, QUERY, GALLERY = FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
CAMERAS = SEQUENCES = 6  # as Market-1501 has them; readers refuse others
MAX_IDENTITIES, MAX_IMAGES = 9999, 999_999  # digits of the file names
_IMAGES_ON_SHEET = 12


@dataclasses.dataclass(frozen=True)
class IdentitySet:
    """Size of a re-identification set.

    Attributes:
        identities: for training, numbered from 1; all their images are in bounding_box_train.
        images: of each identity.
        test_identities: for testing, numbered on. Their first images, one for each camera but at
            most half of them, are in query, the others in bounding_box_test.

    Raises:
        DpigError: if the file names have no room for so many, or an identity to test has too few
            images for a query and an answer.
    """

    identities: int
    images: int
    test_identities: int = 0

    def __post_init__(self):
        if not (1 <= self.total <= MAX_IDENTITIES and 1 <= self.images <= MAX_IMAGES):
            raise DpigError(
                f"{self.total} identities x {self.images} images: names have room for 1 to "
                f"{MAX_IDENTITIES} identities and 1 to {MAX_IMAGES} images"
            )
        if self.test_identities and self.images < 2:
            raise DpigError("an identity to test needs 2 images: one for query, one to be found")

    @property
    def total(self) -> int:
        return self.identities + self.test_identities

    def files(self, identity: int) -> list[str]:
        """Names of an identity's images, with their folders."""
        names = [image_name(identity, index) for index in range(self.images)]
        if identity <= self.identities:
            return [f"{TRAIN}/{name}" for name in names]
        queries = min(CAMERAS, self.images // 2)
        asked = [f"{QUERY}/{name}" for name in names[:queries]]
        return asked + [f"{GALLERY}/{name}" for name in names[queries:]]


def image_name(identity: int, index: int) -> str:
    """NNNN_cCsS_FFFFFF_00.jpg; consecutive images go round the cameras.

    Args:
        identity: from 1.
        index: of the image, from 0; the frame number is one more.
    """
    camera, sequence = _camera(index), index // CAMERAS % SEQUENCES + 1
    return f"{identity:04d}_c{camera}s{sequence}_{index + 1:06d}_00.jpg"


def identity_seed(seed: int, identity: int) -> int:
    """Seed of one identity's noise; it does not depend on how many identities there are."""
    state = np.random.SeedSequence([seed, identity]).generate_state(1)
    return int(state[0] >> 1)  # of 32 bits: a seed is a non-negative int32


def write_identities(
    context: Context, wanted: IdentitySet, seed: int, poses: Persons | None = None
) -> None:
    """Writes a set as JPEG files in the three folders of Market-1501, with discriminator scores.

    All three folders are there even if there is nothing to test: readers look for them. An identity
    is generated as a whole: the discriminator normalizes by the statistics of the identity's
    images, so that its scores compare images within one identity best.

    Args:
        context: sampler and output.
        wanted: how many.
        seed: of everything that is drawn.
        poses: real poses to draw from; None samples the poses.
    """
    for folder in FOLDERS:
        (context.output.path / folder).mkdir(exist_ok=True)
    shown = min(wanted.images, _IMAGES_ON_SHEET)
    pages = Pages(context, [f"camera {_camera(index)}" for index in range(shown)])
    for identity in range(1, wanted.total + 1):
        files = wanted.files(identity)
        if context.output.missing(files):
            _write_identity(context, identity, files, identity_seed(seed, identity), poses)
        pages.add(f"identity {identity:04d}", files[:shown])
        context.report("identities", identity, wanted.total)
    pages.close()


def _write_identity(context, identity, files, seed, poses):
    sampler = context.sampler
    rows = np.random.default_rng(seed).integers(len(poses), size=len(files)) if poses else None
    codes = sampler.identity_codes(
        len(files), seed, None if rows is None else poses.keypoints[rows]
    )
    samples = sampler.draw(codes)
    scores = _scores(sampler, samples.images)
    for i, file in enumerate(files):
        made_from = {
            "identity": identity,
            "camera": _camera(i),
            "seed": seed,
            "sample": i,
            "pose_of": "noise" if rows is None else poses.names[rows[i]],
            "discriminator": scores[i],
        }
        kept = kept_arrays(codes, samples, i)
        context.output.add(Item(file, made_from, samples.images[i], kept))


def _scores(sampler, images):
    """Mean discriminator logit of each image; None without a discriminator."""
    try:
        return [round(float(score), 5) for score in sampler.discriminator_scores(images)]
    except ConfigError:
        return [None] * len(images)


def _camera(index):
    return index % CAMERAS + 1
