"""Trains one stage or all four.

Examples:
    dpig train --preset=synthetic --data_dir=data/synthetic --run_dir=runs/first
    dpig train --preset=market1501 --keypoints=poses.csv --hold_out=0.1 --run_dir=runs/poses

Stages: reconstruction (image) and pose are stage I; appearance_mapping and pose_mapping are stage
II and find their predecessors in the run folder. Started again, a run resumes where it stopped.
"""

import ast
import dataclasses
import pathlib
import sys

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli import flag_groups, person_flags, program
from dpig_tf2.errors import counted, shown

FLAGS = flags.FlagValues()
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Run folder, created if absent.", required=True, flag_values=FLAGS
)
_PRESET = flags.DEFINE_enum(
    "preset",
    None,
    list(configuration.PRESETS),
    "Named configuration of a new run; a started run keeps its own.",
    flag_values=FLAGS,
)
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Run folder, saved sampler or preset:NAME whose weights a new run begins with, where names and "
    "shapes agree; without --preset the new run takes its configuration too.",
    flag_values=FLAGS,
)
_STAGE = flags.DEFINE_enum(
    "stage", "all", ["all", *configuration.STAGES], "Stage to train.", flag_values=FLAGS
)
_RECORDS = person_flags.RecordFlags(FLAGS, split="train")
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "Keypoint CSV, in pixels of the preset's images: trains the pose stages on it, without images. "
    "Or a folder of photos: the poses found in them, which are kept as keypoints.csv in the run "
    "folder.",
    flag_values=FLAGS,
)
_FRESH_PERSONS = flags.DEFINE_bool(
    "fresh_persons",
    False,
    "Train on synthetic persons that are drawn meanwhile; none comes again, but for its mirror "
    "image.",
    flag_values=FLAGS,
)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)
_HOLD_OUT = flags.DEFINE_float(
    "hold_out",
    0.0,
    "Share of the poses of --keypoints, from 0 to 0.9, that is never trained on.",
    lower_bound=0.0,
    upper_bound=0.9,
    flag_values=FLAGS,
)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "Value of a configuration field, e.g. model.hidden=32 or reconstruction.steps=5000.",
    flag_values=FLAGS,
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "Training steps of the one --stage.", lower_bound=1, flag_values=FLAGS
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "Examples per update of the one --stage, on all devices together.",
    lower_bound=1,
    flag_values=FLAGS,
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", None, "Initial learning rate of the one --stage.", flag_values=FLAGS
)
_ADVERSARY_LEARNING_RATE = flags.DEFINE_float(
    "adversary_learning_rate",
    None,
    "Initial learning rate of the discriminator or the critics of the one --stage.",
    flag_values=FLAGS,
)
_OBJECTIVE = flags.DEFINE_enum(
    "objective",
    None,
    configuration.OBJECTIVES,
    "Adversarial objective of the one --stage.",
    flag_values=FLAGS,
)
_PAIRING = flags.DEFINE_enum(
    "pairing",
    None,
    configuration.PAIRINGS,
    "What the discriminator of stage reconstruction compares; triplet adds the target photo.",
    flag_values=FLAGS,
)
_SEED = flags.DEFINE_integer(
    "seed",
    None,
    "Seed of initial weights, data order and noise; by default the preset's.",
    lower_bound=0,
    upper_bound=10**6,
    flag_values=FLAGS,
)
_MATCH_RELEASE = flags.DEFINE_bool(
    "match_release",
    None,
    "Use the release's update order: generator first, a batch of its own for every update.",
    flag_values=FLAGS,
)
_LOG_EVERY = flags.DEFINE_integer(
    "log_every", 20, "Steps between scalars.", lower_bound=1, flag_values=FLAGS
)
_PICTURE_EVERY = flags.DEFINE_integer(
    "picture_every", 500, "Steps between picture grids.", lower_bound=1, flag_values=FLAGS
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 1000, "Steps between checkpoints.", lower_bound=1, flag_values=FLAGS
)
_CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes",
    10.0,
    "Longest time between checkpoints, minutes.",
    lower_bound=0.01,
    flag_values=FLAGS,
)
_MINUTES = flags.DEFINE_list(
    "minutes",
    [],
    "Longest time of a stage, minutes; one number, or one for each stage, in their order. From the "
    "speed of its first steps a stage chooses how many of its steps fit, and its learning rate "
    "falls with them. The number is kept in the run's config.json.",
    flag_values=FLAGS,
)
_KEEP = flags.DEFINE_integer(
    "keep", 3, "Checkpoints kept of each stage.", lower_bound=1, flag_values=FLAGS
)
_KEEP_BEST = flags.DEFINE_bool(
    "keep_best",
    True,
    "Also keep the checkpoint of stage I that reconstructs the fixed batch of the pictures best.",
    flag_values=FLAGS,
)
_CACHE = flags.DEFINE_enum(
    "cache",
    "none",
    ["none", "memory"],
    "Where decoded images are kept from epoch to epoch.",
    flag_values=FLAGS,
)
_EXECUTION = flag_groups.ExecutionFlags(FLAGS)
_SLOW_PRECISION = flags.DEFINE_bool(
    "slow_precision",
    False,
    "Train in --precision also where that is measured to be much slower than float32.",
    flag_values=FLAGS,
)
_REMATERIALIZE = flags.DEFINE_bool(
    "rematerialize",
    False,
    "Compute the activations of stage reconstruction again in the backward pass: less memory, a "
    "sixth to a third more time. For the published architecture.",
    flag_values=FLAGS,
)
_JIT = flags.DEFINE_bool(
    "jit_compile",
    False,
    "Compile the training step with XLA, which draws other noise for the same seed.",
    flag_values=FLAGS,
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "Use deterministic kernels only; slower.", flag_values=FLAGS
)
_DISTRIBUTE = flags.DEFINE_enum(
    "distribute",
    "none",
    ["none", "mirrored", "multi_worker"],
    "Share every batch: mirrored among the GPUs of this host, multi_worker among the hosts of "
    "TF_CONFIG, see scripts/train_two_hosts.sh. Batch sizes are global; results are those of one "
    "device up to rounding.",
    flag_values=FLAGS,
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Print the resolved configuration and stop.", flag_values=FLAGS
)

