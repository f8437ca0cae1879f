"""The table of `scripts/train_market.sh`: means over the seeds, and the range of several.

.venv/bin/python scripts/market_table.py runs/market_64_published_* runs/market_64_modern_*

Folders whose names differ in their last part alone, the seed, make a row for each kind of
picture.
"""

import argparse
import json
import pathlib
import statistics

_KINDS = {"transfer": "plain", "foreground": "own background"}
_SCORES = {
    "SSIM": ("{:.3f}", lambda scores: scores["ssim"]["mean"]),
    "mask-SSIM": ("{:.3f}", lambda scores: scores["mask_ssim"]["mean"]),
    "keypoints found": ("{:.1%}", lambda scores: scores["pose_error"].get("found")),
    "nobody found": ("{:.0f}", lambda scores: scores["pose_error"].get("missed")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="+", type=pathlib.Path)
    runs = {}
    for run in parser.parse_args().run:
        if not (run / "metrics.json").exists():
            parser.error(f"{run}: expected a run folder with scores, metrics.json")
        runs.setdefault(run.name.rpartition("_")[0], []).append(run)
    print("| " + " | ".join(["", "steps", "seeds", *_SCORES]) + " |")
    print("|---" * (3 + len(_SCORES)) + "|")
    for kind, shown in _KINDS.items():
        for name, folders in runs.items():
            found = [json.loads((run / "metrics.json").read_text()) for run in folders]
            scored = [scores[kind] for scores in found if kind in scores]
            if len(scored) < len(folders):
                parser.error(f"{name}: not every seed is scored by --pictures={kind}")
            steps = {each["checkpoints"]["reconstruction"]["step"] for each in scored}
            row = [f"{name}, {shown}", " ".join(f"{step:,}" for step in sorted(steps))]
            row.append(" ".join(run.name.rpartition("_")[2] for run in folders))
            for form, score in _SCORES.values():
                row.append(_cell(form, [score(each["metrics"]) for each in scored]))
            print("| " + " | ".join(row) + " |")


def _cell(form, values):
    if None in values:
        return ""
    mean = form.format(statistics.mean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({form.format(min(values))} to {form.format(max(values))})"


if __name__ == "__main__":
    main()
