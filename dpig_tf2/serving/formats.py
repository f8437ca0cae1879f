"""What an export can be: formats, what each needs, and the settings of one export.

Nothing here imports TensorFlow, so that a program can refuse bad flags before the slow import.
"""

import dataclasses
import importlib.util

from dpig_tf2.errors import DpigError

# Modules that each format needs beside TensorFlow; the extra that brings them has its name.
FORMATS = {
    "saved_model": (),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "litert": ("ai_edge_litert", "ai_edge_quantizer"),
}
QUANTIZATIONS = ("none", "float16", "int8")
DESCRIPTION = {
    # TensorFlow and its server leave this folder of a SavedModel to the exporter.
    "saved_model": "assets.extra/signatures.json",
    "onnx": "signatures.json",
    "litert": "signatures.json",
}


class ExportError(DpigError):
    """An export that cannot be made as it was asked for; the message says why."""


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What is written.

    Attributes:
        format: one of `FORMATS`. "saved_model" holds all signatures, "onnx" and "litert" are a file
            for each.
        quantize: "float16" stores weights in 16 bits, and computes in float32; "int8" computes
            convolutions and dense layers in 8 bits. A SavedModel is not quantized.
        batch_size: persons at a time; None is any number, but 1 in LiteRT, which plans its memory
            for fixed sizes.
        signatures: names of what is exported; empty is all that the networks can run.
        version: at least 1; None takes the next after the highest in the folder.

    Raises:
        ExportError: naming the field, if a value is unknown or does not go with the others.
    """

    format: str = "saved_model"
    quantize: str = "none"
    batch_size: int | None = None
    signatures: tuple[str, ...] = ()
    version: int | None = None

    def __post_init__(self):
        for field, choices in (("format", FORMATS), ("quantize", QUANTIZATIONS)):
            value = getattr(self, field)
            if value not in choices:
                raise ExportError(
                    f"{field} must be one of {', '.join(choices)}; got {value!r}", field=field
                )
        for field in ("batch_size", "version"):
            value = getattr(self, field)
            if value is not None and value < 1:
                name = field.replace("_", " ")
                raise ExportError(f"the {name} must be at least 1, got {value}", field=field)
        for field, plain in (("quantize", "none"), ("batch_size", None)):
            if self.format == "saved_model" and getattr(self, field) != plain:
                raise ExportError(f"{field} is for onnx and litert, not saved_model", field=field)
        require_packages(self.format)

    @property
    def rows(self) -> int | None:
        """Persons at a time; None for any number."""
        return 1 if self.format == "litert" and self.batch_size is None else self.batch_size


def require_packages(format: str) -> None:
    """Raises ExportError if a package that the format needs is not installed."""
    missing = [name for name in FORMATS[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"format {format} needs {', '.join(missing)}: pip install 'dpig-tf2[{format}]'",
            field="format",
        )
