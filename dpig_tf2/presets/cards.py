"""Model cards: what a preset's weights are, what they were made from, and what they are not for."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

from dpig_tf2.config import ConfigError
from dpig_tf2.errors import shown
from dpig_tf2.io.json_files import JsonError, read_json

FILE = "card.json"


@dataclasses.dataclass(frozen=True)
class Card:
    """The model card of one preset, `card.json` in its folder.

    The first six fields are prose; the others are filled in by `packing.pack`, or, for weights
    that are fetched, stay empty.
    """

    summary: str  # one line
    trained_on: str
    license: str
    intended_use: str
    limits: str
    command: str  # what makes these weights again
    archive: str | None = None  # address of the release's archive, for weights that are fetched
    training: Mapping = dataclasses.field(default_factory=dict)  # {stage: {steps, images}}
    figures: Mapping = dataclasses.field(default_factory=dict)  # the run's metrics.json
    parameters: int | None = None
    bytes: int | None = None  # of the weights file
    sha256: str | None = None  # of the weights file

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Card":
        """The card of a file. Raises ConfigError naming the file and the field at fault."""
        path = pathlib.Path(path)
        try:
            values = read_json(path, finite=True)
        except (JsonError, OSError) as error:
            raise ConfigError(f"{path} is no readable model card: {error}", file=path) from error
        given = values if isinstance(values, dict) else {}
        for name in given:
            if name not in _KINDS:
                raise ConfigError(f"{path}: unknown field {shown(name)}", file=path, field=name)
        for name, kind in _KINDS.items():
            if name in given and not isinstance(given[name], kind):
                raise ConfigError(
                    f"{path}: field {name} cannot be {shown(given[name])}", file=path, field=name
                )
            if name in PROSE and not given.get(name):
                raise ConfigError(f"{path}: field {name} is missing", file=path, field=name)
        return cls(**given)

    def as_dict(self) -> dict:
        """The fields that are known, JSON values."""
        return {name: value for name, value in vars(self).items() if value not in (None, {})}


PROSE = ("summary", "trained_on", "license", "intended_use", "limits", "command")
_KINDS: dict[str, tuple] = {
    **{name: (str,) for name in PROSE},
    "archive": (str,),
    "training": (dict,),
    "figures": (dict,),
    **{name: (int,) for name in ("parameters", "bytes")},
    "sha256": (str,),
}
