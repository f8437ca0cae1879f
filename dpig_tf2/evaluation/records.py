"""Scores of generated images against the photos of a record split."""

from collections.abc import Callable

import numpy as np

from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.evaluation.picture_folder import PairNamer, PictureFolder
from dpig_tf2.ops import drawing
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.pipeline.parser import ANNOTATION_KEYS
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.sampling.sampler import PersonSampler

TASKS = ("reconstruct", "transfer", "foreground")


def score_records(
    sampler: PersonSampler,
    records: RecordSet,
    task: str,
    scores: ImageScores,
    limit: int | None = None,
    report: Callable[[str, int, int], None] = lambda *_: None,
    pictures: PictureFolder | None = None,
    detected: DetectedPoses | None = None,
    mask_radius: int | None = None,
) -> tuple[dict, list]:
    """Scores of reconstruction or pose transfer over a split, masked by the target's body mask.

    Args:
        sampler: trained networks.
        records: pairs of source and target.
        task: "reconstruct" the source, "transfer" the source into the target's pose, or put the
            source's "foreground" into the target's pose and background.
        scores: takes the pairs; decides on protocol and further networks.
        limit: number of pairs, None for all.
        report: called with (task, done, total), pairs.
        pictures: keeps every pair as files.
        detected: finds the keypoints of generated pictures, for the pose error, and keeps them
            under the names of the pairs' files, see `PairNamer`.
        mask_radius: of the masks, pixels; None for the radius that the networks were trained with.

    Returns:
        summary: as `ImageScores.summary`, with `task`, `split`, `mask_radius` (of the masks), the
            `names` of the pairs and `skipped`, a line for each bad record left out and each pair
            that has no visible keypoint on one side.
        examples: the first few (source, generated, target) pictures, uint8 [H, W, 3] each.

    Raises:
        DpigError: if no pair could be scored, or the networks know no background to take.
    """
    if task not in TASKS:
        raise DpigError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
    if task == "foreground" and not sampler.config.model.has_background:
        raise DpigError("task foreground needs networks with a code of the background")
    names, examples, skipped = [], [], list(records.skipped)
    found, wanted, namer = [], [], PairNamer()
    done, total = 0, len(records) if limit is None else min(limit, len(records))
    batches = evaluation_batches(records, sampler.config.model, sampler.batch_size, limit)
    for batch in batches.as_numpy_iterator():
        source = batch["source"]
        goal = source if task == "reconstruct" else batch["target"]
        pairs = [
            [name.decode(errors="replace") for name in names_of_pair]
            for names_of_pair in zip(source["name"], batch["target"]["name"], strict=True)
        ]
        seen = _has_keypoints(source) & _has_keypoints(goal)
        skipped += [
            f"{' to '.join(pair)}: not one keypoint is visible"
            for pair, usable in zip(pairs, seen, strict=True)
            if not usable
        ]
        done += len(seen)
        if not seen.any():
            report(task, done, total)
            continue
        photo, keypoints = _photo(source, seen), goal["keypoints"][seen]
        if task == "foreground":
            images = _before_its_background(sampler, photo, _photo(goal, seen))
        else:
            images = sampler.transfer(**photo, target_keypoints=keypoints)
        if mask_radius is not None:  # what the networks were given stays as it is
            goal = goal | {"body_mask": _body_masks(goal, mask_radius)}
        for image, index in zip(images, np.flatnonzero(seen), strict=True):
            person = {name: goal[name][index] for name in ("image", "body_mask", "keypoints")}
            scores.add(image, person["image"], person["body_mask"])
            names.append(pairs[index])
            file_name = namer.name(pairs[index])
            if detected is not None:
                found.append(detected.keypoints_or_none(file_name, image))
                wanted.append(person["keypoints"])
            if len(examples) < 10:
                examples.append((source["image"][index], image, person["image"]))
            if pictures is not None:
                pictures.add(file_name, image, person)
        report(task, done, total)
    if skipped and not names:
        raise DpigError(f"not one pair can be scored; the first: {skipped[0]}")
    if pictures is not None:
        pictures.finish()
    if found:
        scores.set_keypoints(np.stack(found), np.stack(wanted))
    facts = {
        "task": task,
        "split": records.split,
        "mask_radius": mask_radius or sampler.config.model.mask_radius,
        "names": names,
        "skipped": skipped,
    }
    return scores.summary() | facts, examples


def _photo(person, rows):
    """The chosen photos, as arguments of the sampler."""
    names = ("keypoints", *ANNOTATION_KEYS)
    return {"images": person["image"][rows]} | {name: person[name][rows] for name in names}


def _body_masks(persons, radius):
    """uint8 [B, H, W, 1] in {0, 1}."""
    _, height, width, _ = persons["image"].shape
    masks = drawing.body_masks(persons["keypoints"], height, width, radius)
    return masks[..., None].astype(np.uint8)


def _before_its_background(sampler, source, goal):
    """The sources' foregrounds in the goals' poses and backgrounds, uint8 [n, H, W, 3]."""
    codes = [sampler.model.split_appearance(sampler.encode_appearance(**p)) for p in (source, goal)]
    embedding = sampler.model.join_appearance(codes[1] | {"foreground": codes[0]["foreground"]})
    return sampler.generate(embedding.numpy(), goal["keypoints"])


def _has_keypoints(persons) -> np.ndarray:
    """bool [B]."""
    return (persons["keypoints"][..., 2] > 0.5).any(axis=1)
