"""dpig import_tf1 as a user starts it, and what the imported run computes."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dpig_tf2.sampling.sampler import PersonSampler
from tests.legacy_tf1.reference import STAGES, Reference, deviation, person

pytestmark = pytest.mark.slow  # starts programs

REPOSITORY = pathlib.Path(__file__).parents[2]
TOLERANCE = 1e-5
MARKET = ("m1", "m2", "m3", "m4")


@pytest.fixture(scope="module")
def reference(shared_dir, tmp_path_factory):
    return Reference(shared_dir, tmp_path_factory.mktemp("checkpoints"))


def _import(*flags):
    command = [sys.executable, "-m", "dpig_tf2.cli.import_tf1", *map(str, flags)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)


def _flags(reference, *models):
    return [f"--{STAGES[model]}={reference.prefix(model)}" for model in models]


@pytest.fixture(scope="module")
def imported(reference, tmp_path_factory):
    """Run folder and standard output of an import of all four checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    flags = ["--preset=market1501", f"--run_dir={folder}", "--verify"]
    result = _import(*flags, *_flags(reference, *MARKET))
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_prints_what_was_imported_and_verifies_it(imported):
    folder, output = imported
    report = json.loads((folder / "import_tf1.json").read_text())
    networks = {n: v for s in report["stages"].values() for n, v in s["networks"].items()}
    assert len(networks) == 11
    for name, network in networks.items():
        line = next(x for x in output.splitlines() if x.startswith(f"{name} "))
        assert f"{network['parameters']:,}" in line and network["checksum"] in line
    assert "step 3, read from beta1_power" in output
    assert "step 7, read from the file's name" in output
    assert "verified" in output


def test_the_imported_run_computes_the_released_numbers(reference, imported):
    sampler = PersonSampler.load(imported[0])
    io = reference.numbers("m1", "io")
    source = person(io)
    embedding = sampler.encode_appearance(source["image"], source["keypoints"])
    assert deviation(embedding, io["out/embs"]) < TOLERANCE
    image = sampler.generate(embedding, source["keypoints"], raw=True)
    assert deviation(image, io["out/G_raw"]) < TOLERANCE
    io = reference.numbers("m4", "io")
    codes = sampler.encode_pose(person(io)["keypoints"])
    assert deviation(codes, io["out/pose_embs"]) < TOLERANCE
    mapped = sampler.map_noise(io["in/noise_pose"], "pose")
    assert deviation(mapped, io["out/sampled_embs_pose"]) < TOLERANCE
    image = sampler.generate(io["out/embs"], sampler.decode_pose(mapped), raw=True)
    assert deviation(image, io["out/G_raw"]) < TOLERANCE
    io = reference.numbers("m3", "io")
    for code, factor in (("fg", "foreground"), ("bg", "background")):
        mapped = sampler.map_noise(io[f"in/noise_{code}"], factor)
        assert deviation(mapped, io[f"out/sampled_embs_{code}"]) < TOLERANCE


def test_deepfashion_runs_sample(reference, tmp_path):
    flags = ["--preset=deepfashion", f"--run_dir={tmp_path}"]
    result = _import(*flags, *_flags(reference, "m101", "m103"))
    assert result.returncode == 0, result.stderr
    sampler = PersonSampler.load(tmp_path)
    embedding = sampler.map_noise(sampler.draw_noise(2, "appearance"), "appearance")
    pose = np.random.default_rng(0).uniform(20, 230, [2, 18, 3]).astype(np.float32)
    pose[..., 2] = 1.0
    image = sampler.generate(embedding, pose, raw=True)
    assert image.shape == (2, 256, 256, 3) and np.isfinite(image).all()
    again = sampler.encode_appearance(np.zeros([2, 256, 256, 3], np.uint8), pose)
    assert again.shape == (2, 224) and np.isfinite(again).all()


def test_lists_what_it_skips(reference, tmp_path):
    name = "PoseAE/G_Pose_Encoder/fully_connected_2/weights"
    tensors = {n: v for n, v in reference.checkpoint("m2").tensors.items() if n != name}
    flag = f"--pose={reference.write('incomplete-3', tensors)}"
    flags = ["--preset=market1501", f"--run_dir={tmp_path / 'run'}", flag]
    result = _import(*flags)
    assert result.returncode == 1
    assert f"missing variables: {name}" in result.stderr
    assert not (tmp_path / "run").exists()
    result = _import(*flags, "--nostrict")
    assert result.returncode == 0, result.stderr
    assert f"skipped, missing: {name} (not in the checkpoint)" in result.stdout


def test_bad_input_ends_in_one_line_and_writes_nothing(reference, tmp_path):
    folder = tmp_path / "run"
    flags = ["--preset=market1501", f"--run_dir={folder}"]
    truncated = tmp_path / "truncated"
    shutil.copytree(pathlib.Path(reference.prefix("m2")).parent, truncated)
    data = truncated / "model.ckpt-7.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1000])
    for arguments, message in (
        ([], "give at least one of --reconstruction, --pose"),
        ([f"--pose={truncated}"], "is damaged or truncated"),
        ([f"--pose={reference.prefix('m1')}"], "looks like a checkpoint of stage reconstruction"),
    ):
        result = _import(*flags, *arguments)
        assert result.returncode == 1
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("dpig import_tf1: error: ") and message in last
        assert "Traceback" not in result.stderr
        assert not folder.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset=synthetic", "--run_dir=x"], "<market1501|deepfashion>"),
        (["--preset=market1501"], "--run_dir must be given"),
        (
            ["--preset=market1501", "--run_dir=x", "--poses=y"],
            "unknown flag --poses; did you mean --pose?",
        ),
    ],
)
def test_bad_flags(flags, message):
    result = _import(*flags)
    assert result.returncode == 1
    assert message in result.stderr
