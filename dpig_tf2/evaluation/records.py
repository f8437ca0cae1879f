"""Scores of generated images against the photos of a record split."""

from collections.abc import Callable

import numpy as np

from dpig_tf2.evaluation import metrics
from dpig_tf2.pipeline import input_pipeline
from dpig_tf2.sampling.sampler import PersonSampler

TASKS = ("reconstruct", "transfer")
_PARTS = ("body_mask", "part_boxes", "part_visibility")


def score_records(
    sampler: PersonSampler,
    records: input_pipeline.RecordSet,
    task: str,
    protocol: str,
    limit: int | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[dict, list]:
    """Scores of reconstruction or pose transfer over a split, masked by the target's body mask.

    Args:
        sampler: trained networks.
        records: pairs; "transfer" brings the source person into the target's pose.
        task: "reconstruct" or "transfer".
        protocol: name of an SSIM protocol, see `metrics.PROTOCOLS`.
        limit: number of pairs, None for all.
        report: told how many pairs are done.

    Returns:
        summary: as `metrics.Scores.summary`, with the names of the pairs.
        examples: the first few (source, generated, target) pictures, uint8 [H, W, 3] each.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
    scores, names, examples = metrics.Scores(protocol), [], []
    batches = input_pipeline.evaluation_batches(
        records, sampler.config.model, sampler.batch_size, limit
    )
    for batch in batches.as_numpy_iterator():
        source, target = batch["source"], batch["target"]
        goal = source if task == "reconstruct" else target
        seen = (source["keypoints"][..., 2] > 0.5).any(axis=1)
        parts = {name: source[name][seen] for name in _PARTS}
        images = sampler.transfer(
            source["image"][seen], source["keypoints"][seen], goal["keypoints"][seen], **parts
        )
        for image, index in zip(images, np.flatnonzero(seen), strict=True):
            scores.add(image, goal["image"][index], goal["body_mask"][index])
            names.append([source["name"][index].decode(), target["name"][index].decode()])
            if len(examples) < 10:
                examples.append((source["image"][index], image, goal["image"][index]))
        report(f"{task}: {len(names)} pairs")
    return scores.summary() | {"task": task, "names": names}, examples
