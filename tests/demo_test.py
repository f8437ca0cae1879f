"""scripts/demo.sh with a stand-in for Python that leaves the files which the verbs would."""

import pytest

from tests import programs

_STAND_IN = """#!/usr/bin/env bash
# Called as: -m dpig_tf2.cli.main VERB --flags
echo "${@:3}" >> calls
run=runs/demo; out=data/none; split=none
for flag in "$@"; do
  case $flag in
    --run_dir=preset:*) run="runs/preset-${flag#--run_dir=preset:}" ;;
    --out_dir=*) out="${flag#--out_dir=}" ;;
    --split=*) split="${flag#--split=}" ;;
  esac
done
[[ "$3" != "${FAILS:-}" ]] || exit 130
case $3 in
  make_synthetic) made="$out/synthetic_factors_$split.json" ;;
  overview) made="$run/samples/overview/sheets/overview.png" ;;
  evaluate_disentanglement) printf '{\\n  "count": 200\\n}\\nscores: here\\n'
    made="$run/samples/disentanglement.png $run/metrics.json" ;;
  export) made="$out/1/saved_model.pb" ;;
  train)
    for stage in reconstruction pose appearance_mapping pose_mapping; do
      mkdir -p "$run/checkpoints/$stage"
      touch "$run/checkpoints/$stage/step-00000005.npz"
      [[ $stage == "${SHORT:-}" ]] && steps=$STEPS || steps=00001800
      touch "$run/checkpoints/$stage/step-$steps.npz"
    done ;;
esac
for file in $made; do mkdir -p "$(dirname "$file")"; touch "$file"; done
"""
_FIRST = ["make_synthetic", "overview", "evaluate_disentanglement"]  # with the shipped weights
_DATA = ["make_synthetic", "make_synthetic"]
_VERBS = [*_FIRST, *_DATA, "train", "evaluate_disentanglement", "overview", "export"]


@pytest.fixture
def demo(tmp_path):
    """Runs the script in a folder of its own: what it says, its status, and the verbs it called."""
    return programs.script_with_stand_in(tmp_path, "demo.sh", _STAND_IN)


def _verbs(calls):
    return [call[0] for call in calls]


def test_pictures_come_first_and_nothing_is_repeated(demo):
    said, status, calls = demo()
    assert status == 0, said
    assert _verbs(calls) == _VERBS
    assert all("preset:persons_128x64" in " ".join(call) for call in calls[1:3])
    assert said.index("dpig page, then open") < said.index("2/7") and "12 minutes left" in said
    said, status, calls = demo()
    assert status == 0, said
    assert _verbs(calls) == ["train"]  # which says itself that its stages are finished


@pytest.mark.parametrize("stage", ["reconstruction", "pose", "pose_mapping"])
@pytest.mark.parametrize(("steps", "told"), [("00000009", True), ("00000200", False)])
def test_it_tells_where_training_was_too_short_for_pictures(demo, stage, steps, told):
    said, status, _ = demo(TIME="2", SHORT=stage, STEPS=steps)
    assert status == 0, said
    notes = [line for line in said.splitlines() if line.startswith("note: in 2 minutes")]
    assert len(notes) == told
    assert all(f"there was time for 9 steps of {stage} only: " in note for note in notes)


def test_scores_are_not_all_printed(demo, tmp_path):
    said, _, _ = demo()
    assert "scores: here" in said and "count" not in said
    (tmp_path / "runs/demo/metrics.json").unlink()
    said, status, _ = demo(FAILS="evaluate_disentanglement")
    assert status == 130 and "goes on from there" in said


def test_it_promises_no_end_that_is_past(demo, tmp_path):
    script = tmp_path / "scripts" / "demo.sh"
    script.write_text(script.read_text().replace("\nSECONDS=0 ", "\nSECONDS=700 "))
    said, status, _ = demo(TIME="11")
    assert status == 0, said
    assert "== 4/7 scores on held-out persons against true renders (TIME=11 is over)" in said
    assert "left)" not in said and said.splitlines()[-6] == "== 7/7 done; look at"
    assert "at most 1 minute left" in demo(TIME="12")[0]


@pytest.mark.parametrize("minutes", [3, 12, 45])
def test_training_leaves_time_for_what_comes_after_it(demo, minutes):
    _, _, calls = demo(TIME=str(minutes))
    [given] = [flag.partition("=")[2] for flag in calls[5] if flag.startswith("--minutes=")]
    stages = [float(number) for number in given.split(",")]
    assert len(stages) == 4
    assert sum(stages) == pytest.approx(minutes * 2 / 3, rel=0.1)
    assert stages[0] > 4 * max(stages[1:])


def test_a_stopped_demo_goes_on(demo):
    said, status, calls = demo(FAILS="train")
    assert status == 130 and _verbs(calls) == _VERBS[:6]
    assert said.splitlines()[-1].startswith("stopped; what is finished stays")
    said, status, calls = demo()
    assert status == 0 and _verbs(calls) == _VERBS[5:], said


@pytest.mark.parametrize("minutes", ["0", "1.5", "soon", "99999"])
def test_a_wrong_time_is_refused_before_anything(demo, minutes):
    said, status, calls = demo(TIME=minutes)
    assert status == 1 and not calls
    assert said == f"TIME={minutes}: expected whole minutes from 1 to 9999\n"
