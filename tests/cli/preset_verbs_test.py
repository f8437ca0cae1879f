"""Presets of weights as a user packs, lists and uses them."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dpig_tf2 import config
from dpig_tf2.cli import pack_preset, scores
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.sampler import PersonSampler

pytestmark = pytest.mark.slow  # starts programs

_REPOSITORY = pathlib.Path(__file__).parents[2]
_PROSE = ("summary", "trained_on", "license", "intended_use", "limits", "command")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def dpig(home):
    """Runs a command line in an empty home folder."""

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "HOME": str(home)}
        environment |= {"XDG_CACHE_HOME": str(home / "cache"), "LOCALAPPDATA": str(home)}
        return subprocess.run(
            [sys.executable, "-m", "dpig_tf2.cli.main", *map(str, arguments)],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, tiny_config):
    """A saved sampler with networks as they are before training, and a metrics.json."""
    from dpig_tf2.config import STAGES
    from dpig_tf2.models import factory

    model = tiny_config.model
    names = [name for stage in STAGES for name in factory.stage_networks(stage, model)]
    folder = tmp_path_factory.mktemp("run")
    networks = factory.build_networks([n for n in names if not n.endswith("critic")], model)
    del networks["discriminator"]
    PersonSampler(tiny_config, networks).save(folder)
    scores = {"metrics": {"ssim": {"mean": 0.5, "per_image": [0.5]}}, "names": ["a"]}
    scores["flags"] = {"data_dir": "/home/me"}
    (folder / "metrics.json").write_text(json.dumps({"transfer": scores}))
    return folder


@pytest.fixture
def packed(dpig, run_dir, home):
    """The preset `tiny` in the user's cache."""
    (home / "card.json").write_text(json.dumps({name: f"the {name}" for name in _PROSE}))
    flags = [f"--run_dir={run_dir}", "--name=tiny", "--card=card.json", "--overwrite"]
    result = dpig("pack_preset", *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_packed_listed_and_used(dpig, packed, run_dir, home, monkeypatch):
    assert "generator" in packed and "MB" in packed

    listing = dpig("presets")
    assert listing.returncode == 0
    assert "released_market1501  (`dpig download released_market1501` fetches it)" in listing.stdout
    assert "tiny  (0." in listing.stdout and "Scores: SSIM of pairs 0.5\n" in listing.stdout
    card = (home / "cache/dpig_tf2/presets/tiny/card.json").read_text()
    assert "0.5" in card and "/home/me" not in card, "a card is for others"
    assert "Limits: the limits" in dpig("presets", "--name=tiny").stdout

    sampled = dpig("sample", "--run_dir=preset:tiny", "--count=2", "--factors=pose")
    assert sampled.returncode == 0, sampled.stderr
    assert (home / "runs" / "preset-tiny" / "samples" / "sample" / "samples.json").exists()
    exported = dpig("export", "--run_dir=preset:tiny")
    assert exported.returncode == 0, exported.stderr
    assert (home / "runs" / "preset-tiny" / "export" / "1" / "saved_model.pb").exists()

    # float16 weights draw what float32 ones draw, but for a level here and there.
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(home))
    monkeypatch.setenv("HOME", str(home))
    full, half = PersonSampler.load(run_dir), PersonSampler.from_preset("tiny")
    assert half.model.networks.keys() == full.model.networks.keys()
    pictures = [s.sample(4, ["foreground"], seed=3).images.astype(int) for s in (full, half)]
    assert 0 < np.abs(pictures[0] - pictures[1]).max() <= 3


def test_the_card_speaks_of_the_weights_that_are_packed(tmp_path, capsys):
    run = RunFolder.create(tmp_path, config.preset("synthetic"))
    run.save_best("reconstruction", {"step": np.int64(700)}, 0.1)
    for step in (1000, 5000):
        run.save_checkpoint("reconstruction", step, {"step": np.int64(step)})
        run.write_metrics(f"at {step}", {"count": 5} | scores.provenance(run, "latest"))
    run.write_metrics("best", {"count": 5} | scores.provenance(run, "best"))
    batch = run.config.reconstruction.batch_size
    for checkpoint, step, kept in (("latest", 5000, "at 5000"), ("best", 700, "best")):
        figures, training = pack_preset.figures_and_training(run, checkpoint)
        assert list(figures) == [kept]
        assert training == {"reconstruction": {"steps": step, "images": step * batch}}
        assert "at 1000 was computed with other weights" in capsys.readouterr().out


def test_a_card_sends_nothing_but_text_to_the_terminal(dpig, home):
    folder = home / "cache" / "dpig_tf2" / "presets" / "odd"
    folder.mkdir(parents=True)
    card = {name: "clear\x1b[2J the\nscreen" for name in _PROSE}
    (folder / "card.json").write_text(json.dumps(card))
    for arguments in (["presets"], ["presets", "--name=odd"]):
        shown = dpig(*arguments).stdout
        assert "clear\\x1b[2J the screen" in shown and "\x1b" not in shown
    shutil.rmtree(folder)


def test_a_damaged_preset_is_one_line(dpig, packed, home):
    [file] = home.rglob("tiny/weights.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    result = dpig("sample", "--run_dir=preset:tiny", "--out_dir=damaged")
    file.write_bytes(content)
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("dpig")]
    assert "weights.safetensors" in line
    assert not (home / "damaged").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--run_dir=preset:nobody"], "no preset of weights is called 'nobody'; known:"),
        (["presets", "--name=nobody"], "no preset of weights is called 'nobody'; known:"),
        (["train", "--run_dir=preset:tiny", "--preset=synthetic", "--data_dir=x"], "read only"),
        (["pack_preset", "--run_dir=x", "--name=../x", "--card=c"], "expected letters"),
        (
            ["pack_preset", "--run_dir=x", "--name=persons_128x64", "--card=c"],
            "--name=persons_128x64: a preset of the package has that name",
        ),
        (["pack_preset", "--run_dir=x", "--name=released_market1501", "--card=c"], "has that name"),
    ],
)
def test_refusals_are_one_line(dpig, arguments, message):
    result = dpig(*arguments)
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("dpig")]
    assert message in line
