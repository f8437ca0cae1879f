"""Measures speed and memory; prints tables and writes JSON.

Examples:
    dpig benchmark --what=all --quick --out=benchmark.json
    dpig benchmark --what=reconstruction --what=memory --hidden=128 --batch_size=16

Every way to do a piece of work is measured in turns with the others, in one run: "reference" is the
method as the paper writes it, on the same weights (separate forwards, full convolutions,
shifted-copy pose maps, an encoder that runs for every critic update), "fast" what
--implementation=fast takes everywhere; training and sampling leave to the library what it computes
faster on the machine.
`ratio` is how many times faster a way is than the first of its kind, the median over the turns;
GFLOP/s count the products in a way's own graph, `of limit` sets them beside the faster of the
machine's best matrix product and convolution, which are measured first.
"""

import contextlib
import itertools
import shlex
import sys
import tempfile

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli import flag_groups, person_flags, program
from dpig_tf2.cli.program import FlagError

# What is measured, and the base width and batch size that it is measured at unless flags say.
_SIZES = {
    "reconstruction": (32, 8),
    "stage2": (128, 32),
    "sampling": (128, 8),
    "pose_maps": (32, 16),
    "crops": (32, 8),
    "input": (32, 8),
    "curves": (16, 8),
    "memory": (32, 8),
    "serving": (128, 8),
}
_SYNTHETIC_PERSONS = 12
_QUICK_TURNS = 3

FLAGS = flags.FlagValues()
_WHAT = flags.DEFINE_multi_enum(
    "what",
    None,
    ["machine", *_SIZES, "all"],
    "What is measured. machine: only the limits, which are always measured. reconstruction, "
    "stage2: a training step. sampling: pictures from noise. pose_maps, crops: these operations. "
    "input: what the input pipeline supplies. curves: a training step at other sizes. memory: peak "
    "of training in fresh processes. serving: re-posing by TensorFlow and by every export, each in "
    "a fresh process.",
    required=True,
    flag_values=FLAGS,
)
_PRESET = flags.DEFINE_enum(
    "preset",
    "market1501",
    list(configuration.PRESETS),
    "Configuration whose image size and networks are measured.",
    flag_values=FLAGS,
)


def _define_size(name, what, position):
    defaults = ", ".join(f"{case} {sizes[position]}" for case, sizes in _SIZES.items())
    return flags.DEFINE_integer(
        name, None, f"{what}. By default {defaults}.", lower_bound=1, flag_values=FLAGS
    )


_HIDDEN = _define_size("hidden", "Base width of the networks", 0)
_BATCH_SIZE = _define_size("batch_size", "Examples per batch", 1)
_PRECISION = flags.DEFINE_multi_enum(
    "precision",
    ["float32", "mixed_bfloat16"],
    list(configuration.PRECISIONS),
    "What the fast networks compute in; the reference computes in float32.",
    flag_values=FLAGS,
)
_RUNS = flags.DEFINE_integer(
    "runs", 5, "Turns of each measurement.", lower_bound=1, flag_values=FLAGS
)
_QUICK = flags.DEFINE_bool(
    "quick",
    False,
    "Minutes on two cores for one kind of measurement, twenty or more for all: three turns, in "
    "stage2 one turn with one critic update per mapping update, which makes its ratio smaller; "
    "curves and memory in the first precision only, and curves with fewer sizes.",
    flag_values=FLAGS,
)
_RUN_FOLDER = flag_groups.RunFolderFlags(FLAGS, required=False)  # for serving
# For input; synthetic persons are drawn without them.
_RECORDS = person_flags.RecordFlags(FLAGS, split="train", skippable=False)
_OUT = flag_groups.define_out(FLAGS, "JSON file to write, anew after each kind of measurement.")
_MARKDOWN = flags.DEFINE_string(
    "markdown",
    None,
    "Markdown file whose figures, between two marks, are replaced.",
    flag_values=FLAGS,
)
_PICTURE = flags.DEFINE_string(
    "picture",
    None,
    "PNG file for a picture of the curves: what a step takes against batch, width and image size.",
    flag_values=FLAGS,
)


