"""scripts/active_units.py: a convolution that nothing comes out of is told."""

import pathlib
import subprocess
import sys

import pytest

from dpig_tf2 import config
from dpig_tf2.models import factory, loading

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "active_units.py"


@pytest.mark.slow
def test_dead_and_half_dead_convolutions_are_told(tmp_path):
    settings = config.preset("modern").override(**{
        "model.height": 32, "model.width": 16, "model.hidden": 8, "model.region_embedding": 8,
        "model.background_embedding": 32, "model.placed_channels": 4,
    })  # fmt: skip
    names = ("appearance_encoder", "generator")
    networks = factory.build_networks(names, settings.model)
    dead = networks["generator"].scene_residuals[1].conv_1
    dead.bias.assign([-1e6] * 24)
    half = networks["appearance_encoder"].figure_downs[0]
    half.bias.assign([-1e6] * 4 + [1e6] * 4)
    loading.save_networks(tmp_path / "run", settings, networks)
    command = [sys.executable, _SCRIPT, f"--run_dir={tmp_path / 'run'}", "--persons=2"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    told = {line.split()[0]: line.split()[1:] for line in finished.stdout.splitlines()[1:]}
    assert told[dead.path] == ["24", "0%", "0.0%"]
    assert told[half.path] == ["8", "50%", "50.0%"]
    assert told["generator/scene_3"][0] == "8"
    assert len(told) == 27  # all but those whose outputs are colors
