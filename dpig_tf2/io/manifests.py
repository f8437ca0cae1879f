"""Manifests: which files of a folder are finished, and the settings that they were made with.

A folder that has one can be continued after an interruption, and is never filled from two different
settings.
"""

import json
import os
import pathlib
import re
import time
from collections.abc import Mapping

from dpig_tf2.errors import DpigError, shown
from dpig_tf2.io.atomic import write_json
from dpig_tf2.io.json_files import JsonError, read_json

_SECONDS_BETWEEN_WRITES = 5.0
_TIMES_A_WRITE = 10  # at least, so that long lists do not take all the time
_BEGINNING = re.compile(rb'\{\s*"settings"\s*:')
_BEGINNING_BYTES = 64


class OutputError(DpigError):
    """The output folder holds something else; the message says what differs.

    Attributes:
        file: the folder, or the manifest where that is damaged.
        field: name of the first setting that differs, if any does.
    """


class Manifest:
    """The JSON file {"settings": ..., "inputs": ..., "names": ..., facts, "files": {file: facts}}.

    Args:
        path: the file; absent before the first `write`.
        settings: JSON values, everything that decides what a file of a given name holds. Those that
            follow from others come last, so that a refusal names the others.
        what: the files, for messages: "records of Market1501_train".
        overwrite: forget the files that were made with other settings or from other inputs.
        inputs: {file: SHA-256} of what was read; a later run may read further files, but none that
            has changed.

    Attributes:
        files: facts of every finished file by name, JSON values.
        names: {what is named: its name in the files}, which the caller fills and later runs keep.
        facts: further JSON values for the manifest.
        replaced: files of other settings, which the caller removes before the first `write`.

    Raises:
        OutputError: if the files were made with other settings, an input has changed since or was
            not noted then, or the manifest is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: Mapping[str, object],
        what: str = "files",
        overwrite: bool = False,
        inputs: Mapping[str, str] | None = None,
    ):
        self.path = pathlib.Path(path)
        self.facts: dict[str, object] = {}
        self.files: dict[str, dict] = {}
        self.names: dict[str, str] = {}
        self.replaced: dict[str, dict] = {}
        self._settings = json.loads(json.dumps(settings))
        self._inputs = dict(inputs or {})
        self._next_write = 0.0
        stored = read(self.path)
        if stored is None:
            return
        refusal = self._refusal(stored, what)
        if refusal is None:
            self.files, self.names = stored["files"], stored.get("names", {})
            self._inputs = stored.get("inputs", {}) | self._inputs
        elif overwrite:
            self.replaced = stored["files"]
        else:
            raise refusal

    def add(self, name: str, facts: Mapping[str, object]) -> None:
        """Lists a finished file; the manifest on disk follows soon, or by `write`."""
        self.files[name] = dict(facts)
        if time.monotonic() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Brings the manifest on disk up to date."""
        start = time.monotonic()
        # Sorted: processes finish in any order.
        files = dict(sorted(self.files.items()))
        known = {"inputs": self._inputs, "names": self.names}
        known = {key: values for key, values in known.items() if values}
        write_json(self.path, {"settings": self._settings, **known, **self.facts, "files": files})
        now = time.monotonic()
        self._next_write = now + max(_SECONDS_BETWEEN_WRITES, _TIMES_A_WRITE * (now - start))

    def _refusal(self, stored, what):
        """The error that says why the stored files are not those wanted; None if they are."""
        key = _first_difference(stored["settings"], self._settings)
        difference = (
            self._other_inputs(stored) if key is None else self._other_settings(stored, key)
        )
        if difference is None:
            return None
        folder = self.path.parent
        return OutputError(
            f"{folder} holds {what} made {difference}: choose another --out_dir, or --overwrite",
            file=folder,
            field=key or "inputs",
        )

    def _other_settings(self, stored, key):
        there, wanted = stored["settings"].get(key), self._settings.get(key)
        if isinstance(there, dict) and isinstance(wanted, dict):  # such as hashes of the inputs
            changed = [name for name in wanted if wanted[name] != there.get(name)]
            return f"with other {key} ({', '.join(changed or there)})"
        return f"with {key}={shown(there)}, not {shown(wanted)}"

    def _other_inputs(self, stored):
        if self._inputs and "inputs" not in stored:
            return f"by a version that did not note what {next(iter(self._inputs))} held"
        known = stored.get("inputs", {})
        changed = (
            name for name, digest in self._inputs.items() if known.get(name, digest) != digest
        )
        return next((f"before {name} was changed" for name in changed), None)


def read(path: str | os.PathLike) -> dict | None:
    """The content of a manifest, None if there is none. Raises OutputError if it is damaged."""
    path = pathlib.Path(path)
    try:
        manifest = read_json(path, finite=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except JsonError as error:
        raise OutputError(f"{error} (a damaged manifest)", file=path) from error
    for key in ("settings", "files"):
        if not isinstance(manifest, dict) or not isinstance(manifest.get(key), dict):
            raise OutputError(f"{path} is damaged (it has no {key})", file=path, field=key)
    for key in ("inputs", "names"):
        if not isinstance(manifest.get(key, {}), dict):
            raise OutputError(f"{path} is damaged (no {key})", file=path, field=key)
    for name in manifest.get("names", {}).values():
        if not _is_inside(name) or pathlib.PurePath(name).name != name:
            raise OutputError(
                f"{path} is damaged ({shown(name)} is no name)", file=path, field="names"
            )
    for name, facts in manifest["files"].items():
        if not isinstance(facts, dict):
            raise OutputError(f"{path} is damaged (no facts of {name})", file=path, field=name)
        # They are read, and replaced, where the manifest says that they are.
        for file in (name, facts.get("codes", name)):
            if not _is_inside(file):
                raise OutputError(
                    f"{path} is damaged ({shown(file)} is no name of a file in the folder)",
                    file=path,
                    field=name,
                )
    return manifest


def begins_as_one(path: str | os.PathLike) -> bool:
    """Whether a file, even a large or damaged one, begins as `Manifest` writes."""
    if not os.path.isfile(path):  # opening a pipe would wait
        return False
    try:
        with open(path, "rb") as file:
            return _BEGINNING.match(file.read(_BEGINNING_BYTES)) is not None
    except OSError:
        return False


def _is_inside(name):
    if not isinstance(name, str) or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a character, which no file is called
        return False
    path = pathlib.PurePath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _first_difference(stored, wanted):
    """The first key whose value differs, or None."""
    return next((key for key in [*wanted, *stored] if stored.get(key) != wanted.get(key)), None)
