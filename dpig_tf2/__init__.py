"""TensorFlow 2 implementation of Disentangled Person Image Generation (Ma et al., CVPR 2018)."""

import importlib
from typing import TYPE_CHECKING

from dpig_tf2.presets import registry

if TYPE_CHECKING:
    from dpig_tf2.sampling.sampler import PersonSampler

__version__ = "0.2.0"
__all__ = ["PersonSampler"]


def _fetch_preset(name: str):
    return importlib.import_module("dpig_tf2.legacy_tf1.released").fetch(name)


registry.fetcher = _fetch_preset


def __getattr__(name: str):
    # Imported on first use, so that command lines can refuse bad flags before loading TensorFlow.
    if name == "PersonSampler":
        return importlib.import_module("dpig_tf2.sampling.sampler").PersonSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
