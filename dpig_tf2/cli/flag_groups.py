"""Flags that several verbs share, each declared once.

A group defines its flags on the FLAGS of a verb and knows what their values mean together. Checks
raise `FlagError` naming the flag, and none of them loads TensorFlow.
"""

import os
import pathlib
from collections.abc import Iterator

from absl import flags

import dpig_tf2
from dpig_tf2 import config as configuration
from dpig_tf2.cli.program import FlagError, say
from dpig_tf2.execution import IMPLEMENTATIONS, Execution

LARGEST_SEED = 2**31 - 1  # a seed is an int32 in the SavedModel too
_INPUT_FLAGS = {"codes", "keypoints", "target_image", "target_keypoints"}
_PATH_FLAGS = _INPUT_FLAGS | {"data_dir", "image", "images"}


# ---- what flags have to do with each other


def exclusive(*holders: flags.FlagHolder) -> None:
    """Raises FlagError if more than one of the flags was given."""
    given = [f"--{holder.name}" for holder in holders if holder.present]
    if len(given) > 1:
        raise FlagError(f"{' and '.join(given)} exclude each other", field=given[0][2:])


def needs(holder: flags.FlagHolder, other: flags.FlagHolder) -> None:
    """Raises FlagError if a flag was given without the one that gives it a meaning."""
    if holder.present and not other.present:
        raise FlagError(f"--{holder.name} needs --{other.name}", field=holder.name)


def settings(*holders: flags.FlagHolder) -> dict[str, object]:
    """{flag name: value} for the list of what made the files of a folder; paths are absolute."""
    values = {holder.name: holder.value for holder in holders}
    for name in _PATH_FLAGS & values.keys():
        if values[name]:
            values[name] = os.path.realpath(values[name])  # of a circle of links, too
    return values


def asked(flag_values: flags.FlagValues) -> dict[str, object]:
    """What a verb was asked for, by which version: {"version", "flags": {name: value} given}."""
    given = {name: flag_values[name].value for name in flag_values if flag_values[name].present}
    return {"version": dpig_tf2.__version__, "flags": given}


def inputs(out_dir: str | os.PathLike, *holders: flags.FlagHolder) -> Iterator[pathlib.Path]:
    """The files whose content decides what is made: those named, and those in folders named.

    Photos, and what records are known by, are not among them: a reader knows which it reads.
    Neither is what was made, where `out_dir` lies in a folder named.
    """
    made = pathlib.Path(out_dir).resolve()
    for holder in holders:
        if holder.name in _INPUT_FLAGS and holder.value:
            path = pathlib.Path(os.path.realpath(holder.value))
            is_around = made.is_relative_to(path)
            for file in (path, *sorted(path.rglob("*"))):
                if file.is_file() and not (is_around and file.is_relative_to(made)):
                    yield file


# ---- trained networks


def fetch(path: str) -> None:
    """Fetches the released weights that `preset:NAME` stands for, if they are not at hand."""
    from dpig_tf2.presets import registry

    name = registry.name_of(path)
    if name is not None:
        registry.require(name, lambda: say(f"fetching {name}, once"))


def open_run(path: str):
    """The `RunFolder` of a path or `preset:NAME`, see `fetch`."""
    from dpig_tf2.run_folder import RunFolder

    fetch(path)
    try:
        return RunFolder.open(path)
    except configuration.ConfigError as error:
        from dpig_tf2.presets import registry

        if path not in registry.names() or pathlib.Path(path).exists():
            raise
        raise FlagError(f"{error}; did you mean {registry.PREFIX}{path}?", file=path) from None


