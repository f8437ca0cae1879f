"""A run on disk: configuration, checkpoints, logs, samples, metrics.

run/
  config.json                         resolved configuration
  history.jsonl                       a line each time a stage began or went on, and with what
  checkpoints/<stage>/step-<n>.npz    networks, optimizers and step of one stage
  checkpoints/<stage>/best.npz        the same at the lowest error on the fixed batch, and the error
  logs/<stage>/                       TensorBoard events and scalars.jsonl
  samples/                            pictures
  metrics.json                        scores

A saved sampler has all networks in one file instead of checkpoints, and so has a preset of weights,
which is read as `preset:NAME` and never written to.
"""

import datetime
import json
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from dpig_tf2.config import CHECKPOINTS, STAGES, Config, ConfigError
from dpig_tf2.io import array_files, locks, tensor_files
from dpig_tf2.io.atomic import remove_temporaries, write_bytes, write_json, write_text
from dpig_tf2.io.hashes import sha256
from dpig_tf2.io.json_files import JsonError, read_json
from dpig_tf2.presets import cards, packing, registry

_CHECKPOINT = re.compile(r"step-(\d{8,})\.npz")
_BEST = "best.npz"
_ERROR = "fixed_batch_error"  # in best.npz, beside the variables
SAVED_WEIGHTS = "weights.npz"  # of a saved sampler


