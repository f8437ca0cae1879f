"""One sheet that shows what a run can do: reconstruct, re-pose, and sample each factor."""

import numpy as np

from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, encode

SHEET = "overview"


def overview(context: Context, persons: Persons, seed: int) -> None:
    """Writes sheets/overview.png, one person per column.

    Rows: the photo, its reconstruction, the person in the next one's pose, each factor sampled
    while the others are held at the photo, and everything sampled. Rows whose networks are not
    trained yet are left out, and one person alone, who has no next one, is not re-posed.

    Args:
        context: sampler and output.
        persons: photos with keypoints.
        seed: of the sampled codes.
    """
    context.report("overview", 0, len(persons))
    rows = _rows(context, persons, seed)
    context.output.add_sheet(SHEET, list(rows.values()), list(rows), persons.names)
    context.report("overview", len(persons), len(persons))


def _rows(context, persons, seed):
    """{label: pictures}."""
    sampler = context.sampler
    model, networks = sampler.config.model, sampler.model.networks
    held = encode(sampler, persons)
    rows = {
        "real": persons.require_images(),
        "reconstructed": sampler.draw(held).images,
    }
    if len(persons) > 1:
        other = np.roll(persons.keypoints, -1, axis=0)
        rows["other pose"] = [context.skeleton(pose) for pose in other]
        rows["re-posed"] = sampler.draw(held.replace(keypoints=other)).images
    trained = [factor for factor in model.factors if f"{factor}_mapping" in networks]
    sampled = sampler.seed_codes(len(persons), seed, trained)
    for factor in model.appearance_factors:
        if factor in trained:
            changed = held.replace(**{factor: sampled.code(factor)})
            rows[f"{factor} sampled"] = sampler.draw(changed).images
    if "pose" in trained and "pose_decoder" in networks:
        reposed = sampler.draw(held.replace(pose=sampled.pose))
        rows["sampled pose"] = [context.skeleton(pose) for pose in reposed.keypoints]
        rows["pose sampled"] = reposed.images
        if len(trained) == len(model.factors):
            rows["all sampled"] = sampler.draw(sampled).images
    return rows
