"""A run on disk: configuration, checkpoints, logs, samples, metrics.

run/
  config.json                         resolved configuration
  checkpoints/<stage>/step-<n>.npz    networks, optimizers and step of one stage
  logs/<stage>/                       TensorBoard events and scalars.jsonl
  samples/                            pictures
  metrics.json                        scores
"""

import hashlib
import json
import os
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from dpig_tf2.config import STAGES, Config, ConfigError
from dpig_tf2.models import weights

_CHECKPOINT = re.compile(r"step-(\d{8})\.npz")


class RunFolder:
    """Paths and files of one run; create with `create` or `open`."""

    def __init__(self, path: pathlib.Path, config: Config):
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: str | os.PathLike, config: Config) -> "RunFolder":
        """Makes the folder, or reopens it if it holds the same networks.

        The stages' settings may change between calls (to train longer, say) and are then saved.

        Raises:
            ConfigError: if the folder holds a run with another preset or other networks.
        """
        path = pathlib.Path(path)
        if (path / "config.json").exists():
            existing = cls.open(path).config
            if existing.preset != config.preset:
                raise ConfigError(
                    f"{path} holds a run of preset {existing.preset}, not {config.preset}"
                )
            for field, value in vars(config.model).items():
                found = getattr(existing.model, field)
                if found != value:
                    raise ConfigError(f"{path} holds a run with model.{field}={found}, not {value}")
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / "config.json", config.to_json() + "\n")
        return cls(path, config)

    @classmethod
    def open(cls, path: str | os.PathLike) -> "RunFolder":
        """An existing run. Raises ConfigError if the folder is not a run or its config is bad."""
        path = pathlib.Path(path)
        try:
            text = (path / "config.json").read_text()
        except OSError:
            raise ConfigError(
                f"{path} is not a run folder: it has no readable config.json"
            ) from None
        try:
            return cls(path, Config.from_json(text))
        except ConfigError as error:
            raise ConfigError(f"{path / 'config.json'}: {error}") from error

    def logs(self, stage: str) -> pathlib.Path:
        return self.path / "logs" / stage

    @property
    def samples(self) -> pathlib.Path:
        return self.path / "samples"

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
        weights.save(path, arrays)
        for _, old in self.checkpoints(stage)[:-keep]:
            old.unlink(missing_ok=True)
        return path

    def load_checkpoint(self, stage: str) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
        """File and arrays of the newest checkpoint of a stage.

        Raises:
            ConfigError: if the stage has no checkpoint yet.
            weights.WeightsError: if the file is damaged.
        """
        found = self.checkpoints(stage)
        if not found:
            raise ConfigError(f"{self.path} has no checkpoint of stage {stage}: train it first")
        path = found[-1][1]
        return path, weights.load(path)

    def write_metrics(self, name: str, values: Mapping) -> None:
        """Sets one entry of metrics.json, keeping the others."""
        path = self.path / "metrics.json"
        metrics = json.loads(path.read_text()) if path.exists() else {}
        metrics[name] = values
        write_text(path, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def file_checksum(path: str | os.PathLike) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces a text file atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
