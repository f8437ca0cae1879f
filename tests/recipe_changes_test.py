"""scripts/recipe_changes.sh with a stand-in for Python that leaves the files of the verbs."""

import json

import pytest

from dpig_tf2 import config
from tests import programs

_STAND_IN = """#!/usr/bin/env bash
# Called as: -m dpig_tf2.cli.main VERB --flags, or: scripts/recipe_table.py --flags RUNS
[[ "$1" == -m ]] && shift 2
echo "$@" >> calls
cat > /dev/null  # what would be taken from the list of changes
for flag in "$@"; do
  case $flag in
    --run_dir=*) run="${flag#--run_dir=}" ;;
    --out_dir=*) out="${flag#--out_dir=}" ;;
    --split=*) split="${flag#--split=}" ;;
  esac
done
[[ "$run" != "${FAILS:-none}" ]] || exit 130
case $1 in
  make_synthetic) made="$out/synthetic_factors_$split.json" ;;
  evaluate_disentanglement) made="$run/metrics.json" ;;
  *) exit 0 ;;
esac
mkdir -p "$(dirname "$made")"; touch "$made"
"""
_RUNS = 14


@pytest.fixture
def script(tmp_path):
    return programs.script_with_stand_in(tmp_path, "recipe_changes.sh", _STAND_IN)


def _config(flags):
    """What --preset, --set and --steps of a call of `train` say; the last of a name counts."""
    given = {}
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name == "set":
            name, _, value = value.partition("=")
            value = value if name.endswith("optimizer") else json.loads(value)
        given[name] = value
    fields = {name: value for name, value in given.items() if "." in name}
    fields["reconstruction.steps"] = int(given["steps"])
    return config.preset(given["preset"]).override(**fields)


def test_every_change_is_one_of_the_whole_recipe(script):
    said, status, calls = script(STEPS="40")
    assert status == 0, said
    verbs = [call[0] for call in calls]
    trained = ["train", "evaluate_disentanglement"] * _RUNS
    assert verbs == ["make_synthetic"] * 2 + trained + ["scripts/recipe_table.py"]
    whole, *others = (_config(call[1:]) for call in calls if call[0] == "train")
    assert (whole.preset, whole.reconstruction.steps) == ("modern_64x32", 40)
    assert [other.reconstruction.steps for other in others].count(40) == _RUNS - 2
    assert sum(other == whole for other in others) == 2  # another seed, and other photos
    assert all(other.reconstruction.batch_size == 4 for other in others)
    assert [word for word in calls[-1] if "/" in word][-1] == "runs/changes/40/published_networks"
    assert len([word for word in calls[-1] if word.startswith("runs/")]) == _RUNS


def test_a_stopped_run_goes_on(script):
    said, status, calls = script(FAILS="runs/changes/500/no_moving_average")
    assert status == 130, said
    finished = len([call for call in calls if call[0] == "train"]) - 1
    said, status, calls = script()
    assert status == 0, said
    assert [call[0] for call in calls].count("train") == _RUNS - finished
    assert "--run_dir=runs/changes/500/no_moving_average" in calls[0]


def test_another_number_of_steps_is_trained_anew(script):
    script(STEPS="40")
    said, status, calls = script(STEPS="50")
    assert status == 0, said
    assert [call[0] for call in calls].count("train") == _RUNS
