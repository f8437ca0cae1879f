"""Every person once more in the same pose."""

from collections.abc import Iterable

from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks.context import Context, Pages, encode, generate_missing


def reconstruct(context: Context, batches: Iterable[Persons]) -> None:
    """Every person once more in the same pose: <name>.png."""
    pages = Pages(context, ["source", "pose", "reconstruction"])
    for persons in batches:
        files = [f"{name}.png" for name in persons.names]
        made_from = [{"source": name} for name in persons.names]
        generate_missing(
            context,
            files,
            made_from,
            lambda rows, p=persons: encode(context.sampler, p.take(rows)),
            persons.places,
        )
        for name, image, pose, file in zip(
            persons.names, persons.require_images(), persons.keypoints, files, strict=True
        ):
            pages.add(name, [image, context.skeleton(pose), file])
    pages.close()
