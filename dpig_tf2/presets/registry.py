"""Which presets of weights there are, and where their files lie."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable

from dpig_tf2.config import ConfigError
from dpig_tf2.errors import shown
from dpig_tf2.io.cache import cache_folder
from dpig_tf2.presets.cards import FILE, Card

PREFIX = "preset:"
_SHIPPED = pathlib.Path(__file__).parent / "data"
_NAME = re.compile(r"\w{1,64}", re.ASCII)
# Fetches a preset by name. Set by the package itself: what fetches and imports the released weights
# stands in a room above all those that use presets.
fetcher: Callable[[str], object] | None = None


@dataclasses.dataclass(frozen=True)
class Preset:
    """A preset of weights.

    Attributes:
        name: what follows `preset:`.
        card: its model card.
        folder: of its networks, None where they must be fetched first.
    """

    name: str
    card: Card
    folder: pathlib.Path | None


def name_of(path: str | os.PathLike) -> str | None:
    """NAME of a path `preset:NAME`, None for a folder's path."""
    text = os.fspath(path)
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def fetched_folder(name: str) -> pathlib.Path:
    """Where a preset that is not in the package is kept."""
    return cache_folder("presets") / name


def is_shipped(name: str) -> bool:
    """Whether the package has a card of that name, which is shown whatever the cache holds."""
    return (_SHIPPED / name / FILE).exists()


def names() -> list[str]:
    """All presets of which there is a card: those of the package first."""
    found = {}
    for folder in (_SHIPPED, cache_folder("presets")):
        for card in sorted(folder.glob(f"*/{FILE}")):
            if _NAME.fullmatch(card.parent.name):
                found.setdefault(card.parent.name)
    return list(found)


def find(name: str) -> Preset:
    """The preset of that name. Raises ConfigError for an unknown name or a damaged card."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name not in names():
        raise ConfigError(
            f"no preset of weights is called {shown(name)}; known: {', '.join(names())}",
            field="preset",
        )
    places = [_SHIPPED / name, fetched_folder(name)]
    card = next(place for place in places if (place / FILE).exists())
    folder = next((place for place in places if (place / "config.json").exists()), None)
    return Preset(name, Card.read(card / FILE), folder)


def require(name: str, before: Callable[[], object] = lambda: None) -> None:
    """Fetches the networks of a preset if they are not on this machine.

    Args:
        name: of the preset.
        before: called before anything is fetched.

    Raises:
        ConfigError: for an unknown name.
        DpigError: if they cannot be fetched.
    """
    if find(name).folder is None and fetcher is not None:
        before()
        fetcher(name)


def folder_of(name: str) -> pathlib.Path:
    """The folder of a preset's networks.

    Raises:
        ConfigError: for an unknown name, or for weights that must be fetched first.
    """
    preset = find(name)
    if preset.folder is None:
        raise ConfigError(
            f"the weights of preset {name} are not on this machine: `dpig download {name}` fetches "
            "them",
            field="preset",
        )
    return preset.folder
