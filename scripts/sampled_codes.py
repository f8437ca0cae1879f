"""Whether sampling really samples: codes from noise beside codes of synthetic persons, by factor.

.venv/bin/python scripts/sampled_codes.py --run_dir=preset:persons_128x64

Precision is the share of sampled codes that lie among those of persons, recall the share of
persons' codes that lie among the sampled: where precision is low samples look wrong, where recall
is low they look alike. Beside them stand as many codes of other persons, which is what could be
reached, and Gaussian codes with their mean and covariance, for which no network is needed. Nobody
here was trained on.
"""

import argparse

import numpy as np

from dpig_tf2 import PersonSampler
from dpig_tf2.evaluation.set_scores import precision_and_recall
from dpig_tf2.pipeline.fresh_persons import FreshPersons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--persons", type=int, default=1500, help="of each kind")
    parser.add_argument("--neighbors", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1_000)
    flags = parser.parse_args()
    sampler = PersonSampler.load(flags.run_dir)
    true = codes_of_persons(sampler, FreshPersons(flags.seed, photos=2 * flags.persons))
    print(f"{flags.persons} codes of each kind, {flags.neighbors} neighbors")
    print(f"{'factor':12} {'codes':10} precision  recall")
    for factor, codes in true.items():
        codes, others = np.split(codes, 2)
        noise = sampler.draw_noise(len(codes), factor, flags.seed)
        kinds = {
            "others": others,
            "sampled": sampler.map_noise(noise, factor),
            "Gaussian": _gaussian(others, flags.seed),
        }
        for kind, found in kinds.items():
            precision, recall = precision_and_recall(codes, found, flags.neighbors)
            print(f"{factor:12} {kind:10} {precision:9.3f} {recall:7.3f}", flush=True)


def codes_of_persons(sampler, persons) -> dict[str, np.ndarray]:
    """{factor: [persons.photos, E]}."""
    found = []
    for person in persons.persons(sampler.config.model):
        image, keypoints = person["image"].numpy(), person["keypoints"].numpy()
        found.append(sampler.encode_poses(sampler.person_codes(image, keypoints)).as_arrays())
    return {
        factor: np.concatenate([codes[factor] for codes in found])
        for factor in sampler.config.model.factors
    }


def _gaussian(codes, seed):
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), len(codes), method="eigh")


if __name__ == "__main__":
    main()
