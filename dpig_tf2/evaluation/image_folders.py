"""Scores of two folders of image files, paired by file name, without any model."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import ImageOps

from dpig_tf2.errors import DpigError, counted
from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.io.images import decoding, open_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_UNREAD_SUFFIXES = (".webp", ".bmp", ".tif", ".tiff", ".avif")  # of other pictures

# Pillow's names of the pixel formats that become 8-bit RGB without loss.
_READABLE_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

# Of a mask, share of levels from a quarter to three quarters of the largest one: masks of 64 x 32
# that were enlarged fourfold have up to 0.28, photos of Market-1501 0.3 to 0.9.
_MOST_BETWEEN = 0.3

_NAMES_SHOWN = 5

# How programs name the picture of a source in the pose of a target.
_GENERATED_NAMES = ("{}___{}_vis", "{}___{}", "{}_{}", "{}_to_{}")

PathLike = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Panel:
    """One of several pictures of equal width that stand side by side in an image file.

    Attributes:
        number: which, from 1 at the left.
        count: how many there are.

    Raises:
        DpigError: unless 1 <= number <= count.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self):
        if not 1 <= self.number <= self.count:
            raise DpigError(f"panel {self.number} of {self.count}, expected one from 1 on")

    def columns(self, width: int) -> slice:
        """Columns of the panel in an image of so many columns.

        Raises:
            DpigError: if they cannot be divided so; the message does not name the file.
        """
        each, left_over = divmod(width, self.count)
        if left_over or not each:
            raise DpigError(f"is {width} columns wide, expected {self.count} panels of equal width")
        return slice((self.number - 1) * each, self.number * each)


_WHOLE = Panel()


def pair_by_name(
    generated_dir: PathLike, target_dir: PathLike, allow_unmatched: bool = False
) -> list[tuple[str, Path, Path]]:
    """(name, generated path, target path) of every image in both folders, sorted by name.

    Files are matched by their name without extension, upper and lower case being the same; the
    name returned is the generated file's. Subfolders, hidden files and files that are not .jpg,
    .jpeg or .png are left out.

    Args:
        generated_dir, target_dir: folders of images.
        allow_unmatched: pass over images that only one folder has, and pictures in other formats.

    Raises:
        DpigError: a folder is missing or has no image, a name occurs twice in one folder, no name
            is in both, or, unless allowed, a name is in only one or a folder has WebP, BMP, TIFF or
            AVIF files.
    """
    generated, target = image_files(generated_dir), image_files(target_dir)
    common = sorted(generated.keys() & target.keys())
    if not common:
        raise DpigError(
            f"no image of {generated_dir} has the name of one in {target_dir}: "
            f"{_first_names(generated.values())} against {_first_names(target.values())}"
        )
    if not allow_unmatched:
        _refuse_unmatched(generated, target, generated_dir, target_dir)
        _refuse_unmatched(target, generated, target_dir, generated_dir)
        _refuse_unread(generated_dir)
        _refuse_unread(target_dir)
    return [(generated[key].stem, generated[key], target[key]) for key in common]


def pair_by_list(
    generated_dir: PathLike,
    target_dir: PathLike,
    listed: Sequence[tuple[str, str]],
    allow_unmatched: bool = False,
) -> list[tuple[str, Path, Path]]:
    """As `pair_by_name`, for generated images that are named after a source and a target.

    Names may have endings or not, in the list as in the folder. Generated images are called
    SOURCE___TARGET_vis, SOURCE___TARGET, SOURCE_TARGET or, as `transfer` does, SOURCE_to_TARGET.

    Args:
        generated_dir, target_dir: folders of images.
        listed: (source, target).
        allow_unmatched: pass over pairs of which an image is missing.

    Raises:
        DpigError: as for `pair_by_name`; an image of a pair is missing, unless allowed.
    """
    generated, target = image_files(generated_dir), image_files(target_dir)
    pairs, missing = [], []
    for source, goal in listed:
        sources, goals = ((Path(name).stem, Path(name).name) for name in (source, goal))
        keys = [
            form.format(a, b).casefold()
            for form in _GENERATED_NAMES
            for a, b in itertools.product(sources, goals)
        ]
        path = next((generated[key] for key in keys if key in generated), None)
        real = target.get(Path(goal).stem.casefold())
        if path is None or real is None:
            missing.append(f"{source} to {goal}")
        else:
            pairs.append((path.stem, path, real))
    if not pairs or (missing and not allow_unmatched):
        raise DpigError(
            f"{len(missing)} of {len(listed)} listed pairs lack an image in {generated_dir} or "
            f"{target_dir}: {_first(missing)}",
            file=generated_dir,
        )
    return pairs


