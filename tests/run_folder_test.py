import json
import os
import pathlib
import subprocess
import sys
from concurrent import futures

import numpy as np
import pytest

from dpig_tf2 import config
from dpig_tf2.config import ConfigError
from dpig_tf2.io.array_files import WeightsError
from dpig_tf2.run_folder import RunFolder

_REPOSITORY = pathlib.Path(__file__).parents[1]
_ARRAYS = {"network/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", config.preset("synthetic"))


def test_create_and_open(run):
    assert RunFolder.open(run.path).config == run.config
    assert os.listdir(run.path) == ["config.json"]
    assert run.logs("pose") == run.path / "logs" / "pose"
    assert run.samples == run.path / "samples"


def test_reopening_may_change_how_stages_train(run):
    longer = run.config.override(**{"pose.steps": 9999})
    assert RunFolder.create(run.path, longer).config == longer
    assert RunFolder.open(run.path).config == longer


def test_another_preset_is_refused(run):
    before = (run.path / "config.json").read_text()
    with pytest.raises(ConfigError, match="holds a run of preset synthetic, not market1501"):
        RunFolder.create(run.path, config.preset("market1501"))
    assert (run.path / "config.json").read_text() == before


def test_another_width_is_refused_naming_both(run):
    with pytest.raises(ConfigError, match="holds a run with model.hidden=16, not 32"):
        RunFolder.create(run.path, run.config.override(**{"model.hidden": 32}))


@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_a_folder_of_saved_weights_is_not_trained_in(run, name):
    (run.path / name).touch()
    with pytest.raises(ConfigError, match=f"run holds {name}, which is read instead .*init_from"):
        RunFolder.plan(run.path, run.config)
    assert RunFolder.open(run.path).saved_weights == run.path / name


def test_open_refuses_what_is_no_run(tmp_path):
    with pytest.raises(ConfigError, match="absent is not a run folder: it has no readable config"):
        RunFolder.open(tmp_path / "absent")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"config.json: .*missing or unknown fields"):
        RunFolder.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="config.json") as caught:
        RunFolder.open(tmp_path)
    assert caught.value.file == str(tmp_path / "config.json")


def test_a_bad_setting_is_named(run):
    file = run.path / "config.json"
    file.write_text(file.read_text().replace('"steps": ', '"steps": -'))
    with pytest.raises(ConfigError, match="config.json: ") as caught:
        RunFolder.open(run.path)
    assert caught.value.file == str(file) and caught.value.field.endswith(".steps")


# ---- checkpoints


def test_newest_checkpoint_is_loaded_and_old_ones_are_removed(run):
    for step in (1, 10, 9, 200):
        run.save_checkpoint("pose", step, {"step": np.int64(step)}, keep=2)
    assert [step for step, _ in run.checkpoints("pose")] == [10, 200]
    assert run.latest_step("pose") == 200
    path, arrays = run.load_checkpoint("pose")
    assert path == run.path / "checkpoints" / "pose" / "step-00000200.npz"
    assert arrays["step"] == 200
    assert run.latest_step("pose_mapping") is None


def test_steps_of_nine_digits_are_steps(run):
    for step in (99_999_999, 100_000_000):
        run.save_checkpoint("pose", step, {"step": np.int64(step)}, keep=1)
    assert [step for step, _ in run.checkpoints("pose")] == [100_000_000]


def test_the_best_is_kept_beside_the_newest(run):
    assert run.best_error("pose") == float("inf")
    for step, error in ((1, 2.5), (2, 3.5)):
        run.save_checkpoint("pose", step, {"step": np.int64(step)}, keep=1)
        if error < run.best_error("pose"):
            run.save_best("pose", {"step": np.int64(step)}, error)
    assert run.best_error("pose") == 2.5
    assert [step for step, _ in run.checkpoints("pose")] == [2]
    for which, step in (("latest", 2), ("best", 1)):
        path, arrays = run.load_checkpoint("pose", which)
        assert arrays["step"] == step and path == run.checkpoint_file("pose", which)
    run.save_checkpoint("pose_mapping", 7, {"step": np.int64(7)})
    assert run.load_checkpoint("pose_mapping", "best")[1]["step"] == 7, "none is kept there"
    with pytest.raises(ConfigError, match="checkpoint must be one of latest, best; got 'oldest'"):
        run.load_checkpoint("pose", "oldest")


def test_round_trip_is_bit_equal(run):
    run.save_checkpoint("pose", 3, _ARRAYS)
    _, arrays = run.load_checkpoint("pose")
    assert arrays["network/kernel"].tobytes() == _ARRAYS["network/kernel"].tobytes()