class RunFolderFlags:
    """Which trained networks: --run_dir, --checkpoint."""

    def __init__(self, flag_values: flags.FlagValues, required: bool = True):
        self.path = flags.DEFINE_string(
            "run_dir",
            None,
            "Run folder, a folder written by PersonSampler.save, or preset:NAME for weights that "
            "`dpig presets` lists; those of the release are fetched when first used. What is made "
            "of a preset goes to runs/preset-NAME unless told otherwise.",
            required=required,
            flag_values=flag_values,
        )
        self.checkpoint = flags.DEFINE_enum(
            "checkpoint",
            "latest",
            configuration.CHECKPOINTS,
            "Checkpoint of every stage of a run folder. The best one is kept for stage I only; "
            "mapping networks imitate the latest encoders, so sample factors with the latest.",
            flag_values=flag_values,
        )

    def config(self) -> configuration.Config:
        """The configuration of the run; refuses a wrong folder before TensorFlow is loaded."""
        return self.open().config

    def open(self):
        """The `RunFolder`, see `open_run`."""
        return open_run(self.path.value)


class ExecutionFlags:
    """How the networks compute: --precision, --implementation.

    Args:
        flag_values: the flags of the verb.
        precision: False where 16 bits are too coarse; float32 then.
    """

    def __init__(self, flag_values: flags.FlagValues, precision: bool = True):
        self.precision = define_precision(flag_values) if precision else None
        self._implementation = flags.DEFINE_enum(
            "implementation",
            "auto",
            ("auto", *IMPLEMENTATIONS),
            "How layers are computed. The reference is every layer as the paper has it; fast gives "
            "the same numbers up to rounding in less time, for more memory on a CPU. auto is fast, "
            "but leaves to the library what it computes faster on this machine; on a CPU that is "
            "measured once, in a second.",
            flag_values=flag_values,
        )

    def execution(self, rematerialize: bool = False, jit_compile: bool = False) -> Execution:
        """What the flags say; of auto what is known before TensorFlow is loaded, "fast"."""
        precision = "float32" if self.precision is None else self.precision.value
        implementation = self._implementation.value
        implementation = "fast" if implementation == "auto" else implementation
        return Execution(precision, implementation, rematerialize, jit_compile)

    def measured(self, execution: Execution) -> Execution:
        """`execution` with what a measurement of this machine chooses, if the flags say auto."""
        if self._implementation.value != "auto":
            return execution
        from dpig_tf2.ops.convolution_speed import measured_execution

        return measured_execution(execution, say)


def require_speed(execution: Execution, way_out: str) -> None:
    """Refuses to train in a precision that costs time here instead of saving it.

    Args:
        execution: how the networks compute.
        way_out: what the error says to do.
    """
    from dpig_tf2.training.precision import MOST_SLOWDOWN, slowdown

    factor = slowdown(execution)
    if factor > MOST_SLOWDOWN:
        raise FlagError(
            f"--precision={execution.precision} takes {factor:.0f} times as long as float32 on "
            f"this machine, measured on a convolution; {way_out}",
            field="precision",
        )


def define_precision(flag_values: flags.FlagValues) -> flags.FlagHolder:
    return flags.DEFINE_enum(
        "precision",
        "float32",
        configuration.PRECISIONS,
        "What the networks compute in. Weights, losses, inputs and outputs keep their types. "
        "Training with mixed_float16 scales the losses; mixed_bfloat16 needs no scaling and is "
        "the better choice where a machine has both.",
        flag_values=flag_values,
    )


def define_seed(flag_values: flags.FlagValues, what: str) -> flags.FlagHolder:
    return flags.DEFINE_integer(
        "seed",
        0,
        f"Seed of {what}; the same seed gives the same result.",
        lower_bound=0,
        upper_bound=LARGEST_SEED,
        flag_values=flag_values,
    )


def define_out(
    flag_values: flags.FlagValues, what: str, required: bool = False
) -> flags.FlagHolder:
    """--out, a file; a folder is refused before what goes into the file is computed."""
    wrong = pathlib.Path.is_dir, "is a folder, expected a file"
    return _define_output(flag_values, "out", what, required, wrong)