def main() -> None:
    _RECORDS.check()
    chosen = set(_SIZES) if "all" in _WHAT.value else set(_WHAT.value) & set(_SIZES)
    for holder, what in (
        (_RUN_FOLDER.path, "serving"),
        (_PICTURE, "curves"),
        (_RECORDS.data_dir, "input"),
    ):
        if holder.present and what not in chosen:
            raise FlagError(f"--{holder.name} is for --what={what}", field=holder.name)
    flag_groups.needs(_RUN_FOLDER.checkpoint, _RUN_FOLDER.path)
    if _RUN_FOLDER.path.present and chosen == {"serving"}:
        for holder in (_PRESET, _HIDDEN):  # the run has its own
            flag_groups.exclusive(_RUN_FOLDER.path, holder)
    if "stage2" in chosen and not _has_critics():
        what_for = f"critics, which preset {_PRESET.value} trains without"
        if "stage2" in _WHAT.value:
            raise FlagError(f"--what=stage2 measures updates of {what_for}", field="what")
        program.print_notes([f"stage2 is left out: it measures updates of {what_for}"])
        chosen.remove("stage2")
    if _RUN_FOLDER.path.value:
        _RUN_FOLDER.config()  # a wrong folder is refused before TensorFlow is loaded
    _RECORDS.require()
    from dpig_tf2.benchmarks import cases, machine, report
    from dpig_tf2.benchmarks.curves import picture
    from dpig_tf2.io.atomic import require_writable
    from dpig_tf2.io.images import save_png
    from dpig_tf2.records.record_set import RecordSet

    configs = {what: _config(what) for what in _SIZES if what in chosen}
    # What is wrong with the flags is told now, not after minutes of measuring.
    data_dir = _RECORDS.data_dir.value
    records = RecordSet.open(data_dir, _RECORDS.split.value) if data_dir else None
    if _MARKDOWN.value:
        report.check_marks(_MARKDOWN.value)
    for holder in (_OUT, _MARKDOWN, _PICTURE):
        if holder.value:
            require_writable(holder.value)
    factors = (0.5, 2.0) if _QUICK.value else (0.5, 2.0, 4.0)
    sizes = cases.curve_sizes(configs["curves"], factors) if "curves" in chosen else []
    trained = _trained() if _RUN_FOLDER.path.value else None

    results, curves, peaks, served = [], [], [], []
    before = _limits()
    command = shlex.join(["dpig", "benchmark", *_typed_flags()])

    def measured(limits):
        found = [*results, *curves]
        return report.Report(command, machine.describe(), limits, found, peaks, served)

    for what, config in configs.items():
        print(f"measuring {what}", file=sys.stderr, flush=True)
        if what == "memory":
            peaks = _peaks(config)
        elif what == "serving":
            served = _served(*(trained or (config, None)))
        elif what == "curves":
            curves = cases.curves(_settings(what, config), sizes)
        else:
            results += _results(what, config, records)
        if _OUT.value:  # what follows may take long, or all memory
            report.write_json(_OUT.value, measured(before))
    # Before and after, because others may have used the machine at one of the times.
    whole = measured({p: machine.faster(before[p], after) for p, after in _limits().items()})
    print(whole.text())
    program.print_notes(list(_choices()), most=None)
    if _OUT.value:
        report.write_json(_OUT.value, whole)
    if _MARKDOWN.value:
        report.insert(_MARKDOWN.value, whole.markdown())
    if _PICTURE.value:
        save_png(_PICTURE.value, picture(curves))


