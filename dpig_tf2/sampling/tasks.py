"""Tasks that write files: reconstruct, transfer, sampled factors; and what all tasks share."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from dpig_tf2.sampling.output_folder import Cell, Item, OutputFolder
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.sampler import KEYPOINTS, Codes, PersonSampler
from dpig_tf2.visual.skeletons import pose_picture

ROWS_PER_SHEET = 16
_COLUMNS_PER_SHEET = 64


@dataclasses.dataclass(frozen=True)
class Context:
    """What every task works with.

    Attributes:
        sampler: the trained networks.
        output: where the files go.
        report: called with (label, done, total) as work goes on.
        max_sheets: sheets drawn at most.
    """

    sampler: PersonSampler
    output: OutputFolder
    report: Callable[[str, int, int], None]
    max_sheets: int = 10

    def skeleton(self, keypoints) -> np.ndarray:
        """Drawing of a pose, uint8 [H, W, 3]."""
        model = self.sampler.config.model
        return pose_picture(keypoints, model.height, model.width)


def generate_missing(
    context: Context,
    files: Sequence[str],
    made_from: Sequence[Mapping],
    codes_of: Callable[[list[int]], Codes],
) -> None:
    """Draws the files that are not finished.

    Args:
        context: sampler and output.
        files: names.
        made_from: how each file comes about.
        codes_of: positions in `files` -> codes of these persons; not called if all are finished.
    """
    missing = context.output.missing(files)
    size = context.sampler.batch_size
    for start in range(0, len(missing), size):
        rows = missing[start : start + size]
        codes = codes_of(rows)
        samples = context.sampler.draw(codes)
        for i, row in enumerate(rows):
            kept = {name: code[i] for name, code in codes.items()}
            kept[KEYPOINTS] = samples.keypoints[i]
            context.output.add(Item(files[row], made_from[row], samples.images[i], kept))


class Pages:
    """Rows of pictures, cut into sheets; a sheet that is already there is not drawn again.

    Args:
        context: output and number of sheets.
        columns: labels.
        rows: rows of a sheet.
        headers: label and pictures of each row above the others on every sheet.
        name: of the sheets, before their number; different in a task that draws several kinds.
    """

    def __init__(
        self,
        context: Context,
        columns: Sequence[str],
        rows: int = ROWS_PER_SHEET,
        headers: Sequence[tuple[str, Sequence[Cell]]] = (),
        name: str = "sheet",
    ):
        self._context, self._columns, self._rows_per_page = context, list(columns), rows
        self._headers, self._name = headers, name
        self._number = 0
        self._labels: list[str] = []
        self._rows: list[Sequence[Cell]] = []

    def add(self, label: str, row: Sequence[Cell]) -> None:
        if self._number >= self._context.max_sheets:
            return
        self._labels.append(label)
        self._rows.append(row)
        if len(self._rows) == self._rows_per_page:
            self.close()

    def close(self) -> None:
        """Draws what has not been drawn yet."""
        if not self._rows:
            return
        labels, rows = zip(*self._headers, *zip(self._labels, self._rows, strict=True), strict=True)
        name = f"{self._name}_{self._number:03d}"
        self._context.output.add_sheet(name, rows, labels, self._columns)
        self._number += 1
        self._labels, self._rows = [], []


def encode(sampler: PersonSampler, persons: Persons) -> Codes:
    """Codes of persons with images."""
    return sampler.person_codes(persons.images, persons.keypoints, **persons.parts)


def reconstruct(context: Context, batches: Iterable[Persons]) -> None:
    """Every person once more in the same pose: <name>.png."""
    pages = Pages(context, ["source", "pose", "reconstruction"])
    for persons in batches:
        files = [f"{name}.png" for name in persons.names]
        made_from = [{"source": name} for name in persons.names]
        generate_missing(
            context, files, made_from, lambda rows, p=persons: encode(context.sampler, p.take(rows))
        )
        for name, image, pose, file in zip(
            persons.names, persons.images, persons.keypoints, files, strict=True
        ):
            pages.add(name, [image, context.skeleton(pose), file])
    pages.close()


def transfer(context: Context, batches: Iterable[tuple[Persons, Persons]]) -> None:
    """The source of every pair in the pose of its target: <source>_to_<target>.png."""
    pages = None
    for sources, targets in batches:
        pages = pages or Pages(context, ["source", "target pose", "transferred", "target"])
        files = _transfer(
            context,
            sources,
            targets,
            lambda rows, sources=sources: encode(context.sampler, sources.take(rows)),
        )
        for i, file in enumerate(files):
            real = None if targets.images is None else targets.images[i]
            row = [sources.images[i], context.skeleton(targets.keypoints[i]), file, real]
            pages.add(f"{sources.names[i]} to {targets.names[i]}", row)
    if pages:
        pages.close()


def transfer_grid(
    context: Context, batches: Iterable[Persons], targets: Persons, rows_per_sheet: int
) -> None:
    """Every person in every target's pose; a row of the sheet for each person.

    Args:
        context: sampler and output.
        batches: the persons.
        targets: the poses, with or without images.
        rows_per_sheet: persons on a sheet.
    """
    shown = range(min(len(targets), _COLUMNS_PER_SHEET))
    headers = [("pose", [None, *(context.skeleton(targets.keypoints[j]) for j in shown)])]
    if targets.images is not None:
        headers.insert(0, ("target", [None, *(targets.images[j] for j in shown)]))
    columns = ["source", *(targets.names[j] for j in shown)]
    pages = Pages(context, columns, rows_per_sheet, headers)
    for persons in batches:
        for i, name in enumerate(persons.names):
            code = functools.cache(functools.partial(encode, context.sampler, persons.take([i])))
            files = _transfer(
                context,
                persons.take([i] * len(targets)),
                targets,
                lambda rows, code=code: {f: c.repeat(len(rows), 0) for f, c in code().items()},
            )
            pages.add(name, [persons.images[i], *(files[j] for j in shown)])
    pages.close()


def _transfer(context, sources, targets, source_codes):
    """Draws the pairs; their file names. `source_codes`: rows -> codes of these sources."""
    names = list(zip(sources.names, targets.names, strict=True))
    files = [f"{source}_to_{target}.png" for source, target in names]
    made_from = [{"source": source, "pose_of": target} for source, target in names]

    def codes_of(rows):
        return source_codes(rows) | {KEYPOINTS: targets.keypoints[rows]}

    generate_missing(context, files, made_from, codes_of)
    return files


def sample_factors(
    context: Context,
    batches: Iterable[Persons],
    subsets: Sequence[Sequence[str]],
    count: int,
    seed: int,
) -> None:
    """Real persons with some factors sampled: <name>_<factors>_<number>.png.

    The samples of one number are the same for all persons.

    Args:
        context: sampler and output.
        batches: persons at which the other factors are held.
        subsets: which factors are sampled together, one row of the sheet for each.
        count: samples of each person and subset.
        seed: of the noise.
    """
    pages = Pages(context, ["held", *map(str, range(count))])
    samples = {f: context.sampler.seed_codes(count, seed, [f])[f] for f in _union(subsets)}
    for persons in batches:
        held = functools.cache(functools.partial(encode, context.sampler, persons))
        files = [
            _sampled(context, persons.names, held, samples, subset, count, seed)
            for subset in subsets
        ]
        for i, name in enumerate(persons.names):
            for subset, rows in zip(subsets, files, strict=True):
                pages.add(f"{name} new {' + '.join(subset)}", [persons.images[i], *rows[i]])
    pages.close()


def sample_persons(
    context: Context, subsets: Sequence[Sequence[str]], count: int, seed: int
) -> None:
    """Persons from noise alone; the factors that are not named are held at one fixed sample."""
    sampler = context.sampler
    pages = Pages(context, ["held", *map(str, range(count))])
    fixed = sampler.seed_codes(1, ~seed)
    name = f"seed{seed}"
    held_file = f"{name}_held.png"
    made_from = {"seed": seed, "factors": dict.fromkeys(fixed, "held sample")}
    generate_missing(context, [held_file], [made_from], lambda rows: fixed)
    samples = {f: sampler.seed_codes(count, seed, [f])[f] for f in _union(subsets)}
    for number, subset in enumerate(subsets):
        (files,) = _sampled(context, [name], lambda: fixed, samples, subset, count, seed)
        pages.add(f"new {' + '.join(subset)}", [held_file, *files])
        context.report("sampled factors", number + 1, len(subsets))
    pages.close()


def _sampled(context, names, held, samples, subset, count, seed):
    """Draws `count` samples of a subset for each person; their file names, a row per person."""
    label = "+".join(subset)
    files = [[f"{name}_{label}_{k:03d}.png" for k in range(count)] for name in names]
    factors = context.sampler.config.model.factors
    made_from = [
        {"held_at": name, "seed": seed, "sample": k}
        | {"factors": {f: "noise" if f in subset else "held" for f in factors}}
        for name in names
        for k in range(count)
    ]

    def codes_of(rows):
        persons, numbers = np.divmod(rows, count)
        codes = {f: code[persons] for f, code in held().items()}
        if "pose" in subset:
            codes.pop(KEYPOINTS, None)
        return codes | {f: samples[f][numbers] for f in subset}

    generate_missing(context, [file for row in files for file in row], made_from, codes_of)
    return files


def _union(subsets):
    return dict.fromkeys(factor for subset in subsets for factor in subset)
