"""Checkpoints of the released code to a run folder: read, map, check, then write."""

import collections
import dataclasses
import hashlib
import math
import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from dpig_tf2.config import Config, preset
from dpig_tf2.io import array_files, locks
from dpig_tf2.io.atomic import write_json
from dpig_tf2.io.json_files import read_json
from dpig_tf2.legacy_tf1 import variable_map
from dpig_tf2.legacy_tf1.checkpoint import Checkpoint, CheckpointError, read
from dpig_tf2.models import factory, weights
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import trainers
from dpig_tf2.training.trainer import StageTrainer

REPORT_NAME = "import_tf1.json"
_BETA_1, _BETA_2 = 0.5, np.float64(np.float32(0.999))  # as the release's float32 graph had them
_RATE_FIELDS = {"generator": "learning_rate", "discriminator": "adversary_learning_rate"}
_NAMES_SHOWN = 5


@dataclasses.dataclass
class StageImport:
    """State of one stage's trainer, filled from a checkpoint.

    Attributes:
        stage: its name.
        step: steps that the stage has done.
        arrays: {path: value} for every variable in `trainer.state_variables()`.
        rates: {field of `StageConfig`: initial learning rate, which the halvings up to `step` turn
            into that of the checkpoint}.
        report: what was imported, left out and guessed; JSON values.
    """

    stage: str
    step: int
    arrays: dict[str, np.ndarray]
    rates: dict[str, float]
    report: dict


def import_checkpoints(
    preset_name: str,
    paths: Mapping[str, str | os.PathLike],
    run_dir: str | os.PathLike,
    strict: bool = True,
) -> dict:
    """Imports up to four checkpoints into a run folder; writes nothing unless all are good.

    Args:
        preset_name: "market1501" or "deepfashion".
        paths: {stage: checkpoint prefix or folder}.
        run_dir: folder of the run, new or without checkpoints of these stages.
        strict: fail on a missing, surplus or misshapen variable; otherwise skip and report it.

    Returns:
        The report, which also joins that of earlier imports in `import_tf1.json` of the run folder.

    Raises:
        CheckpointError: if a checkpoint is unreadable, of another stage or does not fit.
        ConfigError: if the run folder holds other networks.
        JsonError: if the report of an earlier import is damaged.
        locks.LockedError: if another process is writing to it.
    """
    run_dir = pathlib.Path(run_dir)
    base = _base_config(preset_name, run_dir, paths)
    checkpoints = {stage: read(path) for stage, path in paths.items()}
    for stage, checkpoint in checkpoints.items():
        check_stage(checkpoint, stage, preset_name)
    config = infer_sizes(base, checkpoints)
    imports = {
        stage: import_stage(checkpoint, trainers.build_trainer(stage, config), strict)
        for stage, checkpoint in checkpoints.items()
    }
    rates = {f"{s}.{name}": rate for s, i in imports.items() for name, rate in i.rates.items()}
    config = config.override(**rates)
    with locks.writing(run_dir):
        path = run_dir / REPORT_NAME
        before = read_json(path) if path.exists() else {"stages": {}, "notes": []}
        run = RunFolder.create(run_dir, config)
        report = {
            "preset": preset_name,
            "stages": {stage: result.report for stage, result in imports.items()},
            "notes": frozen_differences(checkpoints, config, run),
        }
        for stage, result in imports.items():
            run.save_checkpoint(stage, result.step, result.arrays)
        joined = {
            "stages": before["stages"] | report["stages"],
            "notes": before["notes"] + report["notes"],
        }
        write_json(path, report | joined)
    return report


def verify(run_dir: str | os.PathLike, report: Mapping) -> None:
    """Reads the written checkpoints back and compares every network with the report.

    Raises:
        CheckpointError: naming the first network whose variables are not those imported.
    """
    run = RunFolder.open(run_dir)
    for stage, entry in report["stages"].items():
        path, arrays = run.load_checkpoint(stage)
        for network, expected in entry["networks"].items():
            if summarize(network, arrays) != expected:
                raise CheckpointError(
                    f"{path}: {network} is not what was imported", file=path, field=network
                )


