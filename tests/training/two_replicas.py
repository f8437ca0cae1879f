"""Trains every stage on one device and on two logical ones; prints how far apart they end as JSON.

    python two_replicas.py FOLDER_WITH_RECORDS FOLDER

FOLDER has config.json and poses.csv; runs of stage pose are written there.

A program of its own, because logical devices must be set before TensorFlow starts.
"""

import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.config import Config, preset
from dpig_tf2.models import weights
from dpig_tf2.pipeline.batches import training_batches
from dpig_tf2.pipeline.fresh_persons import FreshPersons
from dpig_tf2.pipeline.training_data import Poses
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import distribution, run
from dpig_tf2.training.data import stage_batches
from dpig_tf2.training.trainers import build_trainer

STEPS = 2
# By the recipe; so long a warm-up that no gradient that is mere rounding moves a weight.
MODERN = {
    **{"model.height": 32, "model.width": 16, "model.mask_radius": 1, "model.hidden": 8},
    **{"model.region_embedding": 8, "model.background_embedding": 32, "model.placed_channels": 4},
    **{"reconstruction.batch_size": 4, "recipe.warmup_steps": 10**6},
}


def main(data_dir, folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, two = distribution.devices("none"), distribution.devices("mirrored")
    folder = pathlib.Path(folder)
    config = Config.from_json((folder / "config.json").read_text())
    found = {"replicas": two.replicas}
    records = RecordSet.open(data_dir, "train")
    pairs = next(training_batches(records, config.model, 12, seed=0).as_numpy_iterator())
    found["reconstruction"] = compare(one, two, "reconstruction", config, pairs)
    for stage, factors in (
        ("appearance_mapping", config.model.appearance_factors),
        ("pose_mapping", ("pose",)),
    ):
        rng = np.random.default_rng(0)
        sizes = {factor: config.model.embedding_size(factor) for factor in factors}
        arrays = {"embedding": {f: rng.normal(size=(30, n)).astype("f4") for f, n in sizes.items()}}
        found[stage] = compare(one, two, stage, config, arrays)
    _, keypoints = read_keypoint_csv(folder / "poses.csv")
    # The tests' configuration trains by RMSProp; here no gradient is mere rounding.
    adam = config.override(**{"pose.objective": "dcgan"})
    found["pose by Adam"] = compare(one, two, "pose", adam, {"keypoints": keypoints})
    modern = preset("modern").override(**MODERN)
    found["fresh persons"] = compare(one, two, "reconstruction", modern, data=FreshPersons(0))
    found["pose"] = difference(*(whole_run(devices, config, folder) for devices in (one, two)))
    print(json.dumps(found))


def compare(one, two, stage, config, arrays=None, data=None):
    """Differences after some steps on batches of the arrays or the data."""
    states = []
    for devices in (one, two):
        keras.utils.set_random_seed(0)
        with devices.scope():
            trainer = build_trainer(stage, config)
        batches_from = stage_batches(config, stage, data, arrays, trainer.updates_per_step)
        batches = devices.batches(
            lambda context, batches_from=batches_from: batches_from(0, context)
        )
        step = devices.compiled_step(trainer.train_step)
        for _, batch in zip(range(STEPS), batches, strict=False):
            logs = step(batch)
        losses = {name: np.asarray(value) for name, value in logs.items()}
        states.append(weights.collect(trainer.state_variables()) | losses)
    return difference(*states)


def whole_run(devices, config, folder):
    """The last checkpoint of a run of stage pose."""
    _, keypoints = read_keypoint_csv(folder / "poses.csv")
    folder = RunFolder.plan(folder / f"replicas-{devices.replicas}", config)
    options = run.RunOptions(devices=devices)
    run.train(folder, ["pose"], Poses(keypoints), options)
    return folder.load_checkpoint("pose")[1]


def difference(first, second):
    """Largest difference of weights; of losses and of optimizer slots, as shares of the largest."""
    result = {"weights": 0.0, "losses": 0.0, "slots": 0.0}
    for name, value in first.items():
        apart = float(np.abs(value - second[name]).max())
        kind = "losses" if name.startswith("loss/") else "weights"
        kind = "slots" if "optimizer/" in name else kind
        if kind != "weights":
            apart /= max(float(np.abs(value).max()), 1e-6)
        result[kind] = max(result[kind], apart)
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