_LONGEST = 1e6  # minutes
_OF_ONE_STAGE = (
    *(_STEPS, _BATCH_SIZE, _LEARNING_RATE),
    *(_ADVERSARY_LEARNING_RATE, _OBJECTIVE, _PAIRING),
)


def main() -> int:
    overrides = _overrides()
    stages = _stages()
    _check_data_flags()
    if _REMATERIALIZE.value and "reconstruction" not in stages:
        raise program.FlagError(
            f"--rematerialize does not apply to stage {stages[0]}, only to reconstruction",
            field="rematerialize",
        )
    minutes = _minutes(stages)
    execution = _EXECUTION.execution(_REMATERIALIZE.value, _JIT.value)
    config = _base_config().override(**overrides)
    if _REMATERIALIZE.value and config.model.architecture != "published":
        raise program.FlagError(
            f"--rematerialize does not apply to model.architecture={config.model.architecture}",
            field="rematerialize",
        )
    if _DRY_RUN.value:
        print(config.to_json())
        return 0
    from dpig_tf2.run_folder import RunFolder

    folder = RunFolder.plan(_RUN_DIR.value, config)
    what = " with ".join(filter(None, (config.preset, ", ".join(_changes(config)))))
    program.say(f"preset {what}")
    _RECORDS.require()
    from dpig_tf2.training import distribution

    try:
        _train(folder, stages, execution, minutes)
    except distribution.LostWorker as lost:
        print(f"dpig train: {program.one_line(lost)}", file=sys.stderr)
        return program.EXIT_TRY_AGAIN
    return 0


