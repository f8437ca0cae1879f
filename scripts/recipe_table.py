"""The table and the sheet of `scripts/recipe_changes.sh`: a row and a column for each run folder.

.venv/bin/python scripts/recipe_table.py --data_dir=data/changes --out=changes.png RUNS
"""

import argparse
import json
import pathlib

from dpig_tf2 import PersonSampler
from dpig_tf2.evaluation import disentanglement
from dpig_tf2.io.images import save_png
from dpig_tf2.preparation.synthetic_records import factors_path
from dpig_tf2.visual.sheets import labeled_sheet

_FACTORS = ("foreground", "background", "pose")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="+", type=pathlib.Path)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--persons", type=int, default=8)
    flags = parser.parse_args()
    for run in flags.run:
        if not (run / "metrics.json").exists():
            parser.error(f"{run}: expected a run folder with scores, metrics.json")
    _print_table(flags.run)
    factors = disentanglement.load_factors(factors_path(flags.data_dir, "test"))
    pairs = disentanglement.choose_pairs(factors, flags.persons)
    save_png(flags.out, _sheet(flags.run, pairs, factors))


def _print_table(runs):
    moved = [f"moved, {factor}" for factor in _FACTORS]
    print("| " + " | ".join(["", "SSIM", "SSIM, re-posed", "L1, re-posed", *moved]) + " |")
    print("|---" * (4 + len(moved)) + "|")
    for run in runs:
        scores = json.loads((run / "metrics.json").read_text())["disentanglement"]
        transfer, table = scores["transfer"], scores["moved"]["table"]
        values = [
            f"{scores['reconstruction']['ssim']:.3f}",
            f"{transfer['ssim']:.3f}",
            f"{transfer['l1']:.4f}",
            *(f"{table[factor][factor]:.2f}" for factor in _FACTORS),
        ]
        print("| " + " | ".join([_label(run), *values]) + " |")


def _sheet(runs, pairs, factors):
    samplers = {_label(run): PersonSampler.load(run) for run in runs}
    model = next(iter(samplers.values())).config.model
    persons = disentanglement.SyntheticPersons(pairs, factors, model.height, model.width)
    photos = persons.images, persons.keypoints
    columns = {
        "person": persons.images,
        "pose of": persons.other_images,
        "drawn by the renderer": persons.swapped("pose"),
    } | {label: one.transfer(*photos, persons.other_keypoints) for label, one in samplers.items()}
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return labeled_sheet(rows, column_labels=list(columns), scale=2)


def _label(run):
    return run.name.replace("_", " ")


if __name__ == "__main__":
    main()
