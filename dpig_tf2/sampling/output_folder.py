"""A folder of generated files that can be continued, with a record of what made each file."""

import dataclasses
import io
import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import remove_temporaries, replacing
from dpig_tf2.run_folder import write_text
from dpig_tf2.visual.sheets import labelled_sheet, save_png

MANIFEST = "samples.json"
_SECONDS_BETWEEN_MANIFESTS = 5.0
_JPEG_QUALITY = 95
_FRAME_MILLISECONDS = 120
# Pixels; smaller pictures are enlarged for people by a whole number.
_SHEET_CELL_HEIGHT, _ANIMATION_HEIGHT = 128, 256

Cell = np.ndarray | str | None  # of a sheet: a picture, the name of a finished file, or nothing


class OutputError(DpigError):
    """The output folder holds something else; the message says what differs."""


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
        overwrite: remove what an earlier run with other settings made.

    Raises:
        OutputError: if the folder holds files made with other settings, or strange files.
    """

    def __init__(self, path: str | os.PathLike, settings: Mapping, overwrite: bool = False):
        self.path = pathlib.Path(path)
        self._settings = json.loads(json.dumps(settings))
        self._manifest = self.path / MANIFEST
        self.summary: dict[str, object] = {}  # figures of the whole task, for the list
        self._files = self._listed_files(overwrite)
        self.reused = len(self._files)
        self.path.mkdir(parents=True, exist_ok=True)
        remove_temporaries(self.path)  # of a killed run
        self._write_manifest()

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(self, *_) -> None:
        if self._files:
            self._write_manifest()
            return
        self._manifest.unlink()  # nothing was made: leave nothing behind
        if not any(self.path.iterdir()):
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
        content = io.BytesIO()
        np.savez(content, **item.codes)
        self._write(codes, content.getvalue())
        if item.name.endswith(".png"):
            save_png(self.path / item.name, item.image)
        else:
            content = io.BytesIO()
            Image.fromarray(item.image).save(content, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
            self._write(item.name, content.getvalue())
        self._list(item.name, {**item.made_from, "codes": codes})

    def read(self, name: str) -> np.ndarray:
        """A finished picture, uint8 [H, W, 3]."""
        with Image.open(self.path / name) as image:
            return np.asarray(image.convert("RGB"))

    def codes(self, name: str) -> dict[str, np.ndarray]:
        """The codes of a finished picture."""
        with np.load(self.path / self._files[name]["codes"], allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}

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
        save_png(self.path / name, labelled_sheet(pictures, row_labels, column_labels, scale))
        self._list(name, made_from)

    def add_animation(self, name: str, frames: Sequence[str]) -> None:
        """Writes finished frames forth and back as an endless GIF or WebP, by the ending."""
        if self.has(name):
            return
        forth = [_enlarged(self.read(frame)) for frame in frames]
        pictures = forth + forth[-2:0:-1]
        content = io.BytesIO()
        pictures[0].save(
            content,
            pathlib.PurePath(name).suffix[1:].upper(),
            save_all=True,
            append_images=pictures[1:],
            duration=_FRAME_MILLISECONDS,
            loop=0,
        )
        self._write(name, content.getvalue())
        self._list(name, {"frames": list(frames)})

    def _listed_files(self, overwrite):
        """What an earlier run with the same settings has finished."""
        if not self._manifest.exists():
            if self.path.is_dir() and any(self.path.iterdir()):
                raise OutputError(
                    f"{self.path} holds files but no {MANIFEST}: choose another output folder"
                )
            return {}
        try:
            manifest = json.loads(self._manifest.read_text())
            settings, files = manifest["settings"], manifest["files"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise OutputError(f"{self._manifest} is damaged ({error})") from None
        if settings == self._settings:
            return files
        if overwrite:
            for name, made_from in files.items():
                (self.path / name).unlink(missing_ok=True)
                if "codes" in made_from:
                    (self.path / made_from["codes"]).unlink(missing_ok=True)
            return {}
        keys = [*settings, *(key for key in self._settings if key not in settings)]
        key = next(key for key in keys if settings.get(key) != self._settings.get(key))
        raise OutputError(
            f"{self.path} holds files made with {key}={settings.get(key)}, not "
            f"{self._settings.get(key)}: choose another output folder, or overwrite"
        )

    def _write(self, name, content):
        with replacing(self.path / name) as temporary:
            temporary.write_bytes(content)

    def _list(self, name, made_from):
        self._files[name] = dict(made_from)
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_MANIFESTS:
            self._write_manifest()

    def _write_manifest(self):
        content = {"settings": self._settings, "summary": self.summary, "files": self._files}
        write_text(self._manifest, json.dumps(content, indent=1, allow_nan=False) + "\n")
        self._written = time.monotonic()


def _enlarged(picture):
    scale = max(1, _ANIMATION_HEIGHT // picture.shape[0])
    return Image.fromarray(picture.repeat(scale, axis=0).repeat(scale, axis=1))