def _choices():
    """A line for each class of convolutions: what auto chooses, and what each would give."""
    import tensorflow as tf

    from dpig_tf2.ops import convolution_speed

    if tf.config.list_logical_devices("GPU"):
        return
    for precision in _PRECISION.value:
        seconds = convolution_speed.seconds(precision, program.say)
        left = convolution_speed.library_classes(seconds)
        for (channels, tiles, prepared), (library, winograd) in sorted(seconds.items()):
            chosen = "the library" if (channels, tiles, prepared) in left else "Winograd"
            frozen = ", frozen" if prepared else ""
            yield (
                f"--implementation=auto, {precision}, {channels} channels, {tiles} tiles{frozen}: "
                f"{chosen} (library {1000 * library:.1f} ms, Winograd {1000 * winograd:.1f})"
            )


def _typed_flags():
    """The flags of the command line."""
    given = [FLAGS[name] for name in FLAGS if FLAGS[name].present]
    return [text for flag in given for text in flag.serialize().splitlines()]


def _config(what):
    hidden, size = _SIZES[what]
    size = _BATCH_SIZE.value or size
    overrides = {
        "model.hidden": _HIDDEN.value or hidden,
        "reconstruction.batch_size": size,
        "appearance_mapping.batch_size": size,
    }
    if _QUICK.value and _has_critics():
        overrides["appearance_mapping.critic_updates"] = 1
    return configuration.preset(_PRESET.value).override(**overrides)


def _has_critics():
    return configuration.preset(_PRESET.value).has_adversary("appearance_mapping")


def _settings(what, config):
    from dpig_tf2.benchmarks import cases

    return cases.Settings(config, _precisions(what), _turns(what))


def _results(what, config, records):
    from dpig_tf2.benchmarks import cases

    settings = _settings(what, config)
    if what == "input":
        if records:
            return cases.supply(settings, records)
        with _synthetic_records(config.model) as drawn:
            return cases.supply(settings, drawn)
    measure = {
        "reconstruction": cases.reconstruction,
        "stage2": cases.stage2,
        "sampling": cases.sampling,
        "pose_maps": cases.pose_maps,
        "crops": cases.crops,
    }[what]
    return measure(settings)


def _limits():
    from dpig_tf2.benchmarks import machine

    return {precision: machine.limits(precision, _QUICK_TURNS) for precision in _PRECISION.value}


def _turns(what):
    if not _QUICK.value:
        return _RUNS.value
    return min(_RUNS.value, 1 if what == "stage2" else _QUICK_TURNS)


def _precisions(what):
    first_only = _QUICK.value and what in ("curves", "memory")
    return tuple(_PRECISION.value[:1] if first_only else _PRECISION.value)


@contextlib.contextmanager
def _synthetic_records(model):
    """Records of a few synthetic persons of the model's image size, for as long as needed."""
    from dpig_tf2.preparation import synthetic_records
    from dpig_tf2.records.record_set import RecordSet

    with tempfile.TemporaryDirectory() as folder:
        size = {"height": model.height, "width": model.width}
        synthetic_records.write(folder, "train", _SYNTHETIC_PERSONS, 4, **size)
        yield RecordSet.open(folder, "train")


def _peaks(config):
    from dpig_tf2.benchmarks import memory

    ways = itertools.product(_precisions("memory"), (False, True))
    return [memory.peak(config, precision, again) for precision, again in ways]


def _trained():
    """Configuration and networks of --run_dir, for serving."""
    from dpig_tf2.benchmarks.serving import NETWORKS
    from dpig_tf2.models.loading import load_networks

    path, checkpoint = _RUN_FOLDER.path.value, _RUN_FOLDER.checkpoint.value
    config, networks = load_networks(path, checkpoint=checkpoint, names=NETWORKS)
    if absent := [name for name in NETWORKS if name not in networks]:
        raise FlagError(
            f"--run_dir={path} has no trained {' and '.join(absent)}: the stage that trains "
            "them has not run",
            field="run_dir",
        )
    return config, networks


def _served(config, networks):
    from dpig_tf2.benchmarks import serving

    size = _BATCH_SIZE.value or _SIZES["serving"][1]
    served, absent = serving.serving(
        config, _precisions("serving"), _turns("serving"), size, networks
    )
    program.print_notes(absent)
    return served


if __name__ == "__main__":
    program.run(__name__)
