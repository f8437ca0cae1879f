"""One sheet that shows what a run can do: reconstruct, re-pose, and sample each factor."""

import numpy as np

from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks import Context, encode

SHEET = "overview"


def overview(context: Context, persons: Persons, seed: int) -> None:
    """Writes sheets/overview.png, one person per column.

    Rows: the photo, its reconstruction, the person in the next one's pose, each factor sampled
    while the others are held at the photo, and everything sampled. Rows whose networks are not
    trained yet are left out.

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
    own, other = persons.keypoints, np.roll(persons.keypoints, -1, axis=0)

    def generate(keypoints, **sampled):
        codes = {factor: sampled.get(factor, held[factor]) for factor in model.appearance_factors}
        return sampler.generate(sampler.model.join_appearance(codes).numpy(), keypoints)

    rows = {
        "real": persons.images,
        "reconstructed": generate(own),
        "other pose": [context.skeleton(pose) for pose in other],
        "re-posed": generate(other),
    }
    trained = [factor for factor in model.factors if f"{factor}_mapping" in networks]
    sampled = {
        factor: sampler.map_noise(sampler.draw_noise(len(persons), factor, seed), factor)
        for factor in trained
    }
    for factor in model.appearance_factors:
        if factor in sampled:
            rows[f"{factor} sampled"] = generate(own, **{factor: sampled[factor]})
    if "pose" in sampled and "pose_decoder" in networks:
        poses = sampler.decode_pose(sampled["pose"])
        rows["sampled pose"] = [context.skeleton(pose) for pose in poses]
        rows["pose sampled"] = generate(poses)
        if len(trained) == len(model.factors):
            rows["all sampled"] = generate(poses, **sampled)
    return rows
