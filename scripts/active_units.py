"""How much of a network acts: which units of each convolution with a ReLU are ever above zero.

.venv/bin/python scripts/active_units.py --run_dir=preset:persons_128x64

A unit that is zero everywhere draws nothing and, having no gradient, learns nothing any more.
Counted on synthetic persons, reconstructed.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2 import PersonSampler
from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.pipeline.fresh_persons import FreshPersons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--persons", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1_000)
    flags = parser.parse_args()
    names = ("appearance_encoder", "generator")
    sampler = PersonSampler.load(flags.run_dir, Execution(), names=names)
    networks = [sampler.model.network(name) for name in names]
    found = active_units(networks, lambda: _reconstruct(sampler, flags.persons, flags.seed))
    print(f"{'':48} units  ever active  active, of all positions")
    for path, active in found.items():
        ever = active.any(axis=0).mean()
        print(f"{path:48} {active.shape[1]:5} {ever:12.0%} {active.mean():13.1%}")


def active_units(networks, run) -> dict[str, np.ndarray]:
    """{path: bool [positions, units]} of every convolution with a ReLU that `run()` computes."""
    found = {}

    def recording(path):
        def relu(x):
            found[path] = np.reshape(x > 0, [-1, x.shape[-1]])
            return tf.nn.relu(x)

        return relu

    for network in networks:
        for layer in network._flatten_layers():
            if isinstance(layer, layers.Conv) and layer.activation is keras.activations.relu:
                layer.activation = recording(layer.path)
    run()
    return found


def _reconstruct(sampler, persons, seed):
    person = next(iter(FreshPersons(seed).batches(sampler.config.model, persons)))["source"]
    sampler.model.generate(sampler.model.encode_person(person), person["keypoints"])


if __name__ == "__main__":
    main()
