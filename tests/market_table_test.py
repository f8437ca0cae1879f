"""scripts/market_table.py: a row for each recipe and kind of picture, means over its seeds."""

import json
import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "market_table.py"


def _run(folder, name, ssim, found, kinds=("transfer", "foreground")):
    run = folder / name
    run.mkdir()
    metrics = {
        "ssim": {"mean": ssim}, "mask_ssim": {"mean": 0.5},
        "pose_error": {"missed": 3} | ({} if found is None else {"found": found}),
    }  # fmt: skip
    scores = {"checkpoints": {"reconstruction": {"step": 1500}}, "metrics": metrics}
    (run / "metrics.json").write_text(json.dumps(dict.fromkeys(kinds, scores)))
    return run


def _table(*runs):
    return subprocess.run(
        [sys.executable, _SCRIPT, *runs], check=False, capture_output=True, text=True
    )


def test_seeds_of_a_recipe_are_one_row_of_each_kind(tmp_path):
    runs = [_run(tmp_path, f"modern_{seed}", 0.2 + 0.1 * seed, 0.5) for seed in (0, 1, 2)]
    finished = _table(*runs, _run(tmp_path, "published_0", 0.1, None))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[2:] == [
        f"| {name}, {kind} | 1,500 | {seeds} | {ssim} | {masked} | {found} | {missed} |"
        for kind in ("plain", "own background")
        for name, seeds, ssim, masked, found, missed in (
            (
                "modern", "0 1 2", "0.300 (0.200 to 0.400)", "0.500 (0.500 to 0.500)",
                "50.0% (50.0% to 50.0%)", "3 (3 to 3)",
            ),
            ("published", "0", "0.100", "0.500", "", "3"),
        )
    ]  # fmt: skip


@pytest.mark.parametrize("kinds, said", [(("transfer",), "foreground"), (None, "metrics.json")])
def test_a_seed_without_scores_is_named(tmp_path, kinds, said):
    whole = _run(tmp_path, "modern_0", 0.2, 0.5)
    other = tmp_path / "modern_1"
    other.mkdir() if kinds is None else _run(tmp_path, "modern_1", 0.2, 0.5, kinds)
    finished = _table(whole, other)
    assert finished.returncode == 2
    last = finished.stderr.splitlines()[-1]
    assert "modern" in last and said in last