def check_stage(checkpoint: Checkpoint, stage: str, preset_name: str) -> None:
    """Raises CheckpointError, naming what it looks like, for another stage or dataset."""
    found_stage, found_preset = variable_map.looks_like(checkpoint.tensors)
    if found_stage is None:
        raise CheckpointError(
            f"{checkpoint.prefix} holds no network of the released code, expected a checkpoint "
            f"of stage {stage}",
            file=checkpoint.prefix,
        )
    if found_stage != stage:
        raise CheckpointError(
            f"{checkpoint.prefix} looks like a checkpoint of stage {found_stage}, "
            f"expected one of stage {stage}",
            file=checkpoint.prefix,
        )
    if found_preset not in (None, preset_name):
        raise CheckpointError(
            f"{checkpoint.prefix} looks like a checkpoint of preset {found_preset}, "
            f"expected one of preset {preset_name}",
            file=checkpoint.prefix,
        )


def infer_sizes(config: Config, checkpoints: Mapping[str, Checkpoint]) -> Config:
    """The configuration with the widths and code lengths of the checkpoints.

    Each size is read from several variables of a checkpoint and the majority counts, so that one
    misshapen variable is later reported under its own name.

    Raises:
        CheckpointError: if two checkpoints disagree.
    """
    found: dict[str, tuple[int, str]] = {}
    for stage, checkpoint in checkpoints.items():
        for field, size in _sizes(stage, config, checkpoint).items():
            before, other = found.setdefault(field, (size, checkpoint.prefix))
            if before != size:
                raise CheckpointError(
                    f"{checkpoint.prefix} has {field} {size}, but {other} has {before}: they do "
                    "not belong together",
                    file=checkpoint.prefix,
                    field=field,
                )
    return config.override(**{f"model.{field}": size for field, (size, _) in found.items()})


def import_stage(checkpoint: Checkpoint, trainer: StageTrainer, strict: bool = True) -> StageImport:
    """The stage's complete training state: networks, optimizer slots, rates and step.

    Args:
        checkpoint: of the stage.
        trainer: of the stage, in its initial state, which it keeps: slots that the checkpoint
            lacks are taken from it and listed in the report.
        strict: fail on variables that do not fit instead of listing them.

    Raises:
        CheckpointError: naming the variables that are missing, surplus or misshapen (strict), or
            not finite.
    """
    stage, sizes = trainer.stage, trainer.config.model
    arrays = weights.collect(trainer.state_variables())
    table = variable_map.stage_table(stage, sizes)
    slots = slot_table(trainer, table)

    unfit = _copy(checkpoint, table, arrays)
    unfit["misshapen"] |= _copy(checkpoint, slots, arrays)["misshapen"]
    ignored = variable_map.ignore_list(checkpoint.tensors, stage, sizes)
    known = {*table, *slots, *ignored, *variable_map.LEARNING_RATES.values()}
    unfit["surplus"] = {n: "no such network variable" for n in checkpoint.tensors if n not in known}
    if strict:
        _fail_on(unfit, checkpoint.prefix)

    iterations, step, step_source = _progress(trainer, checkpoint, slots)
    arrays |= iterations
    current, rates, fresh_rates = _learning_rates(trainer, checkpoint.tensors, step)
    arrays |= current
    arrays["step"] = np.asarray(step, arrays["step"].dtype)
    report = {
        "checkpoint": checkpoint.prefix,
        "step": step,
        "step_read_from": step_source,
        "networks": {
            network: summarize(network, arrays) for network in factory.stage_networks(stage, sizes)
        },
        "optimizer_slots_imported": sum(name in checkpoint.tensors for name in slots),
        "fresh": [slots[name] for name in slots if name not in checkpoint.tensors] + fresh_rates,
        "ignored": _by_reason(ignored),
        "skipped": {kind: names for kind, names in unfit.items() if names},
    }
    return StageImport(stage, step, arrays, rates, report)


