"""A set of virtual identities for re-identification, named and laid out as Market-1501."""

import numpy as np

from dpig_tf2.config import ConfigError
from dpig_tf2.sampling.output_folder import Item
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.sampler import KEYPOINTS
from dpig_tf2.sampling.tasks import Context, Pages

FOLDER = "bounding_box_train"
CAMERAS = SEQUENCES = 6  # as Market-1501 has them; readers refuse others
MAX_IDENTITIES, MAX_IMAGES = 9999, 999_999  # digits of the file names
_IMAGES_ON_SHEET = 12
_NO_SEED_BITS = 1  # a seed is a non-negative int32


def image_name(identity: int, index: int) -> str:
    """NNNN_cCsS_FFFFFF_II.jpg; consecutive images go round the cameras.

    Args:
        identity: from 1.
        index: of the image, from 0; it is also the frame number.
    """
    camera, sequence = index % CAMERAS + 1, index // CAMERAS % SEQUENCES + 1
    return f"{identity:04d}_c{camera}s{sequence}_{index:06d}_01.jpg"


def identity_seed(seed: int, identity: int) -> int:
    """Seed of one identity's noise; it does not depend on how many identities there are."""
    state = np.random.SeedSequence([seed, identity]).generate_state(1)
    return int(state[0] >> _NO_SEED_BITS)


def write_identities(
    context: Context, identities: int, images: int, seed: int, poses: Persons | None = None
) -> None:
    """Writes identities x images JPEG files to bounding_box_train/, with discriminator scores.

    An identity is generated as a whole: the discriminator normalizes by the statistics of the
    identity's images, so that its scores compare images within one identity best.

    Args:
        context: sampler and output.
        identities: number of identities, numbered from 1.
        images: of each.
        seed: of everything that is drawn.
        poses: real poses to draw from; None samples the poses.

    Raises:
        ValueError: if the file names have no room for so many.
    """
    if not (1 <= identities <= MAX_IDENTITIES and 1 <= images <= MAX_IMAGES):
        raise ValueError(
            f"{identities} identities x {images} images: names have room for 1 to {MAX_IDENTITIES} "
            f"identities and 1 to {MAX_IMAGES} images"
        )
    shown = min(images, _IMAGES_ON_SHEET)
    pages = Pages(context, list(map(str, range(shown))))
    for identity in range(1, identities + 1):
        files = [f"{FOLDER}/{image_name(identity, index)}" for index in range(images)]
        if context.output.missing(files):
            _write_identity(context, identity, files, identity_seed(seed, identity), poses)
        pages.add(f"identity {identity:04d}", files[:shown])
        context.report("identities", identity, identities)
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
            "camera": i % CAMERAS + 1,
            "seed": seed,
            "sample": i,
            "pose_of": "noise" if rows is None else poses.names[rows[i]],
            "discriminator": scores[i],
        }
        kept = {name: code[i] for name, code in codes.items()}
        kept[KEYPOINTS] = samples.keypoints[i]
        context.output.add(Item(file, made_from, samples.images[i], kept))


def _scores(sampler, images):
    """Mean discriminator logit of each image; None without a discriminator."""
    try:
        return [round(float(score), 5) for score in sampler.discriminator_scores(images)]
    except ConfigError:
        return [None] * len(images)
