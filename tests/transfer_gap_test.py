"""scripts/transfer_gap.py: the parts of what re-posing loses add up to the whole."""

import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "transfer_gap.py"


@pytest.mark.slow
def test_what_is_lost_is_told_by_place(shipped_preset):
    command = [sys.executable, _SCRIPT, f"--run_dir=preset:{shipped_preset}", "--persons=4"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines()[2:]]
    told = {place: [float(n) for n in numbers] for place, *numbers in rows}
    share, reconstructed, transferred, lost = told.pop("all")
    assert share == 1 and lost == pytest.approx(reconstructed - transferred, abs=1.1e-3)
    assert sum(numbers[0] for numbers in told.values()) == pytest.approx(1, abs=2e-3)
    assert sum(numbers[-1] for numbers in told.values()) == pytest.approx(lost, abs=2e-4)
    # Nobody knows what a person hid; what was seen all the time is drawn as well as in place.
    share, reconstructed, transferred, _ = told["uncovered"]
    assert transferred < reconstructed - 0.05
