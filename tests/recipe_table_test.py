"""scripts/recipe_table.py: a row of scores and a column of pictures for each run."""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import PersonSampler
from dpig_tf2.evaluation import disentanglement
from dpig_tf2.models import factory
from dpig_tf2.preparation.synthetic_records import factors_path

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "recipe_table.py"
_FACTORS = ("foreground", "background", "pose")


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("recipe_table", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path, tiny_config):
    """A saved sampler with scores, whose name has a blank."""
    names = ("appearance_encoder", "generator")
    sampler = PersonSampler(tiny_config, factory.build_networks(names, tiny_config.model))
    folder = tmp_path / "no_average"
    sampler.save(folder)
    table = {row: {column: 9.0 for column in _FACTORS} for row in _FACTORS}
    for share, factor in enumerate(_FACTORS):
        table[factor][factor] = share / 4
    scores = {
        "reconstruction": {"ssim": 0.5}, "transfer": {"ssim": 0.25, "l1": 0.125},
        "moved": {"table": table},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps({"disentanglement": scores}))
    return folder


def _called(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["recipe_table.py", *map(str, arguments)])
    script.main()


def test_scores_and_pictures(script, run, synthetic_data, tmp_path, monkeypatch, capsys):
    drawn = []

    def labeled_sheet(rows, column_labels, scale):
        drawn.extend([column_labels, np.stack([np.stack(row) for row in rows])])
        return drawn[1][0, 0]

    monkeypatch.setattr(script, "labeled_sheet", labeled_sheet)
    out = tmp_path / "sheet.png"
    _called(script, monkeypatch, run, f"--data_dir={synthetic_data}", f"--out={out}", "--persons=3")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "| no average | 0.500 | 0.250 | 0.1250 | 0.00 | 0.25 | 0.50 |"
    labels, pictures = drawn
    assert labels == ["person", "pose of", "drawn by the renderer", "no average"]
    factors = disentanglement.load_factors(factors_path(synthetic_data, "test"))
    persons = disentanglement.SyntheticPersons(
        disentanglement.choose_pairs(factors, 3), factors, *pictures.shape[2:4]
    )
    moved = PersonSampler.load(run).transfer(
        persons.images, persons.keypoints, persons.other_keypoints
    )
    columns = persons.images, persons.other_images, persons.swapped("pose"), moved
    for found, expected in zip(np.moveaxis(pictures, 1, 0), columns, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(Image.open(out), persons.images[0])


def test_a_run_without_scores_is_named(script, run, synthetic_data, monkeypatch, capsys):
    (run / "metrics.json").unlink()
    with pytest.raises(SystemExit):
        _called(script, monkeypatch, run, f"--data_dir={synthetic_data}", "--out=unused.png")
    assert f"{run}: expected a run folder with scores" in capsys.readouterr().err
