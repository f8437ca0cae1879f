"""Persons with some factors from noise, the others held at a photo or at one sample."""

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, encode, generate_missing


def sample_factors(
    context: Context,
    batches: Iterable[Persons],
    subsets: Sequence[Sequence[str]],
    count: int,
    seed: int,
    truncation: float = 1.0,
) -> None:
    """Real persons with some factors sampled: <name>_<factors>_<number>.png.

    The samples of one number are the same for all persons.

    Args:
        context: sampler and output.
        batches: persons at which the other factors are held.
        subsets: which factors are sampled together, one row of the sheet for each.
        count: samples of each person and subset.
        seed: of the noise.
        truncation: as in `PersonSampler.seed_codes`.
    """
    pages = Pages(context, ["held", *map(str, range(count))])
    samples = context.sampler.seed_codes(count, seed, _union(subsets), truncation)
    for persons in batches:
        images = persons.require_images()
        held = functools.cache(functools.partial(encode, context.sampler, persons))
        files = [
            _sampled(context, persons.names, held, samples, subset, count, seed, persons.places)
            for subset in subsets
        ]
        for i, name in enumerate(persons.names):
            for subset, rows in zip(subsets, files, strict=True):
                pages.add(f"{name} new {' + '.join(subset)}", [images[i], *rows[i]])
    pages.close()


def sample_persons(
    context: Context,
    subsets: Sequence[Sequence[str]],
    count: int,
    seed: int,
    truncation: float = 1.0,
) -> None:
    """Persons from noise alone; the factors that are not named are held at one fixed sample.

    Arguments as in `sample_factors`.
    """
    sampler = context.sampler
    pages = Pages(context, ["held", *map(str, range(count))])
    fixed = sampler.seed_codes(1, ~seed, truncation=truncation)
    name = f"seed{seed}"
    held_file = f"{name}_held.png"
    made_from = {"seed": seed, "factors": dict.fromkeys(fixed.factors, "held sample")}
    generate_missing(context, [held_file], [made_from], lambda rows: fixed)
    samples = sampler.seed_codes(count, seed, _union(subsets), truncation)
    for number, subset in enumerate(subsets):
        (files,) = _sampled(context, [name], lambda: fixed, samples, subset, count, seed)
        pages.add(f"new {' + '.join(subset)}", [held_file, *files])
        context.report("sampled factors", number + 1, len(subsets))
    pages.close()


def _sampled(context, names, held, samples, subset, count, seed, places=()):
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
        return held().take(persons).replace(**{f: samples.code(f)[numbers] for f in subset})

    listed = [file for row in files for file in row]
    places = [place for place in places for _ in range(count)]
    generate_missing(context, listed, made_from, codes_of, places)
    return files


def _union(subsets):
    return list(dict.fromkeys(factor for subset in subsets for factor in subset))
