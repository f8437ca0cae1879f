import json
import subprocess
import sys

import pytest
from absl.testing import flagsaver
from PIL import Image

from dpig_tf2.benchmarks import cases, machine
from dpig_tf2.benchmarks.measure import Result
from dpig_tf2.cli import benchmark


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

    def stopped(config):
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


def test_a_picture_needs_curves(tmp_path):
    command = [sys.executable, "-m", "dpig_tf2.cli.benchmark", "--what=pose_maps"]
    command += [f"--picture={tmp_path}/curves.png"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "--picture is for --what=curves" in result.stderr
