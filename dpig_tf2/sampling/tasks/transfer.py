"""Persons in the poses of others."""

import functools
from collections.abc import Iterable

from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, encode, generate_missing

_COLUMNS_PER_SHEET = 64


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
        images = sources.require_images()
        for i, file in enumerate(files):
            real = None if targets.images is None else targets.images[i]
            row = [images[i], context.skeleton(targets.keypoints[i]), file, real]
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
        images = persons.require_images()
        for i, name in enumerate(persons.names):
            code = functools.cache(functools.partial(encode, context.sampler, persons.take([i])))
            files = _transfer(
                context,
                persons.take([i] * len(targets)),
                targets,
                lambda rows, code=code: code().repeat(len(rows)),
            )
            pages.add(name, [images[i], *(files[j] for j in shown)])
    pages.close()


def _transfer(context, sources, targets, source_codes):
    """Draws the pairs; their file names. `source_codes`: rows -> codes of these sources."""
    names = list(zip(sources.names, targets.names, strict=True))
    files = [f"{source}_to_{target}.png" for source, target in names]
    made_from = [{"source": source, "pose_of": target} for source, target in names]

    def codes_of(rows):
        return source_codes(rows).replace(keypoints=targets.keypoints[rows])

    generate_missing(context, files, made_from, codes_of, sources.places)
    return files
