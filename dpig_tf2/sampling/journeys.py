"""Tasks between persons: interpolated codes, inverted noise, exchanged body regions."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dpig_tf2.sampling.inversion import InversionSettings, explained_variance
from dpig_tf2.sampling.mixing import has_regions
from dpig_tf2.sampling.output_folder import Item
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.sampler import KEYPOINTS, Codes
from dpig_tf2.sampling.tasks import Context, Pages, encode, generate_missing

ANIMATIONS = ("gif", "webp", "none")
_INVERTED_AT_ONCE = 8  # persons, so that progress is seen


@dataclasses.dataclass(frozen=True)
class End:
    """One end of a journey.

    Attributes:
        name: for file names.
        codes: of one person, [1, ...].
        picture: the real photo; None for a sampled person.
        noise: {factor: [1, E]} that is mapped to the codes, drawn or found by inversion; empty
            where the codes themselves are interpolated.
    """

    name: str
    codes: Codes
    picture: np.ndarray | None = None
    noise: Codes = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Journey:
    """How to go from one end to the other.

    Attributes:
        subsets: factors that change together, a row of the strip for each.
        steps: frames.
        path: "linear" or "spherical".
        animation: one of ANIMATIONS.
    """

    subsets: Sequence[Sequence[str]]
    steps: int = 9
    path: str = "linear"
    animation: str = "gif"


def person_ends(context: Context, persons: Persons) -> list[End]:
    """Every person with an image as an end."""
    codes = encode(context.sampler, persons)
    return [
        End(name, {key: code[i : i + 1] for key, code in codes.items()}, persons.images[i])
        for i, name in enumerate(persons.names)
    ]


def seed_end(context: Context, seed: int) -> End:
    """A sampled person, whose noise is known, as an end."""
    sampler = context.sampler
    noise = {f: sampler.draw_noise(1, f, seed) for f in sampler.config.model.factors}
    codes = {f: sampler.map_noise(values, f) for f, values in noise.items()}
    return End(f"seed{seed}", codes, noise=noise)


def interesting_pairs(persons: Persons) -> list[tuple[int, int]]:
    """Positions of two images of one person and of images of two persons, as far as there are."""
    known = persons.identities or persons.names
    pairs = [(i, j) for i in range(len(persons)) for j in range(i + 1, len(persons))]
    same = [(i, j) for i, j in pairs if known[i] == known[j]]
    different = [(i, j) for i, j in pairs if known[i] != known[j]]
    return same[:1] + different[:1]


def interpolate(context: Context, ends: Sequence[tuple[End, End]], journey: Journey) -> None:
    """Frames, a strip and an animation for each pair of ends, and for each subset of factors.

    Factors that do not change are those of the first end. Where both ends have noise, the way leads
    through the noise and the mapping networks, otherwise straight from code to code.
    """
    columns = [str(step) for step in range(journey.steps)]
    if any(end.picture is not None for pair in ends for end in pair):
        columns = ["from", *columns, "to"]
    pages = Pages(context, columns, rows=len(journey.subsets), name="strip")
    for number, (start, end) in enumerate(ends):
        context.report("interpolations", number, len(ends))
        for subset in journey.subsets:
            label = f"{' + '.join(subset)}{' noise' if start.noise else ''}"
            frames = _frames(context, start, end, subset, journey)
            row = [start.picture, *frames, end.picture] if len(columns) > len(frames) else frames
            pages.add(f"{start.name} to {end.name} {label}", row)
            if journey.animation != "none":
                stem = frames[0].removesuffix("_000.png")
                context.output.add_animation(f"{stem}.{journey.animation}", frames)
        context.report("interpolations", number + 1, len(ends))
    pages.close()


def _frames(context, start, end, subset, journey):
    """Draws the frames of one way; their file names."""
    sampler = context.sampler
    space = "noise_" if start.noise else ""
    stem = f"{start.name}_to_{end.name}_{space}{'+'.join(subset)}"
    files = [f"{stem}_{k:03d}.png" for k in range(journey.steps)]
    made_from = [
        {"from": start.name, "to": end.name, "factors": list(subset), "path": journey.path}
        | {"space": "noise" if start.noise else "codes", "step": k, "steps": journey.steps}
        for k in range(journey.steps)
    ]

    def codes_of(rows):
        if start.noise:
            first, last = ({f: e.noise[f] for f in subset} for e in (start, end))
            codes = sampler.codes_between_noise(
                first, last, start.codes, journey.steps, journey.path
            )
        else:
            codes = sampler.codes_between(
                start.codes, end.codes, journey.steps, subset, journey.path
            )
        return {name: code[rows] for name, code in codes.items()}

    generate_missing(context, files, made_from, codes_of)
    return files


def invert(
    context: Context,
    persons: Persons,
    factors: Sequence[str],
    settings: InversionSettings,
    seed: int,
) -> list[End]:
    """Finds the noise of real persons and draws them from it: <name>_inverted.png and others.

    Residuals are in the list of files, those of all persons together in its summary.

    Returns:
        The persons with their noise, for `interpolate`.
    """
    output, codes = context.output, encode(context.sampler, persons)
    files = [f"{name}_inverted.png" for name in persons.names]
    missing = output.missing(files)
    for start in range(0, len(missing), _INVERTED_AT_ONCE):
        rows = missing[start : start + _INVERTED_AT_ONCE]
        context.report("inversions", start, len(missing))
        chosen = {name: code[rows] for name, code in codes.items()}
        found = context.sampler.invert(chosen, factors, settings, seed)
        mapped = {factor: result.code for factor, result in found.items()}
        samples = context.sampler.draw(_replaced(chosen, mapped))
        for i, row in enumerate(rows):
            made_from = {"source": persons.names[row], "seed": seed}
            made_from["inversion"] = {f: _figures(result, i) for f, result in found.items()}
            kept = {f"noise_{f}": result.noise[i] for f, result in found.items()}
            kept |= {f"code_{f}": result.code[i] for f, result in found.items()}
            output.add(Item(files[row], made_from, samples.images[i], kept))
        context.report("inversions", start + len(rows), len(missing))
    kept = [output.codes(file) for file in files]
    figures = [output.made_from(file)["inversion"] for file in files]
    wanted = codes | {"pose": context.sampler.pose_codes(codes)} if "pose" in factors else codes
    for factor in factors:
        found = np.stack([arrays[f"code_{factor}"] for arrays in kept])
        means = {
            f"mean_{name}": round(float(np.mean([person[factor][name] for person in figures])), 5)
            for name in ("residual", "explained", "spread")
        }
        output.summary[factor] = means | {
            "photos": len(persons),
            "converged": sum(person[factor]["converged"] for person in figures),
            "explained_variance": explained_variance(found, wanted[factor]),
        }
    _draw_parts(context, persons, codes, kept, files, factors)
    ends = person_ends(context, persons)
    return [
        dataclasses.replace(end, noise={f: arrays[f"noise_{f}"][None] for f in factors})
        for end, arrays in zip(ends, kept, strict=True)
    ]


def _figures(result, i):
    return {
        "converged": bool(result.converged[i]),
        "residual": round(float(result.residual[i]), 5),
        "explained": round(float(result.explained[i]), 5),
        "spread": round(float(result.spread[i]), 5),
    }


def _replaced(codes, factors):
    """Codes with some factors replaced; a replaced pose is no longer given as keypoints."""
    kept = {name: c for name, c in codes.items() if name != KEYPOINTS or "pose" not in factors}
    return kept | factors


def _draw_parts(context, persons, codes, inverted, all_files, factors):
    """Draws what each factor's inversion alone changes, and a sheet of it."""
    columns = ["source", "from its codes", *(f"{f} inverted" for f in factors), "all inverted"]
    pages = Pages(context, columns, name="inverted")
    for i, name in enumerate(persons.names):
        files = [f"{name}_codes.png", *(f"{name}_inverted_{f}.png" for f in factors)]
        made_from = [{"source": name, "inverted": parts} for parts in ([], *([f] for f in factors))]
        own = {key: code[i : i + 1] for key, code in codes.items()}

        def codes_of(rows, own=own, i=i):
            versions = [{}] + [{f: inverted[i][f"code_{f}"][None]} for f in factors]
            replaced = [_replaced(own, versions[row]) for row in rows]
            with_pose = [
                c if KEYPOINTS in c else c | {KEYPOINTS: context.sampler.decode_pose(c["pose"])}
                for c in replaced
            ]
            names = [*context.sampler.config.model.appearance_factors, KEYPOINTS]
            return {key: np.concatenate([c[key] for c in with_pose]) for key in names}

        generate_missing(context, files, made_from, codes_of)
        pages.add(name, [persons.images[i], *files, all_files[i]])
    pages.close()


