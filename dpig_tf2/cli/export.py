"""Writes trained networks as a SavedModel that runs without this package.

Example:
  python -m dpig_tf2.cli.export --run_dir=runs/demo --out_dir=models/person

writes models/person/1/ for a model server, with assets.extra/signatures.json describing the typed
signatures (reconstruct, transfer, encode, generate, sample, ...).
"""

import pathlib

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flags import run_program

RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Run folder, or a folder written by PersonSampler.save.", required=True
)
OUT_DIR = flags.DEFINE_string(
    "out_dir", None, "Folder for all versions of the model. Default: <run_dir>/export."
)
VERSION = flags.DEFINE_integer(
    "version", None, "Version number. Default: the next after the highest there.", lower_bound=1
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    configuration.PRECISIONS,
    "What the networks compute in; weights, inputs and outputs keep their types.",
)
CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "latest", configuration.CHECKPOINTS, "Checkpoint of stage I of a run folder."
)
PORTABLE = flags.DEFINE_bool(
    "portable",
    True,
    "Compute in forms that run well everywhere: CPU, GPU, compiled by XLA. --noportable takes "
    "those that are fastest on this machine, for servers like it; numbers are equal to rounding.",
)


def main(argv):
    del argv
    from dpig_tf2.run_folder import RunFolder

    RunFolder.open(RUN_DIR.value)  # a wrong folder is refused before TensorFlow is loaded
    from dpig_tf2.execution import Execution
    from dpig_tf2.models.loading import load_networks
    from dpig_tf2.serving.export import DESCRIPTION, export

    out_dir = OUT_DIR.value or pathlib.Path(RUN_DIR.value, "export")
    execution = Execution(PRECISION.value, jit_compile=PORTABLE.value)
    config, networks = load_networks(RUN_DIR.value, execution, CHECKPOINT.value)
    path = export(config, networks, out_dir, VERSION.value)
    print(f"wrote {path}; signatures: {path / DESCRIPTION}")


def run():
    run_program("dpig-export", main)


if __name__ == "__main__":
    run()
