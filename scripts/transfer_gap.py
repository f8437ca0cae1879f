"""Where the pictures of synthetic persons in another pose fall short of their reconstructions.

.venv/bin/python scripts/transfer_gap.py --run_dir=preset:persons_128x64

Every person is brought into the pose of another, and compared with the true picture of that. Beside
it stands the reconstruction of that true picture, in which everything can be seen. The difference
of their SSIM is told by place: on the person, where the person stood before, and elsewhere. Nobody
here was trained on.
"""

import argparse

import numpy as np
from skimage.metrics import structural_similarity

from dpig_tf2 import PersonSampler, synthetic
from dpig_tf2.evaluation.disentanglement import FACTORS, SyntheticPersons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--persons", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    sampler = PersonSampler.load(flags.run_dir)
    drawn = synthetic.make_images(9_000 + flags.seed, flags.persons, 1)
    factors = {p.name: {factor: getattr(p, factor) for factor in FACTORS} for p in drawn}
    names = list(factors)
    pairs = list(zip(names, names[1:] + names[:1], strict=True))
    size = sampler.config.model.height, sampler.config.model.width
    persons = SyntheticPersons(pairs, factors, *size)

    true, targets = persons.swapped("pose"), persons.other_keypoints
    transferred = _ssim(sampler.transfer(persons.images, persons.keypoints, targets), true)
    reconstructed = _ssim(sampler.reconstruct(true, targets), true)
    before, person = (
        np.stack(
            [
                synthetic.foreground_mask(pair[0]["foreground"], pair[i]["pose"], *size)
                for pair in persons.pairs
            ]
        )
        for i in (0, 1)
    )
    places = {
        "all": np.ones_like(person),
        "person": person,
        "uncovered": before & ~person,
        "elsewhere": ~before & ~person,
    }
    print(f"{flags.persons} persons, SSIM; 'lost' is each place's part of the whole difference")
    print(f"{'place':10} {'share':>6} {'reconstructed':>14} {'transferred':>12} {'lost':>7}")
    for name, place in places.items():
        lost = ((reconstructed - transferred) * place).mean()
        print(
            f"{name:10} {place.mean():6.3f} {reconstructed[place].mean():14.3f} "
            f"{transferred[place].mean():12.3f} {lost:7.4f}"
        )


def _ssim(pictures, true):
    """SSIM at every pixel, [N, H, W], mean over the channels."""
    return np.stack(
        [
            structural_similarity(
                *pair,
                channel_axis=-1,
                gaussian_weights=True,
                use_sample_covariance=False,
                full=True,
            )[1].mean(axis=-1)
            for pair in zip(pictures, true, strict=True)
        ]
    )


if __name__ == "__main__":
    main()
