"""Synthetic persons as records in the published Market-1501 schema."""

import functools
import pathlib

from dpig_tf2 import synthetic
from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_json
from dpig_tf2.io.images import encode_jpeg
from dpig_tf2.preparation import pairs, record_folder
from dpig_tf2.records import schema, writer

_TEST_IDENTITY = 5001  # first identity of any split but "train", so that persons are disjoint


def write(
    out_dir,
    split: str = "train",
    identities: int = 150,
    images_per_identity: int = 12,
    pairs_per_image: int = 3,
    height: int = 48,
    width: int = 24,
    parts: int = 37,
    seed: int = 0,
    num_shards: int = 1,
    first_identity: int | None = None,
    overwrite: bool = False,
) -> record_folder.Written:
    """Writes Market1501_<split> records of synthetic persons, and their factors beside them.

    `synthetic_factors_<split>.json` maps each image name to its foreground, background and pose, so
    that the true picture of any recombination can be drawn.

    Args:
        out_dir: folder, created if needed.
        split: name of the split; splits other than "train" get other persons.
        identities, images_per_identity: size of the data set.
        pairs_per_image: targets of each source image, at most images_per_identity - 1.
        height, width: pixels.
        parts: part regions in the records, 7 or 37.
        seed: of persons, poses, places and pairs.
        num_shards: record files.
        first_identity: number of the first person; None: 1 for "train", 5001 for others.
        overwrite: replace records made with other settings.

    Raises:
        DpigError: naming the argument that is out of range.
        OutputError: if the folder holds records made with other settings.
    """
    if images_per_identity < 2:
        raise DpigError(
            f"images_per_identity must be at least 2, got {images_per_identity}",
            field="images_per_identity",
        )
    if pairs_per_image < 1:
        raise DpigError(
            f"pairs_per_image must be at least 1, got {pairs_per_image}", field="pairs_per_image"
        )
    if first_identity is None:
        first_identity = 1 if split == "train" else _TEST_IDENTITY
    settings = {
        "source": "synthetic",
        "identities": identities,
        "first_identity": first_identity,
        "images_per_identity": images_per_identity,
        "pairs_per_image": pairs_per_image,
        "height": height,
        "width": width,
        "parts": parts,
        "seed": seed,
    }
    encoder = writer.PairEncoder("market1501", height, width, parts, real=False)
    made = {
        image.name: image
        for image in synthetic.make_images(seed, identities, images_per_identity, first_identity)
    }
    persons = {name: _person(image, height, width, first_identity) for name, image in made.items()}
    chosen = pairs.some_per_image(
        list(made), lambda name: made[name].identity, pairs_per_image, seed
    )
    prefix = schema.variant("market1501").file_prefix
    output = record_folder.Output(pathlib.Path(out_dir), prefix, split, num_shards, overwrite)
    examples = [writer.Pair(persons[source], persons[target]) for source, target in chosen]
    written = record_folder.write_pairs(output, examples, encoder, settings)
    write_json(factors_path(out_dir, split), _factors(made))
    return written


def factors_path(out_dir, split: str) -> pathlib.Path:
    """Where the factors of a split are kept."""
    return pathlib.Path(out_dir) / f"synthetic_factors_{split}.json"


def _person(image, height, width, first_identity):
    @functools.cache
    def encode():
        picture = synthetic.render(image.foreground, image.background, image.pose, height, width)
        return encode_jpeg(picture)

    return writer.Person(
        name=image.name,
        encoded=encode,
        keypoints=synthetic.pose_keypoints(image.pose, height, width),
        identity=image.identity - first_identity,
        camera=image.camera,
        attributes=synthetic.attributes(image.foreground),
    )


def _factors(made):
    return {
        name: {
            factor: synthetic.to_dict(getattr(image, factor))
            for factor in ("foreground", "background", "pose")
        }
        for name, image in made.items()
    }
