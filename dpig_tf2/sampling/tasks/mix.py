"""Body regions of one person on another."""

from collections.abc import Sequence

import numpy as np

from dpig_tf2.sampling.mixing import body_factor, has_regions, mix_codes
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, encode, generate_missing


def mix(
    context: Context, persons: Persons, regions: Sequence[str], background_of: str | None
) -> list[str]:
    """Every person with some regions of every other person, one grid: <a>_with_<...>_of_<b>.png.

    The grid is sheets/with_<...>_000.png: other regions in the same folder have one of their own.

    Args:
        context: sampler and output.
        persons: each is base and donor.
        regions: regions or garments that are exchanged together.
        background_of: name of the person whose background all get; None: each keeps its own.

    Returns:
        A line for each donor that does not show all regions; its column stays empty.

    Raises:
        DpigError: if no person is called `background_of`.
    """
    codes = encode(context.sampler, persons)
    code = codes.code(body_factor(codes))
    visible = np.all([has_regions(code, [region]) for region in regions], axis=0)
    third = None if background_of is None else persons.position(background_of)
    label = "+".join(regions)
    images = persons.require_images()
    headers = [("donor", [None, *images])]
    columns = ["base", *persons.names]
    pages = Pages(context, columns, len(persons), headers, name=f"with_{label}")
    donors = np.flatnonzero(visible)
    for i, name in enumerate(persons.names):
        files = [f"{name}_with_{label}_of_{persons.names[j]}.png" for j in donors]
        made_from = [
            {"base": name, "regions_of": persons.names[j], "regions": list(regions)}
            | {"background_of": background_of or name}
            for j in donors
        ]

        def codes_of(rows, i=i):
            base, donor = codes.take([i] * len(rows)), codes.take(donors[rows])
            background = None if third is None else codes.take([third] * len(rows))
            return mix_codes(base, dict.fromkeys(regions, donor), background)

        generate_missing(context, files, made_from, codes_of)
        cells = dict(zip(donors.tolist(), files, strict=True))
        pages.add(name, [images[i], *(cells.get(j) for j in range(len(persons)))])
        context.report("mixed persons", i + 1, len(persons))
    pages.close()
    return [
        f"{persons.names[j]}: {label} not visible, cannot be taken from this person"
        for j in np.flatnonzero(~visible)
    ]
