"""Which verbs there are, in the order in which a person needs them."""

import importlib
from types import ModuleType

GROUPS = {
    "Make data": (
        *("detect_poses", "make_records", "make_synthetic"),
        *("convert_market1501", "convert_deepfashion", "check_records", "download"),
    ),
    "Train": ("train", "personalize", "import_tf1", "presets", "pack_preset"),
    "Use": (
        *("transfer", "reconstruct", "sample", "interpolate", "invert", "mix"),
        *("identities", "overview", "draw", "page"),
    ),
    "Measure": (
        *("evaluate", "evaluate_disentanglement", "evaluate_poses", "evaluate_detector"),
        "benchmark",
    ),
    "Serve": ("export",),
    "This machine": ("doctor", "completion"),
}
VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)


def load(verb: str) -> ModuleType:
    """The module of a verb, see `program`."""
    return importlib.import_module(f"dpig_tf2.cli.{verb}")


def summary(verb: str) -> str:
    """What a verb does, in one line."""
    return load(verb).__doc__.partition("\n")[0]
