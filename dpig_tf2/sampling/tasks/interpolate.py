"""Frames, strips and animations on the way from one person to another."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.sampling.interpolation import codes_between, codes_between_noise
from dpig_tf2.sampling.person_codes import PersonCodes
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, encode, generate_missing


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One end of an interpolation.

    Attributes:
        name: for file names.
        codes: of one person.
        picture: the real photo; None for a sampled person.
        noise: {factor: [1, E]} that is mapped to the codes, drawn or found by inversion; empty
            where the codes themselves are interpolated.
    """

    name: str
    codes: PersonCodes
    picture: np.ndarray | None = None
    noise: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class InterpolationSettings:
    """How to go from one endpoint to the other.

    Attributes:
        subsets: factors that change together, a row of the strip for each.
        steps: frames.
        path: "linear" or "spherical".
        animation: "gif", "webp" or "none".
    """

    subsets: Sequence[Sequence[str]]
    steps: int = 9
    path: str = "linear"
    animation: str = "gif"


def person_endpoints(context: Context, persons: Persons) -> list[Endpoint]:
    """Every person with an image as an endpoint."""
    codes, images = encode(context.sampler, persons), persons.require_images()
    return [Endpoint(name, codes.take([i]), images[i]) for i, name in enumerate(persons.names)]


def seed_endpoint(context: Context, seed: int) -> Endpoint:
    """A sampled person, whose noise is known, as an endpoint."""
    sampler = context.sampler
    noise = {f: sampler.draw_noise(1, f, seed) for f in sampler.config.model.factors}
    return Endpoint(f"seed{seed}", sampler.seed_codes(1, seed), noise=noise)


def default_pairs(persons: Persons) -> list[tuple[int, int]]:
    """Positions of two images of one person and of images of two persons, as far as there are."""
    known = persons.identities or persons.names
    pairs = [(i, j) for i in range(len(persons)) for j in range(i + 1, len(persons))]
    same = [(i, j) for i, j in pairs if known[i] == known[j]]
    different = [(i, j) for i, j in pairs if known[i] != known[j]]
    return same[:1] + different[:1]


def interpolate(
    context: Context,
    endpoint_pairs: Sequence[tuple[Endpoint, Endpoint]],
    settings: InterpolationSettings,
) -> None:
    """Frames, a strip and an animation for each pair, and for each subset of factors.

    Factors that do not change are those of the first endpoint. Where both have noise, the way leads
    through the noise and the mapping networks, otherwise straight from code to code.
    """
    columns = [str(step) for step in range(settings.steps)]
    if any(end.picture is not None for pair in endpoint_pairs for end in pair):
        columns = ["from", *columns, "to"]
    pages = Pages(context, columns, rows=len(settings.subsets), name="strip")
    for number, (start, end) in enumerate(endpoint_pairs):
        context.report("interpolations", number, len(endpoint_pairs))
        for subset in settings.subsets:
            label = f"{' + '.join(subset)}{' noise' if start.noise else ''}"
            frames = _frames(context, start, end, subset, settings)
            row = [start.picture, *frames, end.picture] if len(columns) > len(frames) else frames
            pages.add(f"{start.name} to {end.name} {label}", row)
            if settings.animation != "none":
                stem = frames[0].removesuffix("_000.png")
                context.output.add_animation(f"{stem}.{settings.animation}", frames)
        context.report("interpolations", number + 1, len(endpoint_pairs))
    pages.close()


def _frames(context, start, end, subset, settings):
    """Draws the frames of one way; their file names."""
    sampler = context.sampler
    space = "noise_" if start.noise else ""
    stem = f"{start.name}_to_{end.name}_{space}{'+'.join(subset)}"
    files = [f"{stem}_{k:03d}.png" for k in range(settings.steps)]
    made_from = [
        {"from": start.name, "to": end.name, "factors": list(subset), "path": settings.path}
        | {"space": "noise" if start.noise else "codes", "step": k, "steps": settings.steps}
        for k in range(settings.steps)
    ]

    def codes_of(rows):
        if start.noise:
            first, last = ({f: each.noise[f] for f in subset} for each in (start, end))
            codes = codes_between_noise(
                sampler, first, last, start.codes, settings.steps, settings.path
            )
        else:
            codes = codes_between(
                sampler, start.codes, end.codes, settings.steps, subset, settings.path
            )
        return codes.take(rows)

    generate_missing(context, files, made_from, codes_of)
    return files