def pair_files(
    generated_dir: PathLike,
    target_dir: PathLike,
    mask_dir: PathLike | None = None,
    allow_unmatched: bool = False,
    listed: Sequence[tuple[str, str]] | None = None,
) -> list[tuple[str, Path, Path, Path | None]]:
    """(name, generated, target and mask path) of what `score_folders` scores; it says the rest."""
    if listed is None:
        pairs = pair_by_name(generated_dir, target_dir, allow_unmatched)
    else:
        pairs = pair_by_list(generated_dir, target_dir, listed, allow_unmatched)
    masks = [None] * len(pairs) if mask_dir is None else _mask_paths(pairs, mask_dir)
    return [(*pair, mask) for pair, mask in zip(pairs, masks, strict=True)]


def score_folders(
    generated_dir: PathLike,
    target_dir: PathLike,
    scores: ImageScores,
    mask_dir: PathLike | None = None,
    allow_unmatched: bool = False,
    keypoints: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None = None,
    listed: Sequence[tuple[str, str]] | None = None,
    panel: Panel = _WHOLE,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> dict:
    """Scores of the images of one folder against those of the same name in another.

    Args:
        generated_dir, target_dir: folders of images, paired by `pair_by_name`.
        scores: takes the pairs; decides on protocol and further networks.
        mask_dir: folder with a mask image for every target, matched by name too (further masks are
            passed over), for `mask_ssim`.
        allow_unmatched: score the common names where the folders' names differ.
        keypoints: {file name: float32 [18, 3], pixels} found in the generated images, and those of
            the targets, matched by name too; gives `pose_error`. Targets without any visible one
            are left out; generated images without are those where no person was found.
        listed: (source, target) names by which images are paired in place of `pair_by_name`, see
            `pair_by_list`.
        panel: where the generated image is in the files of `generated_dir`.
        report: called with ("scoring", done, total), pairs.

    Returns:
        What `ImageScores.summary` returns, and `names` (in the order of `per_image`),
        `unmatched_generated` and `unmatched_target` (file names without a partner), `skipped` (a
        line for each pair that could not be scored: an image or mask that cannot be read, two
        sizes).

    Raises:
        DpigError: as for `pair_by_name`; a mask is missing; not one pair could be scored. The
            message names the file.
    """
    generated, target = image_files(generated_dir), image_files(target_dir)
    pairs = pair_files(generated_dir, target_dir, mask_dir, allow_unmatched, listed)
    names, scored, skipped = [], [], []
    for done, (name, path, target_path, mask_path) in enumerate(pairs, start=1):
        try:
            _add_pair(scores, path, target_path, mask_path, panel)
        except DpigError as error:
            skipped.append(str(error))
        else:
            names.append(name)
            scored.append((path, target_path))
        report("scoring", done, len(pairs))
    if not names:
        raise DpigError(f"not one of {len(pairs)} pairs can be scored; the first: {skipped[0]}")
    if keypoints is not None:
        scores.set_keypoints(*_matched_keypoints(scored, *keypoints))
    return scores.summary() | {
        "names": names,
        "unmatched_generated": _without(generated, [pair[1] for pair in pairs]),
        "unmatched_target": _without(target, [pair[2] for pair in pairs]),
        "skipped": skipped,
    }


def image_files(folder: PathLike) -> dict[str, Path]:
    """Image files of a folder by lower-case name without extension; rules as in `pair_by_name`.

    Raises:
        DpigError: the folder is missing or has no image, or two files differ in extension or case
            only.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DpigError(f"{folder} is not a folder", file=folder)
    files: dict[str, Path] = {}
    for path in _files_with(folder, IMAGE_SUFFIXES):
        twin = files.setdefault(path.stem.casefold(), path)
        if twin is not path:
            raise DpigError(
                f"{twin} and {path.name} have the same name, expected one of them", file=twin
            )
    if not files:
        raise DpigError(f"{folder} has no image ({', '.join(IMAGE_SUFFIXES)})", file=folder)
    return files


def read_image(path: PathLike, panel: Panel = _WHOLE) -> np.ndarray:
    """Image of a JPEG or PNG file as it is seen, uint8 [H, W, 3]; gray gets three equal channels.

    Args:
        path: the file.
        panel: the part of it that is wanted.

    Raises:
        DpigError: the file is missing, damaged, of another format whatever its extension, not of 8
            bits, in CMYK, has transparent pixels, or cannot be divided into panels.
    """
    try:
        image = open_image(path)
    except DpigError as error:
        raise DpigError(f"{path} {error}", file=path) from error
    if image.mode not in _READABLE_MODES:
        raise DpigError(
            f"{path} has pixels of mode {image.mode}, expected 8-bit gray or RGB", file=path
        )
    try:
        with decoding(path):
            image = ImageOps.exif_transpose(image)
            alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
            pixels = np.asarray(image.convert("RGB"))[:, panel.columns(image.width)]
    except DpigError as error:
        raise DpigError(f"{path} {error}", file=path) from error
    if alpha is not None and np.asarray(alpha).min() < 255:
        raise DpigError(f"{path} has transparent pixels, expected an opaque image", file=path)
    return pixels


def read_mask(path: PathLike) -> np.ndarray:
    """Mask of an image file, uint8 [H, W] in {0, 1}: 1 above half of the file's largest level.

    So masks stored as {0, 1}, as {0, 255} and with the noise of JPEG read the same.

    Raises:
        DpigError: as for `read_image`, or if it cannot be one: many levels are neither dark nor
            bright, as in photos, or all corners are bright, as in photos before white and in
            masks of the background.
    """
    levels = read_image(path).max(axis=2)
    share = levels / max(levels.max(), 1)
    mask = (share > 0.5).astype(np.uint8)
    odd = None
    if ((share > 0.25) & (share < 0.75)).mean() > _MOST_BETWEEN:
        odd = "has many levels between dark and bright"
    elif mask[[0, 0, -1, -1], [0, -1, 0, -1]].all() and not mask.all():
        odd = "is bright in all corners, and not everywhere"
    if odd:
        raise DpigError(
            f"{path} {odd}, expected a mask: bright on the person, dark elsewhere", file=path
        )
    return mask


def _add_pair(scores, generated: Path, target: Path, mask_path: Path | None, panel: Panel) -> None:
    """Adds one pair; every error names the files that it is about."""
    images = read_image(generated, panel), read_image(target)
    mask = None if mask_path is None else read_mask(mask_path)
    try:
        scores.add(*images, mask)
    except DpigError as error:
        files = [generated, target] + ([mask_path] if mask_path else [])
        (height, width), (rows, columns) = (image.shape[:2] for image in images)
        panels = width // columns
        if height == rows and panels > 1 and width == panels * columns:
            error = f"{error} If it shows {panels} side by side: --generated_panel=NUMBER/{panels}."
        raise DpigError(f"{', '.join(map(str, files))}: {error}") from None


def _without(files: Mapping[str, Path], used: Iterable[Path]) -> list[str]:
    used = set(used)
    return [path.name for path in files.values() if path not in used]


def _matched_keypoints(scored, generated, target) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints [N, 18, 3] of both sides, for the (generated, target) whose target has any.

    Generated pictures without keypoints are those where no person was found.
    """
    sides = [
        {Path(file).stem.casefold(): keypoints for file, keypoints in side.items()}
        for side in (generated, target)
    ]
    keys = [tuple(path.stem.casefold() for path in paths) for paths in scored]
    usable = [pair for pair in keys if pair[1] in sides[1] and sides[1][pair[1]][:, 2].any()]
    if not usable or (sides[0] and not any(pair[0] in sides[0] for pair in keys)):
        images = _first(path.stem for path, _ in scored)
        raise DpigError(
            f"no scored image has keypoints on both sides: images {images}, generated "
            f"keypoints {_first(generated)}, target keypoints {_first(target)}"
        )
    missed = np.zeros((18, 3), np.float32)
    found = np.stack([sides[0].get(key, missed) for key, _ in usable])
    return found, np.stack([sides[1][key] for _, key in usable])


def _mask_paths(pairs: list[tuple[str, Path, Path]], mask_dir: PathLike) -> list[Path]:
    masks = image_files(mask_dir)
    missing = [generated for _, generated, target in pairs if target.stem.casefold() not in masks]
    if missing:
        raise DpigError(
            f"{mask_dir} has no mask for {len(missing)} of {len(pairs)} images: "
            f"{_first_names(missing)}",
            file=mask_dir,
        )
    return [masks[target.stem.casefold()] for _, _, target in pairs]


def _refuse_unmatched(
    files: dict[str, Path], others: dict[str, Path], folder: PathLike, other_folder: PathLike
) -> None:
    unmatched = [path for key, path in files.items() if key not in others]
    if unmatched:
        raise DpigError(
            f"{len(unmatched)} of {len(files)} images of {folder} have no image of that name in "
            f"{other_folder}: {_first_names(unmatched)}"
        )


def _files_with(folder: PathLike, suffixes: Collection[str]) -> list[Path]:
    # Without hidden ones: macOS leaves `._name.jpg` files beside the real ones in archives.
    return [
        path
        for path in sorted(Path(folder).iterdir())
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]


def _refuse_unread(folder: PathLike) -> None:
    if unread := _files_with(folder, _UNREAD_SUFFIXES):
        raise DpigError(
            f"{folder} has {counted(len(unread), 'picture')} that would not be scored, expected "
            f"{', '.join(IMAGE_SUFFIXES)}: {_first_names(unread)}",
            file=folder,
        )


def _first_names(paths: Iterable[Path]) -> str:
    return _first(path.name for path in paths)


def _first(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
