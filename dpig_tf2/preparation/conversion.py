"""What all converters share: checked photos, and records written with a report."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io.hashes import sha256, sha256_of_arrays, sha256_of_texts
from dpig_tf2.ops import images
from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.preparation import photos, record_folder
from dpig_tf2.progress import Progress
from dpig_tf2.records import schema, writer


@dataclasses.dataclass(frozen=True)
class Options:
    """How records are written, whatever they are made from.

    Args:
        flip: add every pair once more, mirrored left to right. None: as the source has it.
        parts: part regions in the records, 7 or 37.
        num_shards: record files.
        overwrite: replace records made with other settings.
        dry_run: report without writing.
    """

    flip: bool | None = None
    parts: int = 37
    num_shards: int = 1
    overwrite: bool = False
    dry_run: bool = False


DEFAULTS = Options()


@contextlib.contextmanager
def collecting() -> Iterator[list[str]]:
    """A list for problems; they become notes of the error if the work ends in one."""
    problems: list[str] = []
    try:
        yield problems
    except DpigError as error:
        for problem in problems:
            error.add_note(problem)
        raise


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was written (None after a dry run), what would be, and every problem that was met.

    `left_out`: how many images are not used.
    """

    written: record_folder.Written | None
    plan: str
    problems: tuple[str, ...]
    left_out: int = 0


@dataclasses.dataclass(frozen=True)
class UsablePhoto:
    """The file of a photo that can become a record: `keypoints` float32 [18, 3] in its pixels."""

    name: str
    path: pathlib.Path
    placement: photos.Placement
    keypoints: np.ndarray
    is_plain: bool  # see `photos.Photo`
    sha256: str  # of the file
    background: photos.Color = photos.GRAY

    def person(self, mirrored: bool, **fields) -> writer.Person:
        """This photo ready to be written, with further `writer.Person` fields."""
        keypoints = self.keypoints
        if mirrored:
            keypoints = keypoint_ops.flip_horizontal(keypoints, self.placement.width).numpy()
        return writer.Person(
            name=self.name,
            encoded=functools.partial(
                photos.encode,
                self.path,
                self.placement,
                mirrored,
                self.is_plain,
                self.background,
            ),
            keypoints=keypoints,
            **fields,
        )


def usable_photos(
    folder,
    keypoints: Mapping[str, np.ndarray],
    size: tuple[int, int],
    resize: str,
    problems: list[str],
    background: photos.Color = photos.GRAY,
) -> dict[str, UsablePhoto]:
    """Photos that can be decoded and that fit, by name; every other one becomes a problem.

    Args:
        folder: where the photos lie.
        keypoints: float32 [18, 3] of each photo by name, pixels of the photo.
        size: rows and columns of the records.
        resize: one of `photos.RESIZE_MODES`.
        problems: gets a line for each.
        background: what shines through transparent pixels.
    """
    progress = Progress(f"photos in {folder}", len(keypoints))
    found = {}
    for number, name in enumerate(sorted(keypoints), 1):
        progress.update(number)
        path = pathlib.Path(folder) / name
        try:
            photo = photos.read(path, background)
            placement = photos.place(photo.size, size, resize)
            if photo.is_plain and not images.decodes_to(path.read_bytes(), np.asarray(photo.image)):
                raise DpigError("is damaged: TensorFlow does not decode it as Pillow", file=path)
        except DpigError as error:
            problems.append(f"{path}: {error}")
            continue
        placed = _inside(placement.keypoints(keypoints[name]), size, path, problems)
        if placed[:, 2].any():
            found[name] = UsablePhoto(
                name, path, placement, placed, photo.is_plain, sha256(path), background
            )
        else:
            problems.append(f"{path}: no visible keypoint, skipped")
    return found


def _inside(keypoints, size, path, problems):
    """Keypoints with those outside the image marked missing, each one reported."""
    beyond = ~((keypoints[:, :2] >= 0) & (keypoints[:, :2] < size))
    outside = (keypoints[:, 2] > 0) & beyond.any(axis=1)
    for k in np.flatnonzero(outside):
        row, column, _ = keypoints[k]
        problems.append(
            f"{path}: {keypoint_ops.KEYPOINT_NAMES[k]} is out of frame (row {row:g}, column "
            f"{column:g} of {size[0]} x {size[1]}), taken as missing"
        )
    return np.where(outside[:, None], np.float32(0), keypoints)


@dataclasses.dataclass(frozen=True)
class Target:
    """What kind of records go where.

    Args:
        out_dir: folder for the records.
        variant: name of a `schema.Variant`.
        split: split part of the file names.
        height, width: image size in the records, pixels.
        image_format: "jpg" or "png", noted in the records.
    """

    out_dir: pathlib.Path
    variant: str
    split: str
    height: int
    width: int
    image_format: str = "jpg"


def write(
    target: Target,
    examples: Sequence[writer.Pair],
    used: Iterable[UsablePhoto],
    num_images: int,
    settings: Mapping[str, object],
    inputs: Mapping[str, str],
    options: Options,
    problems: Sequence[str],
) -> Conversion:
    """Writes the examples with a manifest, or tells what would be written.

    Args:
        target: what kind of records go where.
        examples: in the order of the records.
        used: the photos that they are made of.
        num_images: photos that there were, usable or not.
        settings: what was asked for, for the manifest.
        inputs: hashes of what was read besides photos and keypoints, by what it is.
        options: shards and the like.
        problems: what was met on the way.

    Raises:
        DpigError: if there are fewer examples than shards.
        OutputError: if the folder holds records made from something else.
    """
    used = list(used)
    people = {person.identity for pair in examples for person in (pair.source, pair.target)}
    prefix = schema.variant(target.variant).file_prefix
    plan = (
        f"{len(examples)} examples of {len(people)} identities from {len(used)} of {num_images} "
        f"images, {target.height} x {target.width} pixels, in {options.num_shards} files "
        f"{prefix}_{target.split}"
    )
    output = record_folder.Output(
        pathlib.Path(target.out_dir), prefix, target.split, options.num_shards, options.overwrite
    )
    output.check(len(examples))
    left_out = num_images - len(used)
    if options.dry_run:
        return Conversion(None, plan, tuple(problems), left_out)
    size = (target.height, target.width)
    settings = {
        **settings,
        "variant": target.variant,
        "height": target.height,
        "width": target.width,
        "parts": options.parts,
        "flip": bool(options.flip),
        "inputs": {
            "images": sha256_of_texts(f"{photo.name} {photo.sha256}" for photo in used),
            "keypoints": sha256_of_arrays(photo.keypoints for photo in used),
            **inputs,
        },
    }
    report = {"images": len(used), "identities": len(people), "problems": list(problems)}
    encoder = writer.PairEncoder(target.variant, *size, options.parts, target.image_format)
    written = record_folder.write_pairs(output, examples, encoder, settings, report)
    return Conversion(written, plan, tuple(problems), left_out)
