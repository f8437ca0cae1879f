import json
import subprocess
import sys

import pytest

from dpig_tf2.preparation import synthetic_records


@pytest.mark.slow
def test_input_is_measured_beside_training(tmp_path):
    synthetic_records.write(tmp_path, identities=6, images_per_identity=4)
    result = subprocess.run(
        [sys.executable, "-m", "dpig_tf2.cli.benchmark", "--what=input", "--hidden=4"]
        + [f"--data_dir={tmp_path}", "--runs=2", "--seconds=0.2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    figures = json.loads(result.stdout.splitlines()[-1])
    assert set(figures["ratios"]) == {"input, cache none", "input, cache memory"}
    for rate in [*figures["rates"], figures["training"]]:
        assert 0 < rate["lowest"] <= rate["median"] <= rate["highest"]
