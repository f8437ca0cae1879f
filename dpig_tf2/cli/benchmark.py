"""Measures speed and prints a table and JSON.

    python -m dpig_tf2.cli.benchmark --what=input --preset=synthetic --data_dir=data/synthetic

input: pairs per second that the input pipeline supplies, decoded anew and from memory, beside what
training of the preset's stage reconstruction consumes, all in one run on the same machine.
"""

import json
import os
import platform

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flags import run_program

_WHAT = flags.DEFINE_enum("what", None, ["input"], "What is measured.", required=True)
_PRESET = flags.DEFINE_enum("preset", "synthetic", list(configuration.PRESETS), "Sizes.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with tf-records.", required=True)
_SPLIT = flags.DEFINE_string("split", "train", "Split in the record files' names.")
_HIDDEN = flags.DEFINE_integer(
    "hidden", None, "Base width of the networks; default the preset's.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Pairs per batch; default the preset's.", lower_bound=1
)
_RUNS = flags.DEFINE_integer("runs", 5, "Runs of each measurement.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 3.0, "Length of a run.", lower_bound=0.1)


def main(_):
    config = configuration.preset(_PRESET.value)
    if _HIDDEN.value:
        config = config.override(**{"model.hidden": _HIDDEN.value})
    if _BATCH_SIZE.value:
        config = config.override(**{"reconstruction.batch_size": _BATCH_SIZE.value})

    import tensorflow as tf

    from dpig_tf2 import benchmarks
    from dpig_tf2.pipeline.input_pipeline import CACHES, RecordSet

    records = RecordSet.open(_DATA_DIR.value, _SPLIT.value)
    rates = [
        benchmarks.input_rate(records, config, cache, _RUNS.value, _SECONDS.value)
        for cache in CACHES
    ]
    training = benchmarks.training_rate(records, config, _RUNS.value, _SECONDS.value)
    print(f"{'what':34}{'pairs/s':>10}{'lowest':>10}{'highest':>10}{'ratio':>9}")
    for rate in [*rates, training]:
        print(
            f"{rate.what:34}{rate.median:10.0f}{min(rate.runs):10.0f}{max(rate.runs):10.0f}"
            f"{rate.median / training.median:9.1f}"
        )
    print(
        json.dumps(
            {
                "what": _WHAT.value,
                "preset": config.preset,
                "hidden": config.model.hidden,
                "batch_size": config.reconstruction.batch_size,
                "cores": os.cpu_count(),
                "machine": platform.machine(),
                "devices": [device.device_type for device in tf.config.list_physical_devices()],
                "rates": [rate.as_dict() for rate in rates],
                "training": training.as_dict(),
                "ratios": {rate.what: rate.median / training.median for rate in rates},
            }
        )
    )
    return 0


def run():
    run_program("dpig-benchmark", main)


if __name__ == "__main__":
    run()
