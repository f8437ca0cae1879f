"""Exported signatures, loaded by the runtime of their format, as functions on NumPy arrays.

Nothing here imports TensorFlow unless a SavedModel is loaded.
"""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dpig_tf2.io.json_files import read_json
from dpig_tf2.serving.formats import DESCRIPTION, ExportError

Arrays = Mapping[str, np.ndarray]
Signature = Callable[[Arrays], dict[str, np.ndarray]]
# ONNX has one name space for inputs and outputs.
ONNX_OUTPUT = "output_"
SUFFIX = {"onnx": ".onnx", "litert": ".tflite"}


def describe(folder: str | os.PathLike) -> dict:
    """The description of an exported version.

    Raises:
        ExportError: if the folder has none.
        JsonError: if it is damaged.
    """
    for place in dict.fromkeys(DESCRIPTION.values()):
        path = pathlib.Path(folder, place)
        if path.is_file():
            return read_json(path)
    raise ExportError(f"{folder} is not the folder of an exported version", file=folder)


def load(folder: str | os.PathLike, format: str, signature: str) -> Signature:
    """A signature as a function: {input: array} -> {output: array}.

    Args:
        folder: of the exported version.
        format: one of `formats.FORMATS`.
        signature: its name.

    Raises:
        ExportError: if the format is unknown, or the version has no such signature.
    """
    loaders = {"saved_model": _saved_model, "onnx": _onnx, "litert": _litert}
    if format not in loaders:
        raise ExportError(
            f"format must be one of {', '.join(loaders)}; got {format!r}", field="format"
        )
    return loaders[format](pathlib.Path(folder), signature)


def in_batches(run: Signature, inputs: Arrays, rows: int | None) -> dict[str, np.ndarray]:
    """`run(inputs)`, `rows` rows at a time; their number must be a multiple of it."""
    if rows is None:
        return run(inputs)
    count = len(next(iter(inputs.values())))
    found = [
        run({name: array[i : i + rows] for name, array in inputs.items()})
        for i in range(0, count, rows)
    ]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def saved_model(folder: str | os.PathLike) -> Callable[[str], Signature]:
    """A SavedModel, loaded once, as a function from a name to that signature."""
    import tensorflow as tf

    model: Any = tf.saved_model.load(os.fspath(folder))

    def of(name):
        if name not in model.signatures:
            raise ExportError(f"{folder} has no signature {name!r}", file=folder, field="signature")

        def call(inputs):
            found = model.signatures[name](
                **{name: tf.constant(array) for name, array in inputs.items()}
            )
            return {name: tensor.numpy() for name, tensor in found.items()}

        return call

    return of


def _saved_model(folder, signature):
    return saved_model(folder)(signature)


def _file(folder, signature, format):
    path = folder / f"{signature}{SUFFIX[format]}"
    if not path.is_file():
        raise ExportError(f"there is no {path}", file=path, field="signature")
    return path


def _onnx(folder, signature):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        _file(folder, signature, "onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def call(inputs):
        found = session.run(names, dict(inputs))
        return {
            name.removeprefix(ONNX_OUTPUT): array for name, array in zip(names, found, strict=True)
        }

    return call


def _litert(folder, signature):
    from ai_edge_litert.interpreter import Interpreter

    path = _file(folder, signature, "litert")
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    run: Any = interpreter.get_signature_runner(signature)
    return lambda inputs: run(**inputs)
