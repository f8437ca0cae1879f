import json
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from PIL import Image

from dpig_tf2 import config, memory_needs
from dpig_tf2.benchmarks import cases, machine
from dpig_tf2.benchmarks.measure import Result
from dpig_tf2.cli import benchmark
from dpig_tf2.errors import DpigError
from dpig_tf2.models import factory
from dpig_tf2.sampling.sampler import PersonSampler


@pytest.mark.slow
def test_ways_are_compared_and_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- figures of dpig benchmark -->\n<!-- end of figures -->\n")
    command = [sys.executable, "-m", "dpig_tf2.cli.benchmark", "--what=pose_maps", "--what=crops"]
    command += ["--preset=synthetic", "--hidden=4", "--batch_size=2", "--runs=1"]
    command += ["--precision=float32", f"--out={tmp_path}/figures.json", f"--markdown={page}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {(row["what"], row["way"]) for row in figures["results"]} == {
        ("pose maps", "reference"),
        ("pose maps", "fast float32"),
        ("region crops with gradient", "products"),
        ("region crops with gradient", "crop_and_resize"),
    }
    for row in figures["results"]:
        assert (row["preset"], row["hidden"], row["batch"]) == ("synthetic", 4, 2)
        assert row["ratio"] > 0 and len(row["seconds"]) == 1
    assert figures["limits_gflops"]["float32"]["matmul"] > 0
    assert "| pose maps | fast |" in page.read_text()
    assert "pose maps" in result.stdout
    assert figures["command"].startswith("dpig benchmark --what=pose_maps --what=crops --preset=")


@pytest.fixture
def flags():
    saved = flagsaver.save_flag_values(benchmark.FLAGS)
    yield benchmark.FLAGS
    flagsaver.restore_flag_values(saved, benchmark.FLAGS)


def test_what_is_measured_outlives_what_follows(flags, tmp_path, monkeypatch):
    found = Result("sampling", "fast", "market1501", 64, 32, 8, 1, "CPU", "float32", (0.1,), ())

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cases, "sampling", lambda settings: [found])
    monkeypatch.setattr(machine, "limits", lambda *_: {"matmul": 1.0, "conv": 1.0})
    monkeypatch.setattr(benchmark, "_served", stopped)
    path = tmp_path / "figures.json"
    flags(["dpig", "--what=sampling", "--what=serving", f"--out={path}"])
    with pytest.raises(KeyboardInterrupt):
        benchmark.main()
    assert [row["what"] for row in json.loads(path.read_text())["results"]] == ["sampling"]


def test_curves_are_drawn(flags, tmp_path, monkeypatch):
    sizes = [(128, 64, 16, 8), (128, 64, 16, 16), (128, 64, 32, 8), (256, 128, 16, 8)]
    results = [
        Result("training step", "fast", "market1501", *size, "CPU", "float32", (0.1,), ())
        for size in sizes
    ]
    monkeypatch.setattr(cases, "curves", lambda settings, sizes: results)
    monkeypatch.setattr(machine, "limits", lambda *_: {"matmul": 1.0, "conv": 1.0})
    monkeypatch.setattr(benchmark, "_choices", lambda: [])
    path = tmp_path / "curves.png"
    flags(["dpig", "--what=curves", "--precision=float32", f"--picture={path}"])
    benchmark.main()
    assert Image.open(path).size[0] > 1000


@pytest.fixture
def unmeasured(monkeypatch):
    """Fails a test whose flags are not refused before anything is measured."""

    def measured(*_):
        raise AssertionError("something was measured")

    monkeypatch.setattr(machine, "limits", measured)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--what=stage2", "--preset=modern"], "--what=stage2 measures updates of critics"),
        (["--what=serving", "--run_dir=nowhere"], "nowhere is not a run folder"),
        (["--what=crops", "--data_dir=d"], "--data_dir is for --what=input"),
        (["--what=serving", "--checkpoint=best"], "--checkpoint needs --run_dir"),
        (["--what=serving", "--run_dir=r", "--hidden=8"], "--run_dir and --hidden exclude"),
        (["--what=crops", f"--out={__file__}/figures.json"], "benchmark_test.py"),
        (["--what=curves", "--picture=."], "directory: '.'"),
    ],
)
def test_flags_are_refused_before_measuring(typed, message, flags, unmeasured):
    flags(["dpig", *typed])
    with pytest.raises((DpigError, OSError), match=message):
        benchmark.main()


def test_curves_of_networks_that_are_too_large_are_refused_before_measuring(
    flags, unmeasured, monkeypatch
):
    published = memory_needs.weights(config.preset("market1501").model)
    monkeypatch.setattr(memory_needs, "machine_memory", lambda: published)
    flags(["dpig", "--what=curves", "--hidden=128"])
    with pytest.raises(DpigError, match="networks of these sizes need"):
        benchmark.main()


def test_a_run_without_the_networks_is_refused_before_measuring(flags, unmeasured, tmp_path):
    settings = config.preset("synthetic").override(**{"model.pose_hidden": 8})
    networks = factory.build_networks(["pose_encoder", "pose_decoder"], settings.model)
    PersonSampler(settings, networks).save(tmp_path)
    flags(["dpig", "--what=serving", f"--run_dir={tmp_path}"])
    with pytest.raises(DpigError, match="has no trained appearance_encoder and generator"):
        benchmark.main()


def test_all_leaves_out_critics_where_there_are_none(flags, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(machine, "limits", lambda *_: {"matmul": 1.0, "conv": 1.0})
    monkeypatch.setattr(benchmark, "_choices", lambda: [])
    monkeypatch.setattr(benchmark, "_results", lambda what, *_: begun.append(what) or [])
    monkeypatch.setattr(cases, "curves", lambda settings, sizes: [])
    for name in ("_peaks", "_served"):
        monkeypatch.setattr(benchmark, name, lambda *_: [])
    flags(["dpig", "--what=all", "--quick", "--preset=modern"])
    benchmark.main()
    assert begun == ["reconstruction", "sampling", "pose_maps", "crops", "input"]
    assert "note: stage2 is left out" in capsys.readouterr().out


def test_a_picture_needs_curves(tmp_path):
    command = [sys.executable, "-m", "dpig_tf2.cli.benchmark", "--what=pose_maps"]
    command += [f"--picture={tmp_path}/curves.png"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "--picture is for --what=curves" in result.stderr
