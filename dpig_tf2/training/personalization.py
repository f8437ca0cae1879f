"""From trained networks to a person's own photos: a few hundred steps on very few pictures."""

import os
import pathlib

import numpy as np

from dpig_tf2.config import STAGES, Config, ConfigError
from dpig_tf2.io import locks
from dpig_tf2.io.atomic import write_json
from dpig_tf2.io.hashes import sha256_of_arrays
from dpig_tf2.io.json_files import JsonError, read_json
from dpig_tf2.models import factory, weights
from dpig_tf2.models.loading import load_networks
from dpig_tf2.pipeline.personal_photos import PersonalPhotos
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.output_folder import holds_files
from dpig_tf2.training.run import RunOptions, train

# Weights that others were trained for long are moved gently; and the average must follow in time.
_LEARNING_RATE, _AVERAGE, _WARMUP = 5e-4, 0.98, 20
PERSONAL = "personal.json"  # in the run folder: what it learns from


def personal_config(source: Config, steps: int, batch_size: int) -> Config:
    """The configuration of a personal run, from that of the run that it begins with.

    Raises:
        ConfigError: if the source's networks are of the published architecture, whose encoder and
            generator cannot be told apart from what they learned with an adversary.
    """
    if source.model.architecture != "placed":
        raise ConfigError(
            f"photos can be personalized with the placed architecture only; this is a "
            f"{source.model.architecture} one of preset {source.preset}",
            field="model.architecture",
        )
    return source.override(
        **{
            "reconstruction.steps": steps,
            "reconstruction.batch_size": batch_size,
            "reconstruction.learning_rate": _LEARNING_RATE,
            "recipe.weight_average": _AVERAGE,
            "recipe.warmup_steps": _WARMUP,
        }
    )


def prepare(
    source: str | os.PathLike,
    out_dir: str | os.PathLike,
    photos: PersonalPhotos,
    steps: int = 600,
    batch_size: int = 8,
) -> RunFolder:
    """Notes in out_dir/personal.json what the run learns from; the arguments of `personalize`.

    Raises:
        ConfigError: as `personal_config`, or if out_dir holds another run, one that learned from
            something else (the message says what differs), or other files.
        locks.LockedError: if another process trains in the folder.
    """
    run = _planned(source, out_dir, steps, batch_size)
    with locks.writing(run.path):
        _note(run, source, photos, batch_size)
    return run


def _planned(source, out_dir, steps, batch_size):
    source_config = RunFolder.open(source).config
    return RunFolder.plan(out_dir, personal_config(source_config, steps, batch_size))


def _note(run, source, photos, batch_size):
    """Writes what the run learns from, or finds that it did so before."""
    origin = pathlib.Path(source)
    wanted = {
        "photos": sha256_of_arrays([photos.images]),
        "keypoints": sha256_of_arrays([photos.keypoints]),
        # Which photos show one person; names do not count.
        "identities": [photos.identities.index(name) for name in photos.identities],
        "seed": photos.seed,
        "records": photos.beside.fingerprint().hex() if photos.beside else None,
        "batch_size": batch_size,
        "source": str(origin.resolve() if origin.exists() else origin),  # a preset is no path
    }
    file = run.path / PERSONAL
    if (run.path / "config.json").exists():
        _require_same(_noted(file), wanted, run.path)
    elif not file.exists() and holds_files(run.path):
        raise ConfigError(
            f"{run.path} holds files but no run: choose another --out_dir", file=run.path
        )
    write_json(file, wanted)


def _noted(file):
    try:
        noted = read_json(file)
    except OSError:
        raise ConfigError(
            f"{file.parent} holds a run but no {PERSONAL}, and may have learned from others: "
            "choose another --out_dir",
            file=file.parent,
        ) from None
    except JsonError as error:
        raise ConfigError(f"{error}: choose another --out_dir", file=file) from error
    return noted if isinstance(noted, dict) else {}


def _require_same(noted, wanted, folder):
    other = [name for name, value in wanted.items() if noted.get(name) != value]
    if other:
        raise ConfigError(
            f"{folder} holds a run that was personalized with other {', '.join(other)}: choose "
            "another --out_dir",
            file=folder,
            field=other[0],
        )


def personalize(
    source: str | os.PathLike,
    out_dir: str | os.PathLike,
    photos: PersonalPhotos,
    steps: int = 600,
    batch_size: int = 8,
    options: RunOptions | None = None,
) -> RunFolder:
    """Trains encoder and generator further, on photos; a run folder with the other networks too.

    Half of every batch are other persons, see `PersonalPhotos`. Mapping networks stay as they are
    and imitate the codes of the source. Called again after an interruption, it goes on where it
    stopped.

    Args:
        source: run folder or saved sampler of the placed architecture.
        out_dir: the personal run folder.
        photos: of the model's size, and who is learned beside them.
        steps, batch_size: of training.
        options: how it runs; None: as `RunOptions` has it.

    Raises:
        ConfigError, locks.LockedError: as `prepare`.
        RecordError: if the records beside them do not serve.
    """
    run = _planned(source, out_dir, steps, batch_size)
    with locks.writing(run.path):
        _note(run, source, photos, batch_size)
        config, networks = load_networks(source)
        options = options or RunOptions()
        train(run, ["reconstruction"], photos, options, init_from=source, locked=True)
        _save_others(run, config, networks)
    return run


def _save_others(run, config, networks):
    """The source's networks of the other stages as checkpoints of the run."""
    for stage in STAGES[1:]:
        names = [n for n in factory.stage_networks(stage, config.model) if n in networks]
        if names and run.latest_step(stage) is None:
            variables = [v for name in names for v in networks[name].variables]
            # The steps of the source are done: the stage counts as finished.
            done = run.config.stage(stage).steps
            arrays = weights.collect(variables) | {"step": np.asarray(done, np.int64)}
            run.save_checkpoint(stage, done, arrays)