def _train(folder, stages, execution, minutes):
    import tensorflow as tf

    from dpig_tf2.training import distribution
    from dpig_tf2.training import run as training

    if _DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()
    elif _DISTRIBUTE.value != "multi_worker":  # where nothing may be computed before all have met
        execution = _EXECUTION.measured(execution)
    devices = distribution.devices(_DISTRIBUTE.value)
    if not _SLOW_PRECISION.value:
        flag_groups.require_speed(execution, "leave it out, or give --slow_precision")
    if _INIT_FROM.value:
        flag_groups.fetch(_INIT_FROM.value)
    data = _data(folder.config)
    options = training.RunOptions(
        log_every=_LOG_EVERY.value,
        picture_every=_PICTURE_EVERY.value,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        checkpoint_minutes=_CHECKPOINT_MINUTES.value,
        keep=_KEEP.value,
        keep_best=_KEEP_BEST.value,
        devices=devices,
        execution=execution,
        minutes=minutes,
        asked=flag_groups.asked(FLAGS),
    )
    training.train(folder, stages, data, options, _INIT_FROM.value)
    program.say(f"trained: {', '.join(stages)}; all settings: {folder.path / 'config.json'}")


def _check_data_flags():
    given = (_RECORDS.data_dir.value, _KEYPOINTS.value, _FRESH_PERSONS.value)
    if sum(map(bool, given)) != 1:
        raise program.FlagError(
            "give either --data_dir (tf-records), --keypoints (a keypoint CSV) or --fresh_persons",
            field="data_dir",
        )
    _RECORDS.check()
    flag_groups.needs(_HOLD_OUT, _KEYPOINTS)
    flag_groups.needs(_POSE_MODEL, _KEYPOINTS)
    flag_groups.needs(_CACHE, _RECORDS.data_dir)
    if _POSE_MODEL.present and not pathlib.Path(_KEYPOINTS.value).is_dir():
        raise program.FlagError(
            f"--pose_model is for a folder of photos, which --keypoints={_KEYPOINTS.value} is not",
            field="pose_model",
        )


def _stages():
    if _STAGE.value != "all":
        return (_STAGE.value,)
    if _KEYPOINTS.value:  # poses alone serve the two pose stages
        return ("pose", "pose_mapping")
    return configuration.STAGES