class RunFolder:
    """Paths and files of one run; made by `create`, `plan` or `open`.

    Attributes:
        path: the folder that is read.
        config: the configuration there.
        outputs: where pictures and scores go by default: the folder itself, or for a preset of
            weights, which is not written to, `runs/preset-NAME` in the current folder.
    """

    def __init__(self, path: pathlib.Path, config: Config, outputs: pathlib.Path | None = None):
        self.path = path
        self.config = config
        self.outputs = outputs or path

    @classmethod
    def create(cls, path: str | os.PathLike, config: Config) -> "RunFolder":
        """Makes the folder, or reopens it if it holds the same networks; see `plan`."""
        run = cls.plan(path, config)
        run.write_config()
        return run

    @classmethod
    def plan(cls, path: str | os.PathLike, config: Config) -> "RunFolder":
        """A run that may use the folder, of which nothing is written before `write_config`.

        The stages' settings may be others than those of an existing run (to train longer, say).

        Raises:
            ConfigError: if the folder holds a run with another preset or other networks, or saved
                weights, which would go on being read instead of what is trained.
        """
        if registry.name_of(path) is not None:
            raise ConfigError(
                f"{path} is a preset of weights, which is read only: name a folder", field="run_dir"
            )
        path = pathlib.Path(path)
        if (path / "config.json").exists():
            there = cls.open(path)
            if there.saved_weights:
                raise ConfigError(
                    f"{path} holds {there.saved_weights.name}, which is read instead of what is "
                    f"trained: name another folder; a run can begin with --init_from={path}",
                    field="run_dir",
                )
            existing = there.config
            if existing.preset != config.preset:
                raise ConfigError(
                    f"{path} holds a run of preset {existing.preset}, not {config.preset}"
                )
            for field, value in vars(config.model).items():
                found = getattr(existing.model, field)
                if found != value:
                    raise ConfigError(f"{path} holds a run with model.{field}={found}, not {value}")
        return cls(path, config)

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunFolder":
        """An existing run, saved sampler or preset of weights.

        Args:
            path: the folder, or `preset:NAME`.

        Raises:
            ConfigError: if the folder is not a run, its configuration is bad, or there is no such
                preset on this machine.
        """
        name = registry.name_of(path)
        outputs = None if name is None else pathlib.Path("runs", f"preset-{name}")
        path = pathlib.Path(path) if name is None else registry.folder_of(name)
        file = path / "config.json"
        try:
            values = read_json(file)
        except OSError:
            raise ConfigError(
                f"{path} is not a run folder: it has no readable config.json", file=path
            ) from None
        except JsonError as error:
            raise ConfigError(str(error), file=file) from error
        try:
            return cls(path, Config.from_values(values), outputs)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}", file=file, field=error.field) from error

    def write_config(self) -> None:
        """Makes the folder, saves the configuration and removes what killed runs left.

        Nothing of scores, exports and pictures that other programs may be writing.
        """
        write_text(self.path / "config.json", self.config.to_json() + "\n")
        remove_temporaries(self.path, "config.json")
        remove_temporaries(self.path, "history.jsonl")
        for folder in ("checkpoints", "logs", "cache"):
            remove_temporaries(self.path / folder)
        remove_temporaries(self.samples, "*-[0-9]*.png")  # of stages, by their step

    @property
    def history(self) -> pathlib.Path:
        return self.path / "history.jsonl"

    def add_to_history(self, values: Mapping) -> None:
        """Adds a line to history.jsonl: the time, and JSON values of what begins now."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now} | dict(values)) + "\n"
        before = self.history.read_bytes() if self.history.exists() else b""
        write_bytes(self.history, before + line.encode())

    def logs(self, stage: str) -> pathlib.Path:
        return self.path / "logs" / stage

    @property
    def samples(self) -> pathlib.Path:
        return self.outputs / "samples"

    @property
    def metrics(self) -> pathlib.Path:
        return self.outputs / "metrics.json"

    @property
    def saved_weights(self) -> pathlib.Path | None:
        """The one file of all networks that saved samplers and presets of weights have."""
        files = [self.path / packing.WEIGHTS, self.path / SAVED_WEIGHTS]
        return next((file for file in files if file.exists()), None)

    def load_saved_weights(self) -> dict[str, np.ndarray]:
        """{path: value} of `saved_weights`.

        Raises:
            array_files.WeightsError: if the file is damaged, or another than its card names.
        """
        file = self.saved_weights
        if file is None or file.name == SAVED_WEIGHTS:
            return array_files.load(self.path / SAVED_WEIGHTS)
        card = self.path / cards.FILE
        if card.exists() and sha256(file) != cards.Card.read(card).sha256:
            raise array_files.WeightsError(
                f"{file}: damaged, its SHA-256 is not that of {card}", file=file
            )
        return tensor_files.load(file)

    def checkpoints(self, stage: str) -> list[tuple[int, pathlib.Path]]:
        """(step, file) of every finished checkpoint of a stage, oldest first."""
        if stage not in STAGES:
            raise ConfigError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
        folder = self.path / "checkpoints" / stage
        names = [(_CHECKPOINT.fullmatch(file.name), file) for file in folder.glob("*.npz")]
        return sorted((int(match[1]), file) for match, file in names if match)

    def latest_step(self, stage: str) -> int | None:
        """Steps done in the newest checkpoint, or None without one."""
        found = self.checkpoints(stage)
        return found[-1][0] if found else None

    def save_checkpoint(
        self, stage: str, step: int, arrays: Mapping[str, np.ndarray], keep: int = 3
    ) -> pathlib.Path:
        """Writes a checkpoint atomically, then removes all but the `keep` newest."""
        path = self.path / "checkpoints" / stage / f"step-{step:08d}.npz"
        array_files.save(path, arrays)
        for _, old in self.checkpoints(stage)[:-keep]:
            old.unlink(missing_ok=True)
        return path

    def load_checkpoint(
        self, stage: str, which: str = "latest"
    ) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
        """File and arrays of a checkpoint of a stage.

        Args:
            stage: name of the stage.
            which: "latest", or "best" where a best one is kept.

        Raises:
            ConfigError: if the stage has no checkpoint yet.
            array_files.WeightsError: if the file is damaged.
        """
        path = self.checkpoint_file(stage, which)
        return path, array_files.load(path)

    def checkpoint_file(self, stage: str, which: str = "latest") -> pathlib.Path:
        """The file that `load_checkpoint` reads."""
        if which not in CHECKPOINTS:
            raise ConfigError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}; got {which!r}")
        found = self.checkpoints(stage)
        if not found:
            raise ConfigError(f"{self.path} has no checkpoint of stage {stage}: train it first")
        best = self._best(stage)
        return best if which == "best" and best.exists() else found[-1][1]

    def save_best(self, stage: str, arrays: Mapping[str, np.ndarray], error: float) -> None:
        """Replaces the best checkpoint of a stage."""
        stored = {**arrays, _ERROR: np.asarray(error, np.float64)}
        array_files.save(self._best(stage), stored)

    def best_error(self, stage: str) -> float:
        """Error of the best checkpoint of a stage, infinite without one."""
        best = self._best(stage)
        return float(array_files.load(best, [_ERROR])[_ERROR]) if best.exists() else float("inf")

    def _best(self, stage):
        return self.path / "checkpoints" / stage / _BEST

    def write_metrics(self, name: str, values: Mapping) -> None:
        """Sets one entry of metrics.json, keeping the others.

        Raises:
            ConfigError: if the file there is damaged; it is left as it is.
            LockedError: if other processes have been writing it for a minute.
        """
        path = self.metrics
        with locks.writing(path.parent, path.name, wait=60):
            try:
                metrics = read_json(path, finite=True) if path.exists() else {}
            except JsonError as error:
                raise ConfigError(f"{error}: mend or remove it", file=path) from error
            if not isinstance(metrics, dict):
                raise ConfigError(f"{path} holds no JSON object: mend or remove it", file=path)
            metrics[name] = values
            write_json(path, metrics)
