"""Lists the presets of weights, to use as --run_dir=preset:NAME.

Examples:
    dpig presets
    dpig presets --name=released_market1501

A preset comes with this package, is fetched from the release of 2018, or was packed by
`dpig pack_preset`. With --name its model card is shown: what it was trained on, its license, its
scores, what it is for and what it is not.
"""

import json
import textwrap

from absl import flags

from dpig_tf2.cli import program
from dpig_tf2.errors import printable

FLAGS = flags.FlagValues()
_NAME = flags.DEFINE_string("name", None, "Preset whose card is shown.", flag_values=FLAGS)
_COLUMNS = 100
_SCORES = {
    "SSIM of reconstructions": "reconstruct/metrics/ssim/mean",
    "SSIM of pairs": "transfer/metrics/ssim/mean",
    "mask-SSIM of pairs": "transfer/metrics/mask_ssim/mean",
    "keypoints found again in pairs": "transfer/metrics/pose_error/found",
    "SSIM to the true render, re-posed": "disentanglement/transfer/ssim",
    "moved with the foreground": "disentanglement/moved/table/foreground/foreground",
    "background": "disentanglement/moved/table/background/background",
    "pose": "disentanglement/moved/table/pose/pose",
    "leak of the foreground": "disentanglement/swap/foreground/leak",
    "of the background": "disentanglement/swap/background/leak",
    "of the pose": "disentanglement/swap/pose/leak",
}


def main() -> None:
    from dpig_tf2.presets import registry

    if _NAME.value:
        program.show(_card(registry.find(_NAME.value)))
    else:
        program.show("\n\n".join(_entry(registry.find(name)) for name in registry.names()))


def _entry(preset):
    card = preset.card
    lines = [f"{preset.name}  ({_size(preset)})", *_wrapped(card.summary)]
    lines += _wrapped(f"Trained on: {card.trained_on}")
    lines += _wrapped(f"License: {card.license}")
    if scores := ", ".join(_scores(card.figures)):
        lines += _wrapped(f"Scores: {scores}")
    return "\n".join(lines)


def _card(preset):
    card = preset.card
    fields = {
        "Trained on": card.trained_on,
        "License": card.license,
        "Intended use": card.intended_use,
        "Limits": card.limits,
        "Made by": card.command,
        "Training": json.dumps(card.training) if card.training else "",
        "Scores": ", ".join(_scores(card.figures)),
        "Parameters": f"{card.parameters:,}" if card.parameters else "",
        "SHA-256": card.sha256 or "",
        "Folder": str(preset.folder or ""),
    }
    lines = [f"{preset.name}  ({_size(preset)})", *_wrapped(card.summary)]
    for name, text in fields.items():
        lines += _wrapped(f"{name}: {text}") if text else []
    return "\n".join(lines)


def _size(preset):
    if preset.card.bytes:
        return f"{preset.card.bytes / 1e6:.1f} MB"
    return "fetched" if preset.folder else f"`dpig download {preset.name}` fetches it"


def _scores(figures):
    """What of a run's scores tells most; all of them stand in the preset's card.json."""
    for name, path in _SCORES.items():
        value = figures
        for key in path.split("/"):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, float):
            yield f"{name} {value:.3g}"


def _wrapped(text):
    lines = textwrap.wrap(text, _COLUMNS, initial_indent="  ", subsequent_indent="    ")
    return list(map(printable, lines))  # a card may be a stranger's


if __name__ == "__main__":
    program.run(__name__)
