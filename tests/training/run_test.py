"""A stage from configuration to finished run, and the command line around it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.config import STAGES, ConfigError
from dpig_tf2.models import weights
from dpig_tf2.pipeline.input_pipeline import RecordSet
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import run as training
from dpig_tf2.training.data import TrainingData

pytestmark = pytest.mark.slow  # trains whole stages

OPTIONS = training.RunOptions(log_every=2, picture_every=2, checkpoint_every=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_config, synthetic_data):
    """A run folder with all four tiny stages trained."""
    run = RunFolder.create(tmp_path_factory.mktemp("run") / "run", tiny_config)
    data = TrainingData(RecordSet.open(synthetic_data, "train"))
    training.train(run, STAGES, data, OPTIONS)
    return run, data


def test_all_stages_leave_checkpoints_pictures_and_scalars(finished):
    run, _ = finished
    for stage in STAGES:
        assert [step for step, _ in run.checkpoints(stage)] == [2, 4]
        lines = (run.logs(stage) / "scalars.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [2, 4]
        names = set(json.loads(lines[-1])) - {"step"}
        assert all("/" in name for name in names)
        assert "speed/images_per_second" in names
        assert any(name.startswith("learning_rate/") for name in names)
        assert list(run.logs(stage).glob("events.*"))
        picture = np.asarray(Image.open(run.samples / f"{stage}-00000004.png"))
        assert picture.std() > 10, "a sheet with something on it"


def test_a_finished_stage_is_not_trained_again(finished, capsys):
    run, data = finished
    before = run.load_checkpoint("pose")[0].stat().st_mtime_ns
    training.train(run, STAGES, data, OPTIONS)
    assert run.load_checkpoint("pose")[0].stat().st_mtime_ns == before
    assert capsys.readouterr().out.count("finished: 4 of 4 steps done") == 4


def test_embeddings_are_computed_once(finished):
    run, data = finished
    (cache,) = (run.path / "cache").glob("embeddings-*.npz")
    assert set(weights.load(cache)) == {"foreground", "background"}


def test_stage_two_without_its_predecessor_is_refused(tmp_path, tiny_config, synthetic_data):
    run = RunFolder.create(tmp_path / "run", tiny_config)
    data = TrainingData(RecordSet.open(synthetic_data, "train"))
    with pytest.raises(ConfigError, match="no checkpoint of stage reconstruction"):
        training.train(run, ["appearance_mapping"], data, OPTIONS)


def test_poses_alone_train_the_pose_stages_only(tmp_path, tiny_config):
    rng = np.random.default_rng(0)
    keypoints = np.concatenate(
        [rng.uniform(0, 30, (40, 18, 2)), np.ones((40, 18, 1))], axis=-1
    ).astype(np.float32)
    run = RunFolder.create(tmp_path / "run", tiny_config)
    data = TrainingData(keypoints=keypoints)
    training.train(run, ["pose", "pose_mapping"], data, OPTIONS)
    assert run.latest_step("pose_mapping") == 4
    with pytest.raises(ConfigError, match="stage reconstruction needs photos"):
        training.train(run, ["reconstruction"], data, OPTIONS)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, tiny_config, synthetic_data):
    run = RunFolder.create(
        tmp_path / "run", tiny_config.override(**{"pose.learning_rate": 1e30, "pose.steps": 8})
    )
    data = TrainingData(RecordSet.open(synthetic_data, "train"))
    with pytest.raises(training.TrainingError, match="stage pose, step .* is not finite"):
        training.train(run, ["pose"], data, OPTIONS)
    for _, path in run.checkpoints("pose"):
        assert all(np.isfinite(array).all() for array in weights.load(path).values())


def program(*flags):
    return [sys.executable, "-m", "dpig_tf2.cli.train", *flags]


def run_program(*flags):
    return subprocess.run(program(*flags), capture_output=True, text=True, timeout=300)


def tiny_flags(overrides, data, run, **more):
    return [
        "--preset=synthetic",
        f"--data_dir={data}",
        f"--run_dir={run}",
        *(f"--set={name}={value}" for name, value in (overrides | more).items()),
    ]


def test_resumed_equals_uninterrupted(tmp_path, tiny_overrides, synthetic_data):
    """Weights, optimizer state, rates and data position, bit for bit with --deterministic."""
    runs = {name: tmp_path / name for name in ("whole", "parts")}
    common = ["--stage=reconstruction", "--deterministic", "--log_every=1"]

    def train(name, steps):
        flags = tiny_flags(tiny_overrides, synthetic_data, runs[name])
        result = run_program(*flags, *common, f"--steps={steps}")
        assert result.returncode == 0, result.stderr[-2000:]

    train("whole", 6)
    for steps in (2, 6):
        train("parts", steps)
    whole, parts = (
        RunFolder.open(runs[name]).load_checkpoint("reconstruction")[1] for name in runs
    )
    assert set(whole) == set(parts)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name], err_msg=name)
    logs = [(runs[n] / "logs/reconstruction/scalars.jsonl").read_text().splitlines() for n in runs]
    losses = [[json.loads(line)["loss/reconstruction"] for line in lines] for lines in logs]
    assert losses[0] == losses[1]


def test_sigterm_saves_a_checkpoint_and_exits(tmp_path, tiny_overrides, synthetic_data):
    flags = tiny_flags(tiny_overrides, synthetic_data, tmp_path / "run")
    process = subprocess.Popen(
        program(*flags, "--stage=pose", "--steps=1000000", "--log_every=1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    scalars = tmp_path / "run/logs/pose/scalars.jsonl"
    deadline = time.monotonic() + 120
    while not (scalars.exists() and scalars.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors[-2000:]
    step = RunFolder.open(tmp_path / "run").latest_step("pose")
    last = json.loads(scalars.read_text().splitlines()[-1])["step"]
    assert step == last, "nothing that was logged is lost"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data_dir=x"], "--preset is needed"),
        (["--preset=synthetic"], "either --data_dir"),
        (["--preset=synthetic", "--data_dir=x", "--keypoints=y"], "either --data_dir"),
        (["--preset=synthetic", "--data_dir=x", "--set=model.hiden=3"], "model.hiden"),
        (["--preset=synthetic", "--data_dir=x", "--set=model.hidden=wide"], "model.hidden"),
        (["--preset=synthetic", "--data_dir=x", "--steps=3"], "--steps needs one --stage"),
        (
            ["--preset=synthetic", "--data_dir=x", "--stage=pose", "--pairing=triplet"],
            "--pairing does not apply to stage pose",
        ),
        (["--preset=synthetic", "--data_dir=x", "--jit_compile", "--crop_method=gather"], "gather"),
        (["--preset=synthetic", "--data_dir=does_not_exist"], "does_not_exist"),
        (["--preset=synthetic", "--data_dir=x", "--batch_sise=3"], "batch_sise"),
        (["--preset=synthetic", "--data_dir=x", "leftover"], "leftover"),
    ],
)
def test_bad_flags_end_in_one_line_and_write_nothing(tmp_path, flags, message):
    result = run_program(f"--run_dir={tmp_path / 'run'}", *flags)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_dry_run_prints_the_configuration_and_writes_nothing(tmp_path, tiny_overrides):
    flags = tiny_flags(tiny_overrides, "unused", tmp_path / "run")
    result = run_program(*flags, "--dry_run")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["model"]["hidden"] == 4
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_preset_or_width_is_refused(finished, tiny_overrides, synthetic_data):
    run, _ = finished
    flags = [f"--run_dir={run.path}", f"--data_dir={synthetic_data}"]
    result = run_program(*flags, "--preset=market1501")
    assert result.returncode == 1 and "holds a run of preset synthetic" in result.stderr
    result = run_program(*flags, "--set=model.hidden=8")
    assert result.returncode == 1 and "model.hidden=4, not 8" in result.stderr


def test_too_few_examples_for_a_batch(tmp_path, tiny_overrides, synthetic_data):
    flags = tiny_flags(
        tiny_overrides, synthetic_data, tmp_path / "run", **{"reconstruction.batch_size": 1000}
    )
    result = run_program(*flags, "--stage=reconstruction")
    assert result.returncode == 1
    assert "too few for a batch of 1000" in result.stderr
