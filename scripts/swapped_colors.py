"""Whose colors a picture shows when its foreground came from another photo: real pairs, no model.

.venv/bin/python scripts/swapped_colors.py --run_dir=runs/market --data_dir=data/market --split=test

A photo lends its foreground to a photo of another person: that one's pose and background. Colors
within the body mask are counted (4 x 4 x 4 cells of RGB); two histograms are compared by what they
have in common, from 0 to 1: with the lender's photo and with the photo of pose and background.
"""

import argparse

import numpy as np

from dpig_tf2 import PersonSampler
from dpig_tf2.ops import drawing
from dpig_tf2.pipeline.batches import unique_persons
from dpig_tf2.records.record_set import RecordSet

_CELLS = 4  # of each color channel
_RADIUS = 7 / 128  # of body masks, of the picture's height, as published


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--pairs", type=int, default=600)
    flags = parser.parse_args()
    sampler = PersonSampler.load(flags.run_dir)
    records = RecordSet.open(flags.data_dir, flags.split)
    batches = unique_persons(records, sampler.config.model, sampler.batch_size)
    batches = list(batches.as_numpy_iterator())
    persons = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
    lender, place = _pairs(persons["identity"], flags.pairs)
    codes = sampler.person_codes(persons["image"], persons["keypoints"])
    swapped = codes.take(place).replace(foreground=codes.take(lender).foreground)
    drawn = sampler.draw(swapped).images
    height, width = persons["image"].shape[1:3]
    # The same for all networks, whatever mask they are trained with.
    masks = drawing.body_masks(persons["keypoints"], height, width, round(_RADIUS * height))
    shown = _histograms(drawn, masks[place])
    with_lender = _in_common(shown, _histograms(persons["image"][lender], masks[lender]))
    with_place = _in_common(shown, _histograms(persons["image"][place], masks[place]))
    nearer = (with_lender > with_place).mean()
    print(f"{len(lender)} pairs of different persons")
    print(f"colors in common with the lender of the foreground  {with_lender.mean():.3f}")
    print(f"                 with the photo of pose and place    {with_place.mean():.3f}")
    print(f"nearer to the lender in {nearer:.1%}")


def _pairs(identities, count):
    """Rows of two photos of different persons, int [n] each; the same for the same photos."""
    rng = np.random.default_rng(0)
    lender, place = rng.integers(0, len(identities), (2, 2 * count))
    differ = identities[lender] != identities[place]
    return lender[differ][:count], place[differ][:count]


def _histograms(images, masks):
    """Shares of the colors under the masks, float [N, cells ** 3]."""
    cell = (images.astype(np.int64) * _CELLS) // 256
    number = (cell[..., 0] * _CELLS + cell[..., 1]) * _CELLS + cell[..., 2]
    counts = [np.bincount(n[m], minlength=_CELLS**3) for n, m in zip(number, masks, strict=True)]
    return np.array(counts) / np.maximum(np.sum(counts, axis=1, keepdims=True), 1)


def _in_common(first, second):
    return np.minimum(first, second).sum(axis=1)


if __name__ == "__main__":
    main()
