"""What comes of the page's work: pictures, their codes and the command that makes them again."""

import dataclasses
import io
import json
import os
import re
import shlex
import tempfile
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2 import __version__
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.errors import DpigError
from dpig_tf2.io import array_files
from dpig_tf2.io.images import encode_png
from dpig_tf2.page.cast import DECIMALS, Member
from dpig_tf2.sampling.person_codes import PersonCodes
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.visual.animations import animation
from dpig_tf2.visual.sheets import labeled_sheet

_MADE = "made.json"
_CODES = "codes.npz"
_IN_PHOTO = "in_photo.png"
# What commands of results read, and where those of earlier versions read it.
_FILES = (
    *("person.png", "other.png", "keypoints.csv", "target.csv"),
    *("persons/person.png", "persons/other.png"),
)
_MOST_PICTURES = 64
_LARGEST = 64 << 20  # bytes of an archive that is opened again


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """One picture: uint8 [H, W, 3], and what it shows in a few words."""

    caption: str
    image: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """Pictures and what made them.

    Attributes:
        verb: what was done, for the name of the download.
        pictures: in order.
        codes: of the persons on the pictures, their poses as keypoints; of equally many.
        command: that makes the pictures again, run beside the files of the download.
        files: {name: content} that the command reads.
        pasted: the first picture put back into its photo, uint8 [H, W, 3]; None without a photo.
        columns: of a sheet of the pictures.
        animated: whether the pictures are frames of one way.
        notes: what must be said about it, a sentence each.
    """

    verb: str
    pictures: Sequence[Picture]
    codes: PersonCodes
    command: str
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    pasted: np.ndarray | None = None
    columns: int = 4
    animated: bool = False
    notes: Sequence[str] = ()


def archive(result: Result, fingerprint: str) -> bytes:
    """Everything of a result of networks of that fingerprint as a zip file for `restore`."""
    content = io.BytesIO()
    made = {
        "dpig_tf2": __version__,
        "verb": result.verb,
        "networks": fingerprint,
        "command": result.command,
        "captions": [picture.caption for picture in result.pictures],
        "columns": result.columns,
        "animated": result.animated,
    }
    files = {
        _MADE: json.dumps(made, indent=2).encode(),
        _CODES: array_files.encode(result.codes.as_arrays()),
        "command.txt": f"{result.command}\n".encode(),
        "sheet.png": encode_png(sheet(result)),
        **result.files,
    }
    for number, picture in enumerate(result.pictures, 1):
        files[f"picture_{number:02d}.png"] = encode_png(picture.image)
    if result.pasted is not None:
        files[_IN_PHOTO] = encode_png(result.pasted)
    if result.animated:
        files["animation.webp"] = animation([picture.image for picture in result.pictures])
    with zipfile.ZipFile(content, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return content.getvalue()


def restore(path: str | os.PathLike, sampler: PersonSampler, fingerprint: str) -> Result:
    """The result in a file that `archive` made, drawn again from its codes.

    The photo with a picture put back is among its files, as it cannot be drawn again.

    Args:
        path: of the file.
        sampler: draws it.
        fingerprint: of the sampler's networks.

    Raises:
        DpigError: as a sentence, if it is no such file, or of other networks.
    """
    try:
        if os.path.getsize(path) > _LARGEST:
            raise DpigError("This file is too large to be a result of this page.", file=path)
        with zipfile.ZipFile(path) as file:
            kept = [name for name in (*_FILES, _IN_PHOTO) if name in file.namelist()]
            if sum(file.getinfo(name).file_size for name in (_MADE, _CODES, *kept)) > _LARGEST:
                raise DpigError("This file is damaged.", file=path)
            files = {name: file.read(name) for name in kept}
            made = json.loads(file.read(_MADE))
            with tempfile.TemporaryDirectory() as folder:
                arrays = array_files.load(file.extract(_CODES, folder))
            codes = PersonCodes(**arrays).check(sampler.config.model)
            if len(codes) > _MOST_PICTURES:
                raise DpigError("This file holds more pictures than a result has.", file=path)
            captions = [str(text) for text in made["captions"]]
            # People may run what is shown as the command: one call of dpig, without a second one.
            program, *arguments = shlex.split(str(made["command"]))
            command = shlex.join(["dpig", *arguments])
            verb, columns = str(made["verb"]), int(made["columns"])
            # The verb becomes part of a file's name.
            sound = program == "dpig" and re.fullmatch("[a-z]{1,20}", verb)
            if len(captions) != len(codes) or not sound:
                raise DpigError("This file is damaged.", file=path)
            animated, networks = bool(made["animated"]), made["networks"]
    except DpigError:
        raise
    except Exception as error:  # whatever a file of strangers makes of its readers
        raise DpigError(
            "This file is no result of this page: choose a .zip that was downloaded here.",
            file=path,
        ) from error
    if networks != fingerprint:
        raise DpigError(
            "This result was made with other weights than those that this page has loaded.",
            file=path,
            field="networks",
        )
    images = sampler.draw(codes).images
    pictures = [Picture(c, i) for c, i in zip(captions, images, strict=True)]
    return Result(verb, pictures, codes, command, files, None, max(1, columns), animated)


def sheet(result: Result) -> np.ndarray:
    """All pictures on one sheet, uint8 [H, W, 3]."""
    images = [picture.image for picture in result.pictures]
    rows = [images[k : k + result.columns] for k in range(0, len(images), result.columns)]
    return labeled_sheet(rows, scale=max(1, 256 // images[0].shape[0]))


def person_files(members: Mapping[str, Member], folder: str = "") -> dict[str, bytes]:
    """{file name: content} of photos {stem: member} and of the CSV with their keypoints.

    Args:
        members: the persons.
        folder: of the photos, with a slash behind it.
    """
    files = {f"{folder}{stem}.png": encode_png(m.image) for stem, m in members.items()}
    poses = {f"{stem}.png": member.keypoints for stem, member in members.items()}
    return {**files, "keypoints.csv": keypoint_csv(poses, DECIMALS).encode()}
