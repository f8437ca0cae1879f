"""The noise of real persons, and pictures drawn from it."""

import functools
from collections.abc import Sequence

import numpy as np

from dpig_tf2.io.manifests import OutputError
from dpig_tf2.sampling import inversion
from dpig_tf2.sampling.inversion import InversionSettings, explained_variance
from dpig_tf2.sampling.output_folder import MANIFEST, Item
from dpig_tf2.sampling.person_codes import concatenate
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import (
    Context,
    Pages,
    encode,
    generate_missing,
    kept_arrays,
)
from dpig_tf2.sampling.tasks.interpolate import Endpoint

_INVERTED_AT_ONCE = 8  # persons, whose pictures are finished before the next ones are begun


def invert(
    context: Context,
    persons: Persons,
    factors: Sequence[str],
    settings: InversionSettings,
    seed: int,
) -> list[Endpoint]:
    """Finds the noise of real persons and draws them from it: <name>_inverted.png and others.

    Residuals are in the list of files, those of all persons together in its summary.

    Returns:
        The persons with their noise, for `interpolate`.
    """
    output, codes = context.output, encode(context.sampler, persons)
    files = [f"{name}_inverted.png" for name in persons.names]
    _draw_missing(context, persons, codes, files, factors, settings, seed)
    kept_names = [f"{kind}_{factor}" for kind in ("noise", "code") for factor in factors]
    kept = [output.codes(file, kept_names) for file in files]
    figures = [_stored_figures(output, file, factors) for file in files]
    wanted = context.sampler.encode_poses(codes) if "pose" in factors else codes
    for factor in factors:
        found = np.stack([arrays[f"code_{factor}"] for arrays in kept])
        of_factor = [of_person[factor] for of_person in figures]
        output.summary[factor] = _summary(of_factor, found, wanted.code(factor))
    _draw_parts(context, persons, codes, kept, files, factors)
    images = persons.require_images()
    return [
        Endpoint(
            name,
            codes.take([i]),
            images[i],
            noise={f: kept[i][f"noise_{f}"][None] for f in factors},
        )
        for i, name in enumerate(persons.names)
    ]


def _draw_missing(context, persons, codes, files, factors, settings, seed):
    """Inverts the persons whose files are not finished, a few at a time, and draws them."""
    missing = context.output.missing(files)
    for start in range(0, len(missing), _INVERTED_AT_ONCE):
        rows = missing[start : start + _INVERTED_AT_ONCE]
        chosen = codes.take(rows)
        report = functools.partial(_report, context, start, rows, missing)
        found = inversion.invert(context.sampler, chosen, factors, settings, seed, report)
        mapped = {factor: result.code for factor, result in found.items()}
        drawn = chosen.replace(**mapped)
        samples = context.sampler.draw(drawn)
        for i, row in enumerate(rows):
            made_from = {"source": persons.names[row], "seed": seed}
            made_from["inversion"] = {f: _figures(result, i) for f, result in found.items()}
            kept = kept_arrays(drawn, samples, i)  # which `draw` takes
            kept |= {f"noise_{f}": result.noise[i] for f, result in found.items()}
            kept |= {f"code_{f}": result.code[i] for f, result in found.items()}
            context.output.add(Item(files[row], made_from, samples.images[i], kept))


def _summary(figures, found, wanted):
    """Figures of one factor, of all persons together; codes found and wanted are [B, E]."""
    means = {
        f"mean_{name}": round(float(np.mean([of_person[name] for of_person in figures])), 5)
        for name in ("residual", "explained", "spread")
    }
    return means | {
        "photos": len(figures),
        "converged": round(sum(of_person["converged"] for of_person in figures)),
        "explained_variance": explained_variance(found, wanted),
    }


def _report(context, start, rows, missing, done, total):
    """Shows the progress of all missing persons, from that of these rows, in Adam steps."""
    each = total // len(rows)
    context.report("inversion steps", start * each + done, len(missing) * each)


def _stored_figures(output, file, factors):
    """{factor: figures} of a finished picture; raises OutputError where the list lacks them."""
    stored = output.made_from(file).get("inversion")
    try:
        return {
            factor: {
                name: float(stored[factor][name])
                for name in ("converged", "residual", "explained", "spread")
            }
            for factor in factors
        }
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        path = output.path / MANIFEST
        raise OutputError(
            f"{path} is damaged (no figures of the inversion {file}: {error})",
            file=path,
            field=file,
        ) from error


def _figures(result, i):
    return {
        "converged": bool(result.converged[i]),
        "residual": round(float(result.residual[i]), 5),
        "explained": round(float(result.explained[i]), 5),
        "spread": round(float(result.spread[i]), 5),
    }


def _draw_parts(context, persons, codes, inverted, all_files, factors):
    """Draws what each factor's inversion alone changes, and a sheet of it."""
    columns = ["source", "from its codes", *(f"{f} inverted" for f in factors), "all inverted"]
    pages = Pages(context, columns, name="inverted")
    images = persons.require_images()
    for i, name in enumerate(persons.names):
        files = [f"{name}_codes.png", *(f"{name}_inverted_{f}.png" for f in factors)]
        made_from = [{"source": name, "inverted": parts} for parts in ([], *([f] for f in factors))]

        def codes_of(rows, i=i):
            parts = [{}] + [{f: inverted[i][f"code_{f}"][None]} for f in factors]
            return concatenate([_drawable(context, codes.take([i]), parts[row]) for row in rows])

        generate_missing(context, files, made_from, codes_of)
        pages.add(name, [images[i], *files, all_files[i]])
    pages.close()


def _drawable(context, codes, replaced):
    """Codes with some factors replaced, the pose as keypoints in any case."""
    codes = codes.replace(**replaced)
    if codes.pose is None:
        return codes
    return codes.replace(keypoints=context.sampler.decode_pose(codes.pose))
