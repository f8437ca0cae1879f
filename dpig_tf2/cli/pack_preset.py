"""Packs a run folder as a preset of weights with a model card.

Examples:
    dpig pack_preset --run_dir=runs/mine --name=mine --card=mine.json
    dpig pack_preset --run_dir=runs/persons --name=persons --card=persons.json --out_dir=presets

--card is a JSON file of what a reader must know: summary, trained_on, license, intended_use, limits
and command (what makes the weights again), each a text. Steps, images seen, sizes and the figures
of the run's metrics.json are added, but for those of other checkpoints than are packed. Adversaries
are left out. Without --out_dir the preset goes to the user's cache and is used as
--run_dir=preset:NAME.
"""

import pathlib
import re

from absl import flags

from dpig_tf2.cli import flag_groups, program, scores

FLAGS = flags.FlagValues()
_RUN_FOLDER = flag_groups.RunFolderFlags(FLAGS)
_NAME = flags.DEFINE_string(
    "name", None, "Name of the preset: letters, digits, _.", required=True, flag_values=FLAGS
)
_CARD = flags.DEFINE_string(
    "card", None, "JSON file with the prose of the card.", required=True, flag_values=FLAGS
)
_OUT_DIR = flag_groups.define_out_dir(
    FLAGS,
    "Folder in which the preset's own folder is made. By default that of the user's cache where "
    "presets are looked for.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a preset of that name.", flag_values=FLAGS
)


def main() -> None:
    from dpig_tf2.presets import cards, packing, registry

    if not re.fullmatch(r"\w{1,64}", _NAME.value, re.ASCII):
        raise program.FlagError(
            f"--name={_NAME.value}: expected letters, digits and _", field="name"
        )
    if not _OUT_DIR.value and registry.is_shipped(_NAME.value):
        raise program.FlagError(
            f"--name={_NAME.value}: a preset of the package has that name, choose another",
            field="name",
        )
    card = cards.Card.read(_CARD.value)
    run = _RUN_FOLDER.open()
    figures, training = figures_and_training(run, _RUN_FOLDER.checkpoint.value)
    from dpig_tf2.models import weights
    from dpig_tf2.models.loading import load_networks

    config, networks = load_networks(
        _RUN_FOLDER.path.value, checkpoint=_RUN_FOLDER.checkpoint.value
    )
    arrays = weights.collect(v for network in networks.values() for v in network.variables)
    folder = (
        pathlib.Path(_OUT_DIR.value, _NAME.value)
        if _OUT_DIR.value
        else registry.fetched_folder(_NAME.value)
    )
    card = packing.pack(folder, config, arrays, card, figures, training, _OVERWRITE.value)
    program.say(
        f"wrote {folder}: {', '.join(sorted(networks))}; {card.parameters:,} parameters, "
        f"{(card.bytes or 0) / 1e6:.1f} MB"
    )


def figures_and_training(run, checkpoint: str) -> tuple[dict, dict]:
    """What a card says of the weights that are packed.

    Args:
        run: the `RunFolder`.
        checkpoint: of every stage, "latest" or "best".

    Returns:
        figures: the run's metrics.json without what was computed with other weights; a note is
            printed of each such entry.
        training: {stage: {"steps": n, "images": n}}.
    """
    from dpig_tf2.io.json_files import read_json

    packed = scores.provenance(run, checkpoint)
    found = read_json(run.metrics, finite=True) if run.metrics.exists() else {}
    figures = {name: entry for name, entry in found.items() if not _is_of_others(entry, packed)}
    for name in sorted(found.keys() - figures.keys()):
        program.say(f"note: {run.metrics}: {name} was computed with other weights, and is left out")
    steps = {stage: file["step"] for stage, file in packed.get("checkpoints", {}).items()}
    training = {
        stage: {"steps": step, "images": step * run.config.stage(stage).batch_size}
        for stage, step in steps.items()
    }
    return figures, training


def _is_of_others(entry, packed):
    """Whether scores name a file of weights that is not packed."""
    if not isinstance(entry, dict):
        return False
    named, present = ({**p.get("checkpoints", {}), "": p.get("weights")} for p in (entry, packed))
    return any(file and file != present.get(stage) for stage, file in named.items())


if __name__ == "__main__":
    program.run(__name__)
