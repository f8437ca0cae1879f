"""Synthetic persons as records in the published Market-1501 schema."""

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from dpig_tf2 import synthetic
from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_json
from dpig_tf2.io.images import encode_jpeg
from dpig_tf2.preparation import conversion, record_folder
from dpig_tf2.preparation.pairs import some_targets
from dpig_tf2.preparation.photo_views import Prepared, View

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
    layout: str = "published",
    workers: int = 1,
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
        layout, workers: see `conversion.Options`.

    Raises:
        DpigError: naming the argument that is out of range.
        OutputError: if the folder holds records made with other settings.
    """
    if images_per_identity < 2:
        raise DpigError(
            f"images_per_identity must be at least 2, got {images_per_identity}",
            field="images_per_identity",
        )
    if first_identity is None:
        first_identity = 1 if split == "train" else _TEST_IDENTITY
    made = {
        image.name: image
        for image in synthetic.make_images(seed, identities, images_per_identity, first_identity)
    }
    target = conversion.Target(
        pathlib.Path(out_dir), "market1501", split, height, width, real=False
    )
    options = conversion.Options(
        parts=parts,
        num_shards=num_shards,
        overwrite=overwrite,
        layout=layout,
        workers=workers,
        pairs_per_image=pairs_per_image,
        seed=seed,
    )
    generator = np.random.default_rng(seed)
    chosen = some_targets([image.identity for image in made.values()], pairs_per_image, generator)
    settings = {
        "source": "synthetic",
        "identities": identities,
        "first_identity": first_identity,
        "images_per_identity": images_per_identity,
    }
    with conversion.session(target, options) as session:
        drawn = session.look_at(
            {name: _Drawing(image, height, width) for name, image in made.items()}, "drawing"
        )
        persons = [
            conversion.Individual(
                drawn[name],
                0,
                image.identity - first_identity,
                image.camera,
                functools.partial(_fields, image),
            )
            for name, image in made.items()
        ]
        listed = np.concatenate(list(chosen))
        pairs = session.new_pairs("pairs")
        pairs.append(listed[generator.permutation(len(listed))])
        done = session.write(persons, pairs, drawn.values(), len(made), settings)
        write_json(factors_path(out_dir, split), _factors(made))
    assert done.written is not None  # it was no dry run
    return done.written


def factors_path(out_dir, split: str) -> pathlib.Path:
    """Where the factors of a split are kept."""
    return pathlib.Path(out_dir) / f"synthetic_factors_{split}.json"


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """A picture to be drawn, for `conversion.Session.look_at`."""

    image: synthetic.SyntheticImage
    height: int
    width: int

    def prepare(self) -> Prepared:
        image, size = self.image, (self.height, self.width)
        encoded = encode_jpeg(
            synthetic.render(image.foreground, image.background, image.pose, *size)
        )
        view = View(encoded, synthetic.pose_keypoints(image.pose, *size))
        return Prepared(views=(view,), sha256=hashlib.sha256(encoded).hexdigest())


def _fields(image):
    return {"attributes": synthetic.attributes(image.foreground)}


def _factors(made):
    return {
        name: {f: synthetic.to_dict(getattr(image, f)) for f in synthetic.FACTORS}
        for name, image in made.items()
    }
