"""Turns checkpoints of the released TensorFlow 1 code into a run folder.

Examples:
    dpig import_tf1 --preset=market1501 --run_dir=runs/released --reconstruction=OLD/image_model
    dpig import_tf1 --preset=deepfashion --run_dir=runs/poses --verify --pose=OLD/pose_model \\
        --pose_mapping=OLD/pose_sampling

Any subset of the four; each is a checkpoint prefix (.../model.ckpt-120000) or its folder. Widths
and code lengths are read from the checkpoints. Nothing is written unless all of them are good. The
report is written to import_tf1.json in the run folder.
"""

import os

from absl import flags

from dpig_tf2.cli import program
from dpig_tf2.config import STAGES

FLAGS = flags.FlagValues()
_PRESET = flags.DEFINE_enum(
    "preset",
    None,
    ["market1501", "deepfashion"],
    "Data set that the networks were trained for.",
    required=True,
    flag_values=FLAGS,
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Run folder, created if absent; it must not hold a checkpoint of an imported stage.",
    required=True,
    flag_values=FLAGS,
)
_CHECKPOINTS = {
    stage: flags.DEFINE_string(
        stage, None, f"Checkpoint prefix, or its folder, of the {content}.", flag_values=FLAGS
    )
    for stage, content in {
        "reconstruction": "appearance encoder, generator and discriminator",
        "pose": "pose autoencoder",
        "appearance_mapping": "mapping networks from noise to appearance codes, and their critics",
        "pose_mapping": "mapping network from noise to pose codes, and its critic",
    }.items()
}
_STRICT = flags.DEFINE_bool(
    "strict",
    True,
    "Fail on a missing, surplus or misshapen variable. --nostrict skips and lists it, and leaves "
    "what was not found freshly initialized.",
    flag_values=FLAGS,
)
_VERIFY = flags.DEFINE_bool(
    "verify",
    False,
    "Read the run back, compare, and print a checksum for each network.",
    flag_values=FLAGS,
)


def main() -> None:
    paths = {stage: _CHECKPOINTS[stage].value for stage in STAGES if _CHECKPOINTS[stage].value}
    if not paths:
        raise program.FlagError(
            f"give at least one of {', '.join(f'--{stage}' for stage in STAGES)}"
        )
    from dpig_tf2.legacy_tf1 import importer

    report = importer.import_checkpoints(_PRESET.value, paths, _RUN_DIR.value, _STRICT.value)
    for stage, entry in report["stages"].items():
        _print_stage(stage, entry)
    for note in report["notes"]:
        program.say(f"warning: {note}")
    if _VERIFY.value:
        importer.verify(_RUN_DIR.value, report)
        _print_networks(report)
    path = os.path.join(_RUN_DIR.value, importer.REPORT_NAME)
    program.say(f"wrote {_RUN_DIR.value}; report: {path}")


def _print_stage(stage, entry):
    ignored = sum(len(names) for names in entry["ignored"].values())
    program.say(
        f"{stage}: {len(entry['networks'])} networks and {entry['optimizer_slots_imported']} "
        f"optimizer slots from {entry['checkpoint']}; step {entry['step']}, read from "
        f"{entry['step_read_from']}; {ignored} variables have no use here"
    )
    for kind, names in entry["skipped"].items():
        for name, why in names.items():
            program.say(f"  skipped, {kind}: {name} ({why})")
    if entry["fresh"]:
        print(f"  {len(entry['fresh'])} optimizer variables not stored there start afresh")


def _print_networks(report):
    print(f"{'network':22}{'variables':>10}{'parameters':>13}  sha256 of names and values")
    for entry in report["stages"].values():
        for name, network in entry["networks"].items():
            counts = f"{network['variables']:>10}{network['parameters']:>13,}"
            print(f"{name:22}{counts}  {network['checksum']}")
    print("verified: the run folder holds these values")


if __name__ == "__main__":
    program.run(__name__)