def slot_table(trainer: StageTrainer, table: Mapping[str, str]) -> dict[str, str]:
    """{source name: path of our slot} for the optimizers of a trainer."""
    wasserstein = trainer.settings.objective == "wgan"
    kinds = variable_map.RMSPROP_SLOTS if wasserstein else variable_map.ADAM_SLOTS
    source_of = {target: source for source, target in table.items()}
    slots = {}
    for optimized in trainer.optimized.values():
        for variable in optimized.variables:
            for suffix, slot in kinds.items():
                path = f"{optimized.optimizer.name}/{variable.path.replace('/', '_')}_{slot}"
                slots[f"{source_of[variable.path]}/{suffix}"] = path
    return slots


def summarize(network: str, arrays: Mapping[str, np.ndarray]) -> dict:
    """Number of variables and parameters of one network, and a SHA-256 over paths and values."""
    paths = sorted(path for path in arrays if path.startswith(f"{network}/"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(arrays[path]).tobytes())
    return {
        "variables": len(paths),
        "parameters": int(sum(arrays[path].size for path in paths)),
        "checksum": digest.hexdigest(),
    }


def frozen_differences(
    checkpoints: Mapping[str, Checkpoint], config: Config, run: RunFolder | None = None
) -> list[str]:
    """Notes on stage II checkpoints that were trained on other stage-I networks than those given.

    Such a mapping network imitates the codes of an encoder that is not in this run.

    Args:
        checkpoints: of stages, stage I or II.
        config: gives the networks' sizes.
        run: has the stage-I networks that are not among `checkpoints`, if it has that stage.
    """
    notes = []
    for stage, checkpoint in checkpoints.items():
        for network, table in variable_map.frozen_tables(stage, config.model).items():
            table = {name: path for name, path in table.items() if name in checkpoint.tensors}
            owner = "pose" if network.startswith("pose") else "reconstruction"
            owned = {}
            if owner in checkpoints:
                owned = checkpoints[owner].tensors
            elif table and run and run.latest_step(owner) is not None:
                arrays = array_files.load(run.checkpoint_file(owner), table.values())
                owned = {name: arrays[path] for name, path in table.items()}
            if any(
                not np.array_equal(checkpoint.tensors[name], owned[name])
                for name in table.keys() & owned.keys()
            ):
                notes.append(f"{checkpoint.prefix} was trained with another {network}")
    return notes


def _base_config(preset_name, run_dir, paths):
    """Configuration to start from: the run's own if there is one, else the preset."""
    if not (run_dir / "config.json").exists():
        return preset(preset_name)
    run = RunFolder.open(run_dir)
    for stage in paths:
        if run.latest_step(stage) is not None:
            raise CheckpointError(
                f"{run_dir} already holds a checkpoint of stage {stage}, expected a folder "
                "without one",
                file=run_dir,
            )
    return run.config if run.config.preset == preset_name else preset(preset_name)


def _sizes(stage, config, checkpoint):
    votes = collections.defaultdict(collections.Counter)
    for source in variable_map.size_sources(stage, config.model):
        tensor = checkpoint.tensors.get(source.variable)
        if tensor is None or tensor.ndim <= source.axis:
            continue
        size, remainder = divmod(tensor.shape[source.axis], source.divisor)
        if size and not remainder:
            votes[source.field][size] += 1
    return {field: counter.most_common(1)[0][0] for field, counter in votes.items()}


def _copy(checkpoint, table, arrays):
    """Sets `arrays` from the checkpoint; returns what did not fit, {kind: {name: why}}."""
    unfit = {"missing": {}, "misshapen": {}, "surplus": {}}
    for source, target in table.items():
        value = checkpoint.tensors.get(source)
        if value is None:
            unfit["missing"][source] = "not in the checkpoint"
            continue
        expected = arrays[target]
        if value.shape != expected.shape or value.dtype != expected.dtype:
            unfit["misshapen"][source] = (
                f"{value.dtype} {list(value.shape)}, expected {expected.dtype} "
                f"{list(expected.shape)}"
            )
            continue
        if not np.isfinite(value).all():
            raise CheckpointError(
                f"{checkpoint.prefix}: variable {source} has values not finite",
                file=checkpoint.prefix,
                field=source,
            )
        arrays[target] = value
    return unfit


def _fail_on(unfit, prefix):
    for kind, names in unfit.items():
        if names:
            shown = [f"{name} ({why})" for name, why in list(names.items())[:_NAMES_SHOWN]]
            more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
            raise CheckpointError(
                f"{prefix}: {kind} variables: {'; '.join(shown)}{more}",
                file=prefix,
                field=next(iter(names)),
            )


def _side(optimized):
    return variable_map.side(optimized.variables[0].path)


def _learning_rates(trainer, tensors, step):
    """Rates after the steps, {path: value}; `StageImport.rates`; paths that stay as configured."""
    current, initial, fresh = {}, {}, []
    halvings = step // trainer.settings.halve_every
    for optimized in trainer.optimized.values():
        path, side = optimized.optimizer.learning_rate.path, _side(optimized)
        rate = tensors.get(variable_map.LEARNING_RATES[side])
        if rate is None:
            fresh.append(path)
            continue
        current[path] = np.asarray(rate, np.float32).reshape(())
        # By way of its digits: 2e-05 rather than the float32 nearest to it.
        initial[_RATE_FIELDS[side]] = float(str(np.ldexp(current[path], halvings)))
    return current, initial, fresh


def _progress(trainer, checkpoint, slots):
    """Updates done by each optimizer {path: count}, steps done, and where that was read."""
    iterations, sources = {}, {}
    for optimized in trainer.optimized.values():
        optimizer, settings = optimized.optimizer, trainer.settings
        updates, source = _updates_done(_side(optimized), checkpoint, settings.objective)
        sources[updates] = source
        if settings.objective == "wgan" and _side(optimized) == "discriminator":
            updates *= settings.critic_updates
        own = [name for name, path in slots.items() if path.startswith(f"{optimizer.name}/")]
        # New moments with an old count would miss their bias correction: steps far too long.
        counted = all(name in checkpoint.tensors for name in own)
        count = np.asarray(updates if counted else 0, optimizer.iterations.dtype)
        iterations[optimizer.iterations.path] = count
    # The release skips the generator's update at step 0, so the other side tells the steps.
    step = max(sources)
    return iterations, step, sources[step]


def _updates_done(side, checkpoint, objective):
    """Updates of one optimizer and where they were read.

    Adam's powers are exact while they are normal float32 numbers: the first for 125 updates, the
    second for 87,000. RMSProp stores no count, so the file's name has to do.
    """
    powers = variable_map.BETA_POWERS[side]
    smallest = np.finfo(np.float32).tiny
    for name, beta in zip(powers, (_BETA_1, _BETA_2), strict=True):
        power = float(checkpoint.tensors.get(name, 0.0))
        if smallest <= power < 1.0:
            return round(math.log(power) / math.log(beta)) - 1, name
    least = 0
    if objective != "wgan" and powers[1] in checkpoint.tensors:
        least = math.ceil(math.log(smallest) / math.log(_BETA_2)) - 1
    if checkpoint.name_step is None or checkpoint.name_step < least:
        return least, "nothing: the checkpoint does not tell"
    return checkpoint.name_step, "the file's name"


def _by_reason(ignored: Mapping[str, str]) -> dict[str, Iterable[str]]:
    reasons = collections.defaultdict(list)
    for name, reason in ignored.items():
        reasons[reason].append(name)
    return dict(reasons)
