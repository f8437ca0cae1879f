"""scripts/sampled_codes.py: sampled codes that are nothing like those of persons are told."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from dpig_tf2 import config
from dpig_tf2.models import factory, loading

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "sampled_codes.py"


@pytest.mark.slow
def test_a_factor_whose_samples_are_far_from_all_persons_is_told(tmp_path):
    settings = config.preset("modern").override(**{
        "model.height": 32, "model.width": 16, "model.hidden": 8, "model.region_embedding": 8,
        "model.background_embedding": 32, "model.placed_channels": 4, "model.pose_hidden": 8,
        "model.foreground_mapping_hidden": 8, "model.background_mapping_hidden": 8,
        "model.pose_mapping_hidden": 8,
    })  # fmt: skip
    names = ("appearance_encoder", "pose_encoder", "foreground_mapping", "background_mapping",
             "pose_mapping")  # fmt: skip
    networks = factory.build_networks(names, settings.model)
    networks["background_mapping"].code_mean.assign(np.full(32, 1e3))
    loading.save_networks(tmp_path / "run", settings, networks)
    command = [sys.executable, _SCRIPT, f"--run_dir={tmp_path / 'run'}", "--persons=20"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines()[2:]]
    told = {(factor, kind): [float(n) for n in numbers] for factor, kind, *numbers in rows}
    assert len(told) == 9
    assert told["background", "sampled"] == [0, 0]
    for factor in settings.model.factors:
        assert min(told[factor, "others"]) > 0.5