def _minutes(stages):
    """{stage: its longest time} of --minutes."""
    given = _MINUTES.value
    if not given:
        return {}
    if _DISTRIBUTE.value != "none":
        raise program.FlagError(
            f"--minutes is for one device, not for --distribute={_DISTRIBUTE.value}",
            field="minutes",
        )
    numbers = [_literal(text) for text in given]
    if len(given) not in (1, len(stages)) or not all(
        isinstance(number, int | float) and number is not True and 0 < number < _LONGEST
        for number in numbers
    ):
        raise program.FlagError(
            f"--minutes={','.join(given)}: expected a positive number, or one for each of "
            f"{', '.join(stages)}",
            field="minutes",
        )
    return dict(zip(stages, numbers * (len(stages) // len(numbers)), strict=True))


def _overrides():
    """{dotted field: value} from the flags."""
    overrides = {}
    for assignment in _SET.value:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise program.FlagError(f"--set={assignment}: expected FIELD=VALUE", field="set")
        overrides[name] = _literal(text)
    given = {flag.name: flag.value for flag in _OF_ONE_STAGE if flag.value is not None}
    stage = _STAGE.value
    if given and stage == "all":
        first = next(iter(given))
        raise program.FlagError(
            f"--{first} needs one --stage; or use --set=<stage>.<field>=<value>", field=first
        )
    if "pairing" in given and stage != "reconstruction":
        raise program.FlagError(
            f"--pairing does not apply to stage {stage}, only to reconstruction", field="pairing"
        )
    for name in ("objective", "adversary_learning_rate"):
        if name in given and stage == "pose":
            raise program.FlagError(
                f"--{name} does not apply to stage pose: it has no adversary", field=name
            )
    overrides |= {f"{stage}.{name}": value for name, value in given.items()}
    for flag in (_SEED, _MATCH_RELEASE):
        if flag.value is not None:
            overrides[flag.name] = flag.value
    return overrides


def _literal(text):
    """A Python number, bool or None as such, true and false too; anything else as a string."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False}.get(text, text)


def _base_config():
    """The run's own configuration if it has been started, else the preset's."""
    from dpig_tf2.run_folder import RunFolder

    if (pathlib.Path(_RUN_DIR.value) / "config.json").exists():
        existing = RunFolder.open(_RUN_DIR.value).config
        if _PRESET.value and _PRESET.value != existing.preset:
            raise program.FlagError(
                f"--preset={_PRESET.value}: {_RUN_DIR.value} holds a run of preset "
                f"{existing.preset}",
                field="preset",
            )
        return existing
    if not _PRESET.value and _INIT_FROM.value:
        return flag_groups.open_run(_INIT_FROM.value).config
    if not _PRESET.value:
        raise program.FlagError(
            f"--preset or --init_from must be given: {_RUN_DIR.value} holds no run yet",
            field="preset",
        )
    return configuration.preset(_PRESET.value)


def _changes(config):
    """FIELD=VALUE of what is not as the preset has it."""
    preset = configuration.PRESETS.get(config.preset, config)  # one of another version
    for name, value in vars(config).items():
        usual = getattr(preset, name)
        if dataclasses.is_dataclass(value):
            for field, own in vars(value).items():
                if own != getattr(usual, field):
                    yield f"{name}.{field}={own}"
        elif value != usual:
            yield f"{name}={value}"


def _data(config):
    from dpig_tf2.pipeline.training_data import Poses, RecordPairs
    from dpig_tf2.records.record_set import RecordSet

    if _FRESH_PERSONS.value:
        from dpig_tf2.pipeline.fresh_persons import FreshPersons

        return FreshPersons(config.seed)
    if _KEYPOINTS.value:
        from dpig_tf2.pipeline.arrays import hold_out
        from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

        path = pathlib.Path(_KEYPOINTS.value)
        if path.is_dir():
            path = _poses_of_photos(path, config.model)
        _, keypoints = read_keypoint_csv(path, (config.model.height, config.model.width))
        return Poses(hold_out(keypoints, _HOLD_OUT.value)[0])
    records = RecordSet.open(_RECORDS.data_dir.value, _RECORDS.split.value)
    return RecordPairs(records, _CACHE.value, _RECORDS.skip_bad_records.value)


def _poses_of_photos(folder, model):
    """A keypoint CSV of the poses found in photos; one of an earlier run is used again."""
    from dpig_tf2.detection.keypoint_csv import keypoint_csv
    from dpig_tf2.io.atomic import write_text
    from dpig_tf2.preparation.photos import list_images
    from dpig_tf2.progress import reporter
    from dpig_tf2.sampling.persons import Persons, concatenate
    from dpig_tf2.sampling.photo_reader import FileReader

    path = pathlib.Path(_RUN_DIR.value, "keypoints.csv")
    skipped: list[str] = []
    names = list_images(folder, skipped)
    if path.exists():
        known = _require_of_photos(path, names)
        others = "; remove it to look at the others, too" if known < len(names) else ""
        of_photos = f"{known} of {counted(len(names), 'photo')}"
        program.say(f"poses of {of_photos}, found before: {path}{others}")
        return path
    poses = person_flags.detected_poses(_POSE_MODEL.value)
    reader = FileReader(folder, names, poses, "letterbox", model, 8, skipped=skipped)
    report, batches = reporter(), []
    for batch in reader.persons():
        batches.append(Persons(batch.names, batch.keypoints))
        report("detecting", reader.done, reader.total)
    for line in reader.skipped:
        program.say(f"left out: {line}")
    persons = concatenate(batches)
    write_text(path, keypoint_csv(dict(zip(persons.names, persons.keypoints, strict=True))))
    program.say(f"poses found in {len(persons)} of {counted(reader.total, 'photo')}: {path}")
    return path


def _require_of_photos(path, photos):
    """How many poses a keypoint CSV holds; raises if they are of others than these photos."""
    from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
    from dpig_tf2.sampling.persons import Namer

    namer = Namer()
    known = {namer.name(photo) for photo in photos}
    names, _ = read_keypoint_csv(path)
    for name in names:
        if name not in known:
            raise program.FlagError(
                f"--keypoints={_KEYPOINTS.value}: {path} holds poses of other photos, "
                f"{shown(name)} among them: remove it, or choose another --run_dir",
                field="keypoints",
            )
    return len(names)


if __name__ == "__main__":
    program.run(__name__)
