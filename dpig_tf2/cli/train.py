"""Trains one stage or all four.

    python -m dpig_tf2.cli.train --preset=synthetic --data_dir=data/synthetic --run_dir=runs/demo

Stages: reconstruction (image) and pose are stage I; appearance_mapping and pose_mapping are stage
II and find their predecessors in the run folder. Started again, a run resumes where it stopped.
"""

import ast
import sys

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flags import EXIT_INTERRUPTED, EXIT_TRY_AGAIN, one_line, run_program
from dpig_tf2.execution import IMPLEMENTATIONS, Execution

_RUN_DIR = flags.DEFINE_string("run_dir", None, "Run folder, created if absent.", required=True)
_PRESET = flags.DEFINE_enum(
    "preset",
    None,
    list(configuration.PRESETS),
    "Needed for a new run; a started run keeps its own.",
)
_STAGE = flags.DEFINE_enum("stage", "all", ["all", *configuration.STAGES], "Stage to train.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with tf-records.")
_SPLIT = flags.DEFINE_string("split", "train", "Split in the record files' names.")
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "Keypoint CSV (pixels of the preset's image size): train the pose stages on it.",
)
_HOLD_OUT = flags.DEFINE_float(
    "hold_out", 0.0, "Share of the poses of --keypoints that is never trained on.", 0.0, 0.9
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Configuration field, e.g. --set=model.hidden=32 --set=reconstruction.steps=5000."
)
_STEPS = flags.DEFINE_integer("steps", None, "Training steps of the one --stage.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Examples per update of the one --stage.", lower_bound=1
)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "Initial rate of the one --stage.")
_ADVERSARY_LEARNING_RATE = flags.DEFINE_float(
    "adversary_learning_rate", None, "Initial rate of its discriminator or critics."
)
_OBJECTIVE = flags.DEFINE_enum(
    "objective", None, configuration.OBJECTIVES, "Adversarial objective of the one --stage."
)
_PAIRING = flags.DEFINE_enum(
    "pairing", None, configuration.PAIRINGS, "Discriminator inputs of stage reconstruction."
)
_SEED = flags.DEFINE_integer(
    "seed", None, "Of initial weights, data order and noise.", lower_bound=0, upper_bound=10**6
)
_MATCH_RELEASE = flags.DEFINE_bool(
    "match_release", None, "The release's update order: generator first, own batch per update."
)
_LOG_EVERY = flags.DEFINE_integer("log_every", 20, "Steps between scalars.", lower_bound=1)
_PICTURE_EVERY = flags.DEFINE_integer(
    "picture_every", 500, "Steps between picture grids.", lower_bound=1
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 1000, "Steps between checkpoints.", lower_bound=1
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", 10.0, "Longest time between checkpoints, minutes.", lower_bound=0.01
)
_KEEP = flags.DEFINE_integer("keep", 3, "Checkpoints kept per stage.", lower_bound=1)
_KEEP_BEST = flags.DEFINE_bool(
    "keep_best",
    True,
    "Stage I: also keep the checkpoint that reconstructs the fixed batch of the pictures best.",
)
_CACHE = flags.DEFINE_enum("cache", "none", ["none", "memory"], "Where decoded images are kept.")
_SKIP_BAD = flags.DEFINE_bool("skip_bad_records", False, "Drop and count damaged records.")
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the training step with XLA.")
_IMPLEMENTATION = flags.DEFINE_enum(
    "implementation",
    "fast",
    IMPLEMENTATIONS,
    "How layers are computed: as the paper writes them, or in equal ways that take less work. In "
    "float32 the numbers are the same to rounding.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    configuration.PRECISIONS,
    "What the networks compute in; variables and losses are float32 in any case. mixed_float16 "
    "scales the losses; mixed_bfloat16 needs no scaling and is the better choice where both run.",
)
_REMATERIALIZE = flags.DEFINE_bool(
    "rematerialize",
    False,
    "Stage reconstruction: compute activations again in the backward pass; less memory, slower.",
)
_DETERMINISTIC = flags.DEFINE_bool("deterministic", False, "Deterministic kernels; slower.")
_DISTRIBUTE = flags.DEFINE_enum(
    "distribute",
    "none",
    ["none", "mirrored", "multi_worker"],
    "Share every batch: mirrored among the GPUs of this host, multi_worker among the hosts of "
    "TF_CONFIG, see scripts/train_two_hosts.sh. Batch sizes are global, results those of one "
    "device but for rounding.",
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the resolved configuration and stop.")

_ONE_STAGE_FLAGS = {
    "steps": _STEPS,
    "batch_size": _BATCH_SIZE,
    "learning_rate": _LEARNING_RATE,
    "adversary_learning_rate": _ADVERSARY_LEARNING_RATE,
    "objective": _OBJECTIVE,
    "pairing": _PAIRING,
}


def main(_):
    overrides = _overrides()
    stages = _stages()
    if bool(_DATA_DIR.value) == bool(_KEYPOINTS.value):
        raise ValueError("give either --data_dir (tf-records) or --keypoints (a keypoint CSV)")
    if _HOLD_OUT.value and not _KEYPOINTS.value:
        raise ValueError("--hold_out needs --keypoints")
    execution = Execution(
        precision=_PRECISION.value,
        implementation=_IMPLEMENTATION.value,
        rematerialize=_REMATERIALIZE.value,
        jit_compile=_JIT.value,
    )
    if _REMATERIALIZE.value and "reconstruction" not in stages:
        raise ValueError(
            f"--rematerialize does not apply to stage {stages[0]}, only to reconstruction"
        )

    from dpig_tf2.run_folder import RunFolder

    config = _base_config().override(**overrides)
    print(config.to_json(), flush=True)
    if _DRY_RUN.value:
        return 0

    import tensorflow as tf

    from dpig_tf2.training import distribution
    from dpig_tf2.training import run as training

    if _DETERMINISTIC.value:
        if execution.implementation == "reference" and tf.config.list_physical_devices("GPU"):
            raise ValueError("--implementation=reference is not deterministic on a GPU")
        tf.config.experimental.enable_op_determinism()
    try:
        devices = distribution.devices(_DISTRIBUTE.value)
    except distribution.LostWorker as lost:
        return _try_again(lost)
    data = _data()
    folder = RunFolder.plan(_RUN_DIR.value, config)
    options = training.RunOptions(
        log_every=_LOG_EVERY.value,
        picture_every=_PICTURE_EVERY.value,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        checkpoint_minutes=_CHECKPOINT_MINUTES.value,
        keep=_KEEP.value,
        keep_best=_KEEP_BEST.value,
        execution=execution,
        devices=devices,
    )
    try:
        training.train(folder, stages, data, options)
    except training.Interrupted as stop:
        print(stop, flush=True)
        return EXIT_INTERRUPTED
    except distribution.LostWorker as lost:
        return _try_again(lost)
    except (training.TrainingError, tf.errors.OpError) as error:
        raise ValueError(one_line(error)) from error
    print(f"trained: {', '.join(stages)}; run folder {folder.path}", flush=True)
    return 0


def _try_again(lost):
    print(f"dpig-train: {lost}", file=sys.stderr)
    return EXIT_TRY_AGAIN


def _stages():
    if _STAGE.value != "all":
        return (_STAGE.value,)
    if _KEYPOINTS.value:  # poses alone serve the two pose stages
        return ("pose", "pose_mapping")
    return configuration.STAGES


def _overrides():
    """{dotted field: value} from the flags."""
    overrides = {}
    for assignment in _SET.value:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set={assignment}: expected FIELD=VALUE")
        overrides[name] = _literal(text)
    given = {name: flag.value for name, flag in _ONE_STAGE_FLAGS.items() if flag.value is not None}
    stage = _STAGE.value
    if given and stage == "all":
        raise ValueError(
            f"--{next(iter(given))} needs one --stage; or use --set=<stage>.<field>=<value>"
        )
    if "pairing" in given and stage != "reconstruction":
        raise ValueError(f"--pairing does not apply to stage {stage}, only to reconstruction")
    for name in ("objective", "adversary_learning_rate"):
        if name in given and stage == "pose":
            raise ValueError(f"--{name} does not apply to stage pose: it has no adversary")
    overrides |= {f"{stage}.{name}": value for name, value in given.items()}
    for name, flag in (("seed", _SEED), ("match_release", _MATCH_RELEASE)):
        if flag.value is not None:
            overrides[name] = flag.value
    return overrides


def _literal(text):
    """A Python number, bool or None as such; anything else as a string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _base_config():
    """The run's own configuration if it has been started, else the preset's."""
    import pathlib

    from dpig_tf2.run_folder import RunFolder

    if (pathlib.Path(_RUN_DIR.value) / "config.json").exists():
        existing = RunFolder.open(_RUN_DIR.value).config
        if _PRESET.value and _PRESET.value != existing.preset:
            raise ValueError(
                f"--preset={_PRESET.value}: {_RUN_DIR.value} holds a run of preset "
                f"{existing.preset}"
            )
        return existing
    if not _PRESET.value:
        raise ValueError(f"--preset is needed: {_RUN_DIR.value} holds no run yet")
    return configuration.preset(_PRESET.value)


def _data():
    from dpig_tf2.records.record_set import RecordSet
    from dpig_tf2.training.data import TrainingData

    if _KEYPOINTS.value:
        from dpig_tf2.pipeline.arrays import hold_out
        from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

        _, keypoints = read_keypoint_csv(_KEYPOINTS.value)
        return TrainingData(keypoints=hold_out(keypoints, _HOLD_OUT.value)[0])
    records = RecordSet.open(_DATA_DIR.value, _SPLIT.value)
    return TrainingData(records, cache=_CACHE.value, skip_bad_records=_SKIP_BAD.value)


def run():
    run_program("dpig-train", main)


if __name__ == "__main__":
    run()
