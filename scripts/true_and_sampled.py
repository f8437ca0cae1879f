"""Draws as many true synthetic persons as sampled ones beside each other, to be compared by eye.

.venv/bin/python scripts/true_and_sampled.py --run_dir=preset:persons_128x64 --out=docs/sampled.png
"""

import argparse

import numpy as np

from dpig_tf2 import PersonSampler, synthetic
from dpig_tf2.io.images import save_png
from dpig_tf2.visual.sheets import beside, labeled_sheet

_COLUMNS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--persons", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    sampler = PersonSampler.load(flags.run_dir)
    size = sampler.config.model.height, sampler.config.model.width
    persons = synthetic.make_images(9_000 + flags.seed, flags.persons, 1)
    true = [synthetic.render(p.foreground, p.background, p.pose, *size) for p in persons]
    every = sampler.config.model.factors
    sampled = sampler.sample(flags.persons, every, seed=flags.seed).images
    sheets = [_block("drawn by the renderer", true), _block("sampled from noise", sampled)]
    save_png(flags.out, beside(sheets))


def _block(title, pictures):
    rows = [pictures[i : i + _COLUMNS] for i in range(0, len(pictures), _COLUMNS)]
    return labeled_sheet([[np.asarray(p) for p in row] for row in rows], title=title)


if __name__ == "__main__":
    main()