def mix(
    context: Context, persons: Persons, regions: Sequence[str], background_of: str | None
) -> list[str]:
    """Every person with some regions of every other person, one grid: <a>_with_<...>_of_<b>.png.

    Args:
        context: sampler and output.
        persons: each is base and donor.
        regions: regions or garments that are exchanged together.
        background_of: name of the person whose background all get; None: each keeps its own.

    Returns:
        A line for each donor that does not show the regions; its column stays empty.

    Raises:
        ValueError: if no person is called `background_of`.
    """
    codes = encode(context.sampler, persons)
    foreground = context.sampler.config.model.appearance_factors[0]
    visible = has_regions(codes[foreground], regions)
    third = None if background_of is None else position(persons, background_of)
    label = "+".join(regions)
    headers = [("donor", [None, *persons.images])]
    pages = Pages(context, ["base", *persons.names], len(persons), headers)
    donors = np.flatnonzero(visible)
    for i, name in enumerate(persons.names):
        files = [f"{name}_with_{label}_of_{persons.names[j]}.png" for j in donors]
        made_from = [
            {"base": name, "regions_of": persons.names[j], "regions": list(regions)}
            | {"background_of": background_of or name}
            for j in donors
        ]

        def codes_of(rows, i=i):
            base, donor = _rows(codes, [i] * len(rows)), _rows(codes, donors[rows])
            background = None if third is None else _rows(codes, [third] * len(rows))
            return context.sampler.mixed_codes(base, dict.fromkeys(regions, donor), background)

        generate_missing(context, files, made_from, codes_of)
        cells = dict(zip(donors, files, strict=True))
        pages.add(name, [persons.images[i], *(cells.get(j) for j in range(len(persons)))])
        context.report("mixed persons", i + 1, len(persons))
    pages.close()
    return [
        f"{persons.names[j]}: {label} not visible, cannot be taken from this person"
        for j in np.flatnonzero(~visible)
    ]


def position(persons: Persons, name: str) -> int:
    """Where a person is; raises ValueError naming the known ones."""
    if name not in persons.names:
        some = ", ".join(persons.names[:8]) + (", ..." if len(persons) > 8 else "")
        raise ValueError(f"no person is called {name!r}; there are {some}")
    return persons.names.index(name)


def _rows(codes, rows):
    return {name: code[rows] for name, code in codes.items()}
