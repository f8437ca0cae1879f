"""Tensors of a TensorFlow 1 checkpoint, read without TensorFlow 1."""

import contextlib
import dataclasses
import glob
import math
import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_LISTED = re.compile(r'^\s*model_checkpoint_path:\s*"([^"\n]+)"', re.MULTILINE)
_PARTS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


class CheckpointError(DpigError):
    """A checkpoint that cannot be imported; the message names it, and the variable if one."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """All variables of a checkpoint: `tensors` is {name: array}, `prefix` where they came from."""

    prefix: str
    tensors: dict[str, np.ndarray]

    @property
    def name_step(self) -> int | None:
        """The number in a name such as `model.ckpt-1200`, None without one."""
        return name_step(self.prefix)


def read(path: str | os.PathLike) -> Checkpoint:
    """Every variable of a TF1 checkpoint, checksums verified.

    Args:
        path: prefix (`.../model.ckpt-1200`), one of its files, or the folder, of which the newest
            checkpoint is read.

    Raises:
        CheckpointError: if there is no checkpoint, if it is damaged, or if TensorFlow 2 wrote it.
    """
    prefix = _resolve(pathlib.Path(path))
    with _damage_named(prefix):
        reader = _opened(prefix)
        names = sorted(reader.get_variable_to_shape_map())
        return Checkpoint(prefix, {name: reader.get_tensor(name) for name in names})


def variable_names(prefix: str) -> list[str]:
    """Names of the variables of a checkpoint, whose values are not read; raises as `read`."""
    with _damage_named(prefix):
        return sorted(_opened(prefix).get_variable_to_shape_map())


def name_step(prefix: str) -> int | None:
    """The number in a name such as `model.ckpt-1200`, None without one."""
    match = re.search(r"-(\d+)$", prefix)
    return int(match[1]) if match else None


def _opened(prefix):
    reader = tf.train.load_checkpoint(prefix)
    names = reader.get_variable_to_shape_map()
    if _OBJECT_GRAPH in names:
        raise CheckpointError(
            f"{prefix} is a TensorFlow 2 object checkpoint, expected one of the released "
            "TensorFlow 1 code",
            file=prefix,
        )
    _check_sizes(prefix, names, reader.get_variable_to_dtype_map())
    return reader


@contextlib.contextmanager
def _damage_named(prefix):
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # TensorFlow's reader fails in many ways
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{prefix} is damaged or truncated, expected a complete checkpoint ({reason})",
            file=prefix,
        ) from error


def _check_sizes(prefix, shapes, dtypes):
    """Refuses variables of more bytes than there are, for which memory would be taken at once."""
    folder, name = os.path.split(prefix)
    data = pathlib.Path(folder).glob(f"{glob.escape(name)}.data-*")
    available = sum(path.stat().st_size for path in data)
    for variable, shape in shapes.items():
        dtype = dtypes[variable]
        size = math.prod(shape) * (0 if dtype == tf.string else dtype.size)
        if size > available:
            raise CheckpointError(
                f"{prefix} is damaged or truncated: {variable} would take {size} bytes of the "
                f"{available} that there are",
                file=prefix,
                field=variable,
            )


def _resolve(path):
    if path.is_dir():
        return str(_newest(path))
    prefix = path.with_name(_PARTS.sub("", path.name))
    if _index(prefix).is_file():
        return str(prefix)
    if path.exists():
        raise CheckpointError(
            f"{path} is not a checkpoint: it has no {_index(prefix).name}", file=path
        )
    raise CheckpointError(f"no checkpoint at {path}: {_index(prefix)} does not exist", file=path)


def _newest(folder):
    # Only the name counts: the list often holds the absolute path of the machine of training.
    state = _listed_state(folder)
    if state and _index(folder / state).is_file():
        return folder / state
    prefixes = [file.with_suffix("") for file in folder.glob("*.index")]
    if not prefixes:
        raise CheckpointError(f"{folder} holds no checkpoint: no file *.index in it", file=folder)

    def number(prefix):
        step = name_step(prefix.name)
        return -1 if step is None else step

    return max(prefixes, key=lambda prefix: (number(prefix), prefix.name))


def _listed_state(folder):
    """Name of the checkpoint that the file `checkpoint` lists as the newest, or None."""
    try:
        text = (folder / "checkpoint").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    listed = _LISTED.search(text)
    # A Windows path also takes the slashes of others, and backslashes that are doubled or not.
    return pathlib.PureWindowsPath(listed[1]).name if listed else None


def _index(prefix):
    return prefix.with_name(f"{prefix.name}.index")