_KILLED = """
import os, sys
import numpy as np
from dpig_tf2.run_folder import RunFolder
os.replace = lambda *paths: os._exit(9)  # dies after writing, before the new name
RunFolder.open(sys.argv[1]).save_checkpoint("pose", 2, {"step": np.int64(2)})
"""


def test_planning_writes_nothing(run, tmp_path):
    planned = RunFolder.plan(tmp_path / "new", run.config)
    assert planned.latest_step("pose") is None and not planned.path.exists()
    longer = run.config.override(**{"pose.steps": 9999})
    planned = RunFolder.plan(run.path, longer)
    assert RunFolder.open(run.path).config == run.config
    planned.write_config()
    assert RunFolder.open(run.path).config == longer


def test_a_killed_save_leaves_the_previous_checkpoint(run):
    run.save_checkpoint("pose", 1, {"step": np.int64(1)})
    command = [sys.executable, "-c", _KILLED, str(run.path)]
    assert subprocess.run(command, cwd=_REPOSITORY, timeout=60).returncode == 9
    folder = run.path / "checkpoints" / "pose"
    assert len(os.listdir(folder)) == 2  # the temporary file is there, and ignored
    assert run.latest_step("pose") == 1
    assert run.load_checkpoint("pose")[1]["step"] == 1
    run.write_config()  # of the next start
    assert os.listdir(folder) == ["step-00000001.npz"]


def test_missing_and_damaged_checkpoints_are_named(run):
    with pytest.raises(ConfigError, match="has no checkpoint of stage pose: train it first"):
        run.load_checkpoint("pose")
    with pytest.raises(ConfigError, match="stage must be one of .* got 'poses'"):
        run.latest_step("poses")
    path = run.save_checkpoint("pose", 1, _ARRAYS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="step-00000001.npz: not a readable .npz file"):
        run.load_checkpoint("pose")


# ---- texts


def test_metrics_are_added_by_name(run):
    run.write_metrics("reconstruction", {"ssim": 0.5})
    run.write_metrics("transfer", {"ssim": 0.25})
    run.write_metrics("reconstruction", {"ssim": 0.75})
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert metrics == {"reconstruction": {"ssim": 0.75}, "transfer": {"ssim": 0.25}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_metrics("transfer", {"ssim": float("nan")})
    assert json.loads((run.path / "metrics.json").read_text()) == metrics


def test_scores_that_end_at_once_lose_none(run):
    with futures.ThreadPoolExecutor(8) as pool:
        written = [pool.submit(run.write_metrics, str(n), {"ssim": n}) for n in range(24)]
    assert [each.result() for each in written] == [None] * 24
    assert len(json.loads((run.path / "metrics.json").read_text())) == 24
    assert sorted(os.listdir(run.path)) == ["config.json", "metrics.json"]


@pytest.mark.parametrize("text", ["{", "[]", "\x00\xff", '{"transfer": NaN}'])
def test_damaged_metrics_are_named_and_left(run, text):
    path = run.path / "metrics.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="metrics.json.* mend or remove it"):
        run.write_metrics("transfer", {"ssim": 0.25})
    assert path.read_bytes() == text.encode("latin-1")


def test_the_history_grows_by_a_line(tmp_path):
    run = RunFolder.create(tmp_path / "run", config.preset("synthetic"))
    for step in (0, 4):
        run.add_to_history({"stage": "pose", "from_step": step, "data": "9 pairs of persönlich"})
    lines = [json.loads(line) for line in run.history.read_text().splitlines()]
    assert [line["from_step"] for line in lines] == [0, 4]
    assert lines[1]["data"] == "9 pairs of persönlich" and lines[1]["time"].endswith("+00:00")


def test_starting_a_stage_removes_what_training_left_and_nothing_of_others(tmp_path):
    run = RunFolder.create(tmp_path / "run", config.preset("synthetic"))
    left = [
        ".config.json.12.tmp",
        ".history.jsonl.12.tmp",
        "checkpoints/pose/.step-00000001.npz.12.tmp",
        "logs/pose/.scalars.jsonl.12.tmp",
        "cache/.embeddings-0123abcd.npz.12.tmp",
        "samples/.pose-00000001.png.12.tmp",
    ]
    others = [
        ".metrics.json.34.tmp",
        "samples/.evaluation.png.34.tmp",
        "samples/sample/.seed0_000.png.34.tmp",
    ]
    for name in left + others:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).touch()
    run.write_config()
    assert [name for name in left + others if (run.path / name).exists()] == others
