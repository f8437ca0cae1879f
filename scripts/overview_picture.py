"""Draws the picture of the README: synthetic persons, re-posed, and with each factor invented.

.venv/bin/python scripts/overview_picture.py docs/overview.png
"""

import sys

import numpy as np

from dpig_tf2 import PersonSampler, synthetic
from dpig_tf2.io.images import save_png
from dpig_tf2.visual.sheets import labeled_sheet

_PERSONS = 8
_SEED = 2026  # of persons that training never sees; and of what is invented


def main(path: str) -> None:
    sampler = PersonSampler.from_preset("persons_128x64")
    size = sampler.config.model.height, sampler.config.model.width
    made = synthetic.make_images(_SEED, _PERSONS, 1)
    photos = np.stack([synthetic.render(p.foreground, p.background, p.pose, *size) for p in made])
    keypoints = np.stack([synthetic.pose_keypoints(p.pose, *size) for p in made])
    codes = sampler.person_codes(photos, keypoints)
    new = sampler.seed_codes(_PERSONS, _SEED)
    changed = {
        "in the pose of the next": codes.replace(keypoints=np.roll(keypoints, -1, axis=0)),
        "with invented looks": codes.replace(foreground=new.foreground),
        "before an invented background": codes.replace(background=new.background),
        "in an invented pose": codes.replace(pose=new.pose),
        "all invented": new,
    }
    rows = {"persons": photos} | {label: sampler.draw(c).images for label, c in changed.items()}
    save_png(path, labeled_sheet([list(row) for row in rows.values()], row_labels=list(rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
