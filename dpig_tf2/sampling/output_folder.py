"""A folder of generated files that can be continued, with a record of what made each file."""

import collections
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io import array_files, locks
from dpig_tf2.io.atomic import remove_temporaries, write_bytes
from dpig_tf2.io.images import encode_jpeg, encode_png, read_rgb, save_png
from dpig_tf2.io.manifests import Manifest, OutputError
from dpig_tf2.visual.animations import animation
from dpig_tf2.visual.sheets import labeled_sheet

MANIFEST = "samples.json"
_SHEET_CELL_HEIGHT = 128  # pixels; smaller pictures are enlarged for people by a whole number
_KEPT_BYTES = 1 << 28  # pictures kept in memory: a sheet of 16 x 64 of 256 x 256 pixels fits

Cell = np.ndarray | str | None  # of a sheet: a picture, the name of a finished file, or nothing


@dataclasses.dataclass(frozen=True)
class Item:
    """One picture to be kept: its file, how it came about, and its codes.

    Attributes:
        name: file name inside the folder, with ending.
        made_from: JSON values: names, seeds, factors.
        image: uint8 [H, W, 3].
        codes: {name: array}, written to codes/<stem>.npz.
    """

    name: str
    made_from: Mapping[str, object]
    image: np.ndarray
    codes: Mapping[str, np.ndarray]


class OutputFolder:
    """Files are written atomically and listed in `samples.json`; what is listed is not redone.

    Use as a context manager: the list is written on leaving, also after an interruption.

    Args:
        path: folder, created if needed.
        settings: JSON values, everything that decides what a file of a given name holds.
        overwrite: remove what an earlier run with other settings or inputs made.
        inputs: {file: SHA-256} of what is read; a later run may read further ones.

    Attributes:
        summary: figures of the whole task, JSON values, for the list.
        reused: how many files were finished by an earlier run.
        names: {person: name in the files}; filled by who reads persons, kept for later runs.

    Raises:
        OutputError: if the folder holds files made with other settings or before an input changed,
            or strange files.
        locks.LockedError: if another process is writing to it.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: Mapping,
        overwrite: bool = False,
        inputs: Mapping[str, str] | None = None,
    ):
        self.path = pathlib.Path(path)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locks.writing(self.path))
            self._open(settings, overwrite, inputs)
            self._lock = stack.pop_all()

    def _open(self, settings, overwrite, inputs):
        manifest = self.path / MANIFEST
        if not manifest.exists() and holds_files(self.path):
            raise OutputError(
                f"{self.path} holds files but no {MANIFEST}: choose another --out_dir",
                file=self.path,
            )
        self._manifest = Manifest(manifest, settings, overwrite=overwrite, inputs=inputs)
        for name, made_from in self._manifest.replaced.items():
            for file in filter(None, (name, made_from.get("codes"))):
                (self.path / file).unlink(missing_ok=True)
        self.summary: dict[str, object] = {}
        self._manifest.facts["summary"] = self.summary
        self._files = self._manifest.files
        self.reused = len(self._files)
        self.names = self._manifest.names
        self._kept = _KeptPictures()
        remove_temporaries(self.path)  # of a killed run
        self._manifest.write()

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            if self._files:
                self._manifest.write()
                return
            self._manifest.path.unlink()  # nothing was made: leave nothing behind
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def __len__(self) -> int:
        """Number of finished files."""
        return len(self._files)

    def has(self, name: str) -> bool:
        """Whether this file is finished."""
        return name in self._files and (self.path / name).exists()

    def missing(self, names: Sequence[str]) -> list[int]:
        """Positions of the names that are not finished."""
        return [i for i, name in enumerate(names) if not self.has(name)]

    def made_from(self, name: str) -> Mapping:
        """How a finished file came about."""
        return self._files[name]

    def add(self, item: Item) -> None:
        """Writes a picture (PNG, or JPEG by its ending) and its codes."""
        codes = f"codes/{pathlib.PurePath(item.name).stem}.npz"
        write_bytes(self.path / codes, array_files.encode(item.codes))
        if item.name.endswith(".png"):
            write_bytes(self.path / item.name, encode_png(item.image))
            self._kept.add(item.name, item.image)
        else:  # not kept: a sheet must be the same when the file is read by a later run
            write_bytes(self.path / item.name, encode_jpeg(item.image))
        self._manifest.add(item.name, {**item.made_from, "codes": codes})

    def add_picture(self, name: str, image: np.ndarray, made_from: Mapping) -> None:
        """Writes a picture that goes with another one, as a PNG without codes."""
        write_bytes(self.path / name, encode_png(image))
        self._manifest.add(name, made_from)

    def read(self, name: str) -> np.ndarray:
        """A finished picture, uint8 [H, W, 3]; from memory where this run has made it lately."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        try:
            return read_rgb(self.path / name)
        except DpigError as error:
            path = self.path / name
            raise OutputError(f"{path} {error}: remove it to have it redone", file=path) from error

    def codes(self, name: str, wanted: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The wanted codes of a finished picture, all by default, {name: array}."""
        path = self.path / str(self._files[name].get("codes"))
        try:
            return array_files.load(path, wanted)
        except array_files.WeightsError as error:
            raise OutputError(
                f"the codes of {name} cannot be used: {error}; remove {self.path / name} to have "
                "it redone",
                file=path,
            ) from error

    def add_sheet(
        self,
        name: str,
        rows: Sequence[Sequence[Cell]],
        row_labels: Sequence[str],
        column_labels: Sequence[str],
    ) -> None:
        """Writes sheets/<name>.png, pictures enlarged to be seen, unless it is there already."""
        name = f"sheets/{name}.png"
        made_from = {"rows": list(row_labels), "columns": list(column_labels)}
        if self.has(name) and self._files[name] == made_from:
            return
        pictures = [
            [self.read(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
        ]
        height = next(cell.shape[0] for row in pictures for cell in row if cell is not None)
        scale = max(1, _SHEET_CELL_HEIGHT // height)
        save_png(self.path / name, labeled_sheet(pictures, row_labels, column_labels, scale))
        self._manifest.add(name, made_from)

    def add_animation(self, name: str, frames: Sequence[str]) -> None:
        """Writes finished frames forth and back as an endless GIF or WebP, by the ending."""
        if self.has(name):
            return
        kind = pathlib.PurePath(name).suffix[1:]
        write_bytes(self.path / name, animation([self.read(frame) for frame in frames], kind))
        self._manifest.add(name, {"frames": list(frames)})


def holds_files(folder: str | os.PathLike) -> bool:
    """Whether anything lies in a folder but its lock and empty folders, as a killed run leaves."""
    found = pathlib.Path(folder).rglob("*")
    return any(
        path.name != locks.lock_name() and (path.is_symlink() or not path.is_dir())
        for path in found
    )


class _KeptPictures:
    """The pictures added last, by name, as many as `_KEPT_BYTES` hold."""

    def __init__(self):
        self._pictures: collections.OrderedDict[str, np.ndarray] = collections.OrderedDict()
        self._bytes = 0

    def add(self, name: str, picture: np.ndarray) -> None:
        if name in self._pictures:
            self._bytes -= self._pictures.pop(name).nbytes
        self._pictures[name] = picture = picture.copy()  # not a view that holds its whole batch
        self._bytes += picture.nbytes
        while self._bytes > _KEPT_BYTES:
            self._bytes -= self._pictures.popitem(last=False)[1].nbytes

    def get(self, name: str) -> np.ndarray | None:
        return self._pictures.get(name)
