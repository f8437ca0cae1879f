"""Scores of two folders of image files, paired by file name, without any model."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dpig_tf2.evaluation.metrics import Protocol, Scores

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

# Pillow's names of the pixel formats that become 8-bit RGB without loss.
_READABLE_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

_NAMES_SHOWN = 5

PathLike = str | os.PathLike


def pair_by_name(
    generated_dir: PathLike, target_dir: PathLike, allow_unmatched: bool = False
) -> list[tuple[str, Path, Path]]:
    """(name, generated path, target path) of every image in both folders, sorted by name.

    Files are matched by their name without extension, upper and lower case being the same; the
    name returned is the generated file's. Subfolders, hidden files and files that are not .jpg,
    .jpeg or .png are left out.

    Args:
      generated_dir, target_dir: folders of images.
      allow_unmatched: pass over images that only one folder has.

    Raises:
      ValueError: a folder is missing or has no image, a name occurs twice in one folder, no name
        is in both, or, unless allowed, a name is in only one.
    """
    generated, target = image_files(generated_dir), image_files(target_dir)
    common = sorted(generated.keys() & target.keys())
    if not common:
        raise ValueError(
            f"No image of {generated_dir} has the name of one in {target_dir}: "
            f"{_first_names(generated.values())} against {_first_names(target.values())}."
        )
    if not allow_unmatched:
        _refuse_unmatched(generated, target, generated_dir, target_dir)
        _refuse_unmatched(target, generated, target_dir, generated_dir)
    return [(generated[key].stem, generated[key], target[key]) for key in common]


def score_folders(
    generated_dir: PathLike,
    target_dir: PathLike,
    protocol: str | Protocol,
    mask_dir: PathLike | None = None,
    allow_unmatched: bool = False,
) -> dict:
    """Scores of the images of one folder against those of the same name in another.

    Args:
      generated_dir, target_dir: folders of images, paired by `pair_by_name`.
      protocol: a `Protocol` or the name of one in `metrics.PROTOCOLS`.
      mask_dir: folder with a mask image for every pair, matched by name too (further masks are
        passed over); adds `mask_ssim`.
      allow_unmatched: score the common names where the folders' names differ.

    Returns:
      What `metrics.Scores.summary` returns, and `names` (in the order of `per_image`),
      `unmatched_generated` and `unmatched_target` (numbers of images without a partner).

    Raises:
      ValueError: as for `pair_by_name`; an image cannot be read, two of a pair differ in size, a
        mask is missing. The message names the file.
    """
    scores = Scores(protocol)
    generated, target = image_files(generated_dir), image_files(target_dir)
    pairs = pair_by_name(generated_dir, target_dir, allow_unmatched)
    mask_paths = None if mask_dir is None else _mask_paths(pairs, mask_dir)
    for index, (_, *paths) in enumerate(pairs):
        images = [read_image(path) for path in paths]
        mask = None
        if mask_paths is not None:
            paths.append(mask_paths[index])
            mask = read_mask(mask_paths[index])
        try:
            scores.add(*images, mask)
        except ValueError as error:
            raise ValueError(f"{', '.join(map(str, paths))}: {error}") from error
    return scores.summary() | {
        "names": [name for name, _, _ in pairs],
        "unmatched_generated": len(generated) - len(pairs),
        "unmatched_target": len(target) - len(pairs),
    }


def image_files(folder: PathLike) -> dict[str, Path]:
    """Image files of a folder by lower-case name without extension; rules as in `pair_by_name`.

    Raises:
      ValueError: the folder is missing or has no image, or two files differ in extension or case
        only.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # macOS leaves `._name.jpg` files beside the real ones in archives.
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        twin = files.setdefault(path.stem.casefold(), path)
        if twin is not path:
            raise ValueError(f"{twin} and {path.name} have the same name, expected one of them.")
    if not files:
        raise ValueError(f"{folder} has no image ({', '.join(IMAGE_SUFFIXES)}).")
    return files


def read_image(path: PathLike) -> np.ndarray:
    """Image of a JPEG or PNG file, uint8 [H, W, 3]; grey files get three equal channels.

    Raises:
      ValueError: the file is missing, damaged, of another format whatever its extension, not of 8
        bits, in CMYK, or has transparent pixels.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            image.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not a JPEG or PNG image.") from error
    # Besides OSError, Pillow lets out what its PNG chunk readers happen to raise.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
    if image.mode not in _READABLE_MODES:
        raise ValueError(f"{path} has pixels of mode {image.mode}, expected 8-bit grey or RGB.")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError(f"{path} has transparent pixels, expected an opaque image.")
    return np.asarray(image.convert("RGB"))


def read_mask(path: PathLike) -> np.ndarray:
    """Mask of an image file, uint8 [H, W] in {0, 1}: 1 above half of the file's largest level.

    So masks stored as {0, 1}, as {0, 255} and with the noise of JPEG read the same.

    Raises:
      ValueError: as for `read_image`.
    """
    levels = read_image(path).max(axis=2)
    return (levels > levels.max() / 2).astype(np.uint8)


def _mask_paths(pairs: list[tuple[str, Path, Path]], mask_dir: PathLike) -> list[Path]:
    masks = image_files(mask_dir)
    missing = [generated for name, generated, _ in pairs if name.casefold() not in masks]
    if missing:
        raise ValueError(
            f"{mask_dir} has no mask for {len(missing)} of {len(pairs)} images: "
            f"{_first_names(missing)}."
        )
    return [masks[name.casefold()] for name, _, _ in pairs]


def _refuse_unmatched(
    files: dict[str, Path], others: dict[str, Path], folder: PathLike, other_folder: PathLike
) -> None:
    unmatched = [path for key, path in files.items() if key not in others]
    if unmatched:
        raise ValueError(
            f"{len(unmatched)} of {len(files)} images of {folder} have no image of that name in "
            f"{other_folder}: {_first_names(unmatched)}."
        )


def _first_names(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