def define_out_dir(
    flag_values: flags.FlagValues, what: str, required: bool = False, name: str = "out_dir"
) -> flags.FlagHolder:
    """--out_dir, a folder; what can be none is refused before anything for it is computed."""
    wrong = lambda path: path.exists() and not path.is_dir(), "is a file, expected a folder"
    lost = lambda path: path.is_symlink() and not path.exists(), "is a link that leads nowhere"
    return _define_output(flag_values, name, what, required, wrong, lost)


def _define_output(flag_values, name, what, required, *rules):
    flag = flags.DEFINE_string(name, None, what, required=required, flag_values=flag_values)
    for is_wrong, message in rules:
        flags.register_validator(
            name,
            lambda path, is_wrong=is_wrong: not (path and is_wrong(pathlib.Path(path))),
            message,
            flag_values=flag_values,
        )
    return flag


def factor_subsets(model: configuration.ModelConfig, holder: flags.FlagHolder) -> list[tuple]:
    """The factors of every value of a flag such as --factors=foreground,pose or --factors=all."""
    subsets = []
    for text in holder.value:
        subset = model.factors if text == "all" else tuple(text.split(","))
        for factor in subset:
            model.check_factor(factor)
        if len(set(subset)) < len(subset):
            raise FlagError(f"--{holder.name}={text}: a factor is named twice", field=holder.name)
        subsets.append(subset)
    return subsets


# ---- from person to person


class InterpolationFlags:
    """The way from one person to another: --factors, --between, --steps, --path, --animation.

    Args:
        flag_values: the flags of the verb.
        path: the default of --path, with where it applies.
    """

    def __init__(self, flag_values: flags.FlagValues, path: str):
        self.factors = flags.DEFINE_multi_string(
            "factors",
            [],
            "Factors that change together on the way, e.g. foreground,pose, or all. By default "
            "each factor alone, and all together.",
            flag_values=flag_values,
        )
        self.between = flags.DEFINE_multi_string(
            "between",
            [],
            "NAME,NAME: persons to go between. By default two images of one person, and images "
            "of two persons.",
            flag_values=flag_values,
        )
        self.steps = flags.DEFINE_integer(
            "steps", 9, "Frames from one person to the other, both included.", lower_bound=2,
            upper_bound=10**4, flag_values=flag_values,
        )  # fmt: skip
        self.path = flags.DEFINE_enum(
            "path",
            None,
            ["linear", "spherical"],
            f"Shape of the way through the codes or the noise. By default {path}.",
            flag_values=flag_values,
        )
        self.animation = flags.DEFINE_enum(
            "animation",
            "gif",
            ["gif", "webp", "none"],
            "Format of the animation that shows the frames forth and back.",
            flag_values=flag_values,
        )
        self.decisive = (self.steps, self.path)

    def check(self) -> None:
        for text in self.between.value:
            if len(text.split(",")) != 2:
                raise FlagError(f"--between={text}: expected NAME,NAME", field="between")

    def subsets(self, model: configuration.ModelConfig) -> list[tuple]:
        """The factors of every --factors; without one, each factor alone and all together."""
        alone = [(factor,) for factor in model.factors]
        return factor_subsets(model, self.factors) or [*alone, model.factors]

    def settings(self, model: configuration.ModelConfig, path: str):
        """The `InterpolationSettings`; `path` is taken unless --path says otherwise."""
        from dpig_tf2.sampling.tasks.interpolate import InterpolationSettings

        return InterpolationSettings(
            self.subsets(model), self.steps.value, self.path.value or path, self.animation.value
        )

    def pairs(self, persons) -> list[tuple[int, int]]:
        """Positions of the persons of every --between; a telling choice without it."""
        from dpig_tf2.sampling.tasks.interpolate import default_pairs

        if len(persons) < 2:
            raise FlagError(f"an interpolation needs two persons, got {len(persons)}")
        if not self.between.value:
            return default_pairs(persons)
        named = [text.split(",") for text in self.between.value]
        return [(persons.position(first), persons.position(second)) for first, second in named]
