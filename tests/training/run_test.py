"""A stage from configuration to finished run, and the command line around it."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dpig_tf2.config import PREDECESSORS, STAGES, ConfigError
from dpig_tf2.io import array_files
from dpig_tf2.pipeline.parser import MODEL_KEYS
from dpig_tf2.pipeline.training_data import Poses, RecordPairs
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.training import data as training_data
from dpig_tf2.training import run as training
from dpig_tf2.training import time_limit
from dpig_tf2.training.trainers import build_trainer

pytestmark = pytest.mark.slow  # trains whole stages

OPTIONS = training.RunOptions(log_every=2, picture_every=2, checkpoint_every=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_config, synthetic_data):
    """A run folder with all four tiny stages trained."""
    run = RunFolder.create(tmp_path_factory.mktemp("run") / "run", tiny_config)
    data = RecordPairs(RecordSet.open(synthetic_data, "train"))
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
    assert capsys.readouterr().out.count("finished: 4 steps done, 4 asked for") == 4


def test_codes_of_an_encoder_that_was_trained_since_are_told(posed, poses, tmp_path, capsys):
    folder = shutil.copytree(posed.path, tmp_path / "run")
    run = RunFolder.plan(folder, posed.config.override(**{"pose.steps": 6}))
    warning = (
        "[pose_mapping] warning: has learned from codes of stage pose as it was before: remove"
    )
    training.train(run, ["pose_mapping"], poses, OPTIONS)
    assert warning not in capsys.readouterr().out
    training.train(run, ["pose", "pose_mapping"], poses, OPTIONS)
    assert f"{warning} {run.path}/checkpoints/pose_mapping to learn" in capsys.readouterr().out
    shutil.move(run.path / "checkpoints/pose", tmp_path / "away")
    training.train(run, ["pose_mapping"], poses, OPTIONS)
    assert warning not in capsys.readouterr().out, "there is no encoder to compare with"
    shutil.move(tmp_path / "away", run.path / "checkpoints/pose")
    # What an older version wrote goes on in silence.
    path, arrays = run.load_checkpoint("pose_mapping")
    array_files.save(path, {name: a for name, a in arrays.items() if name != training._ENCODER})
    training.train(run, ["pose_mapping"], poses, OPTIONS)
    assert warning not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "encoder"),
    [("pose_mapping", "pose_encoder"), ("appearance_mapping", "appearance_encoder")],
)
def test_codes_follow_the_averages_that_they_are_of(tmp_path, tiny_config, stage, encoder):
    run = RunFolder.create(tmp_path / "run", tiny_config)
    arrays = {f"{encoder}/kernel": np.zeros(3), f"average/{encoder}/kernel": np.ones(3)}

    def checksum(**changes):
        run.save_checkpoint(PREDECESSORS[stage], 1, arrays | changes)
        return training_data.encoder_checksum(run, stage)

    first = checksum()
    assert checksum(**{f"{encoder}/kernel": np.ones(3), "step": np.ones(1)}) == first
    assert checksum(**{f"average/{encoder}/kernel": np.zeros(3)}) != first
    assert checksum(**{f"{encoder}/other": np.zeros(0)}) != first


def test_embeddings_are_computed_once(finished, tmp_path, monkeypatch):
    trained, data = finished
    encode_images, calls = training_data._encode_images, []
    monkeypatch.setattr(
        training_data, "_encode_images", lambda *args: calls.append(1) or encode_images(*args)
    )

    def prepare(run):
        training_data.stage_arrays(run, "appearance_mapping", data, print)

    prepare(trained)
    assert not calls, "training has left them in the run folder"
    run = RunFolder.open(shutil.copytree(trained.path, tmp_path / "run"))
    (cache,) = (run.path / "cache").glob("embeddings-*.npz")
    embeddings = array_files.load(cache)
    assert set(embeddings) == {"foreground", "background"}
    cache.unlink()
    prepare(run)
    prepare(run)
    assert len(calls) == 1
    for factor, codes in array_files.load(cache).items():
        np.testing.assert_allclose(codes, embeddings[factor], rtol=1e-5, atol=1e-6)


def test_embeddings_are_computed_anew_of_another_encoder_and_of_other_data(
    tmp_path, tiny_config, monkeypatch
):
    run, calls = RunFolder.create(tmp_path / "run", tiny_config), []

    def encode(*_):
        calls.append(1)
        return {"foreground": np.full((99, 3), len(calls))}

    monkeypatch.setattr(training_data, "_encode_images", encode)

    def computed(fingerprint, weight):
        run.save_checkpoint("reconstruction", 1, {"appearance_encoder/kernel": np.array(weight)})
        data = types.SimpleNamespace(fingerprint=lambda: fingerprint)
        arrays = training_data.stage_arrays(run, "appearance_mapping", data, print)
        return arrays["embedding"]["foreground"][0, 0]

    assert [computed(b"a", 0.0), computed(b"a", 0.0)] == [1, 1]
    assert [computed(b"b", 0.0), computed(b"b", 1.0), computed(b"b", 1.0)] == [2, 3, 3]
    assert len(list((run.path / "cache").iterdir())) == 1, "of those before none is kept"


def test_how_many_images_are_encoded_is_said_now_and_then(tiny_config, monkeypatch):
    model = types.SimpleNamespace(
        encode_person=lambda batch: batch["keypoints"][:, 0], split_appearance=lambda codes: codes
    )
    monkeypatch.setattr(training_data, "PersonModel", lambda *_: model)
    monkeypatch.setattr(training_data, "load_stage_networks", lambda *_: {})
    batch = dict.fromkeys(MODEL_KEYS, np.ones((4, 18, 3), np.float32))
    data = types.SimpleNamespace(persons=lambda _: 5 * [batch])
    run, said = types.SimpleNamespace(config=tiny_config), []
    assert len(training_data._encode_images(run, data, said.append)) == 20
    assert said == [20]


def test_photos_of_which_nobody_is_seen_are_refused(finished, monkeypatch):
    run, data = finished
    persons = RecordPairs.persons

    def unseen(self, model):
        return (person | {"keypoints": 0 * person["keypoints"]} for person in persons(self, model))

    monkeypatch.setattr(RecordPairs, "persons", unseen)
    monkeypatch.setattr(RecordPairs, "fingerprint", lambda self: b"others")
    with pytest.raises(
        ConfigError, match="stage appearance_mapping: 0 distinct photos or poses are too"
    ):
        training_data.stage_arrays(run, "appearance_mapping", data, print)


# ---- poses alone, which train in moments


@pytest.fixture(scope="module")
def poses():
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(0, 30, (40, 18, 2)), np.ones((40, 18, 1))], axis=-1)
    return Poses(keypoints.astype(np.float32))


@pytest.fixture(scope="module")
def posed(tmp_path_factory, tiny_config, poses):
    """A run folder with both pose stages trained."""
    run = RunFolder.plan(tmp_path_factory.mktemp("poses") / "run", tiny_config)
    training.train(run, ["pose", "pose_mapping"], poses, OPTIONS)
    return run


@pytest.fixture
def half_posed(tmp_path, posed):
    """A copy of it in which both stages have done two steps of eight."""
    shutil.copytree(posed.path, tmp_path / "run")
    longer = posed.config.override(**{"pose.steps": 8, "pose_mapping.steps": 8})
    run = RunFolder.plan(tmp_path / "run", longer)
    for stage in ("pose", "pose_mapping"):
        run.checkpoints(stage)[-1][1].unlink()
    return run


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_poses_alone_train_the_pose_stages(posed):
    for stage in ("pose", "pose_mapping"):
        assert [step for step, _ in posed.checkpoints(stage)] == [2, 4]


def test_the_first_step_is_shown_at_once(half_posed, poses, capsys):
    options = dataclasses.replace(OPTIONS, log_every=1000)
    training.train(half_posed, ["pose"], poses, options)
    lines = [line for line in capsys.readouterr().out.splitlines() if "step: " in line]
    assert [line.split("step: ")[1].split(",")[0] for line in lines] == ["3/8", "8/8"]
    steps = [json.loads(line)["step"] for line in _scalars(half_posed)]
    assert steps[-1] == 8 and 3 not in steps, "only shown"


def test_the_history_tells_on_what_and_how_each_part_was_trained(half_posed, poses):
    """The configuration tells only how the last one was."""
    run = RunFolder.plan(half_posed.path, half_posed.config.override(**{"pose.batch_size": 5}))
    training.train(run, ["pose"], poses, dataclasses.replace(OPTIONS, asked={"flags": {"a": 1}}))
    *before, last = (json.loads(line) for line in run.history.read_text().splitlines())
    assert [(line["stage"], line["from_step"]) for line in before] == [
        ("pose", 0),
        ("pose_mapping", 0),
    ]
    assert (last["stage"], last["from_step"]) == ("pose", 2)
    assert last["settings"] == vars(run.config.pose) and last["settings"]["batch_size"] == 5
    assert before[0]["settings"]["batch_size"] == half_posed.config.pose.batch_size != 5
    assert last["data"] == poses.describe() and last["seed"] == 0 and last["flags"] == {"a": 1}


def _scalars(run):
    return (run.logs("pose") / "scalars.jsonl").read_text().splitlines()


_BUSY = """
import hashlib, sys, time
from dpig_tf2.training.stop_request import StopRequest
StopRequest.PATIENCE = 0.5
with StopRequest() as stop:
    stop.deferred = sys.argv[1] == "deferred"
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)  # as TensorFlow: no Python until it ends
"""


@pytest.mark.parametrize(("when", "signals"), [("at once", 1), ("deferred", 2)])
def test_a_stop_does_not_wait_for_a_long_step(when, signals):
    """Not for the first step, and never at the second signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BUSY, when],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "busy\n"
        for _ in range(signals):
            time.sleep(1)  # longer than the patience: one alone is waited for when deferred
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "dpig: interrupted within a step"


def test_resumed_pose_stages_equal_uninterrupted_ones(half_posed, posed, poses):
    """Bit for bit; stage reconstruction is below, with the flag that a GPU would need."""
    run = RunFolder.plan(half_posed.path, posed.config)
    training.train(run, ["pose", "pose_mapping"], poses, OPTIONS)
    for stage in ("pose", "pose_mapping"):
        assert_same_checkpoint(run, posed, stage)


@pytest.fixture
def clock(monkeypatch):
    """Time as time limits and checkpoints see it, to be set by a test."""
    now = types.SimpleNamespace(seconds=1000.0)
    fake = types.SimpleNamespace(monotonic=lambda: now.seconds)
    for module in (time_limit, training):
        monkeypatch.setattr(module, "time", fake)
    return now


def test_a_checkpoint_is_due_by_steps_or_by_the_time_since_the_last(
    tmp_path, tiny_config, poses, clock
):
    run = RunFolder.create(tmp_path / "run", tiny_config)
    trainer = build_trainer("pose", tiny_config)
    options = training.RunOptions(checkpoint_every=100, checkpoint_minutes=2.0)
    stage_run = training._StageRun(run, trainer, poses, options, None, None)
    assert stage_run._checkpoint_due(200) and not stage_run._checkpoint_due(201)
    clock.seconds += 121
    assert stage_run._checkpoint_due(201)
    stage_run._save(201)
    assert not stage_run._checkpoint_due(202)


def test_a_time_limit_counts_what_fits_into_it(clock):
    limit = training.TimeLimit(minutes=10)
    clock.seconds += 60  # the first step is compiled
    assert limit.steps(5) is None
    clock.seconds += 17
    assert limit.steps(22) is None, "too early to tell"
    clock.seconds += 3
    assert limit.steps(25) == 25 + 520, "a step a second for the rest of 600 seconds"


@pytest.mark.parametrize("seconds", [601, 30_000])
def test_a_time_limit_that_has_passed_ends_the_stage(clock, seconds):
    limit = training.TimeLimit(minutes=10)
    clock.seconds += seconds
    assert limit.steps(5) == 5


def test_a_stage_of_limited_time_is_one_of_fewer_steps(tmp_path, tiny_config, poses, monkeypatch):
    monkeypatch.setattr(training.TimeLimit, "steps", lambda limit, step: 6 if step == 3 else None)
    long = tiny_config.override(**{"pose.steps": 12, "pose.halve_every": 8})
    options = dataclasses.replace(OPTIONS, minutes={"pose": 1.0})
    limited = RunFolder.plan(tmp_path / "limited", long)
    training.train(limited, ["pose"], poses, options)
    stored = RunFolder.open(limited.path)
    assert (stored.config.pose.steps, stored.config.pose.halve_every) == (6, 4)
    short = tiny_config.override(**{"pose.steps": 6, "pose.halve_every": 4})
    other = RunFolder.plan(tmp_path / "short", short)
    training.train(other, ["pose"], poses, OPTIONS)
    assert_same_checkpoint(stored, other, "pose")
    assert (limited.samples / "pose-00000006.png").exists()
    # Killed after the choice, it goes on to the same end.
    for _, file in stored.checkpoints("pose")[-2:]:
        file.unlink()
    assert stored.latest_step("pose") == 3
    training.train(stored, ["pose"], poses, OPTIONS)
    assert_same_checkpoint(stored, other, "pose")


def test_a_stage_whose_time_is_over_ends_at_once(tmp_path, tiny_config, poses, capsys):
    run = RunFolder.plan(tmp_path / "run", tiny_config.override(**{"pose.steps": 9}))
    training.train(run, ["pose"], poses, dataclasses.replace(OPTIONS, minutes={"pose": 1e-9}))
    assert run.latest_step("pose") == 1
    assert (run.samples / "pose-00000001.png").exists()
    assert "1 of 9 steps fit into 1e-09 minutes" in capsys.readouterr().out


def assert_same_checkpoint(run, other, stage):
    (_, found), (_, expected) = (folder.load_checkpoint(stage) for folder in (run, other))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("what", ["own", "predecessor's"])
def test_a_damaged_checkpoint_is_named_before_anything_is_written(half_posed, poses, what):
    stage = "pose_mapping" if what == "own" else "pose"
    path = half_posed.checkpoints(stage)[-1][1]
    path.write_bytes(path.read_bytes()[:500])
    before = contents(half_posed.path)
    with pytest.raises(
        array_files.WeightsError, match=f"{stage}/step-00000002.npz: not a readable"
    ):
        training.train(half_posed, ["pose_mapping"], poses, OPTIONS)
    assert contents(half_posed.path) == before


def training_error(run, poses):
    """How training of stage pose ends."""
    with pytest.raises(training.TrainingError) as raised:
        training.train(run, ["pose"], poses, OPTIONS)
    return str(raised.value)


def test_a_full_disk_keeps_the_previous_checkpoint(half_posed, poses):
    size = half_posed.checkpoints("pose")[-1][1].stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    try:
        message = training_error(half_posed, poses)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large: '" in message
    assert "pose/step-00000004.npz'; the last good checkpoint is " in message
    assert half_posed.load_checkpoint("pose")[1]["step"] == 2
    assert not list(half_posed.path.rglob("*.tmp"))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, tiny_config, poses):
    config = tiny_config.override(**{"pose.learning_rate": 1e30, "pose.steps": 8})
    run = RunFolder.plan(tmp_path / "run", config)
    with pytest.raises(training.TrainingError, match="stage pose, step .* is not finite"):
        training.train(run, ["pose"], poses, OPTIONS)
    for _, path in run.checkpoints("pose"):
        assert all(np.isfinite(array).all() for array in array_files.load(path).values())


def test_weights_that_are_not_finite_are_not_saved(half_posed, poses, monkeypatch):
    """The loss is that before the update, and may still be finite."""

    def poison(trainer, run):
        training.StageTrainer.restore(trainer, *reversed(run.load_checkpoint("pose")))
        unused = trainer.optimized["pose"].optimizer.variables[-1]
        unused.assign(unused * np.nan)

    monkeypatch.setattr(training, "restore", poison)
    message = training_error(half_posed, poses)
    assert "step 4: " in message
    assert "is not finite; the last good checkpoint is" in message
    assert half_posed.latest_step("pose") == 2


def test_the_best_checkpoint_is_that_of_the_lowest_error_on_the_fixed_batch(
    posed, half_posed, poses, monkeypatch
):
    assert 0 < posed.best_error("pose") < 64, "pixels"
    assert posed.best_error("pose_mapping") == float("inf")
    errors = iter([0.3, 0.1, 0.2])  # after 4, 6 and 8 steps
    monkeypatch.setattr(training.pictures, "fixed_batch_error", lambda *_: next(errors))
    training.train(half_posed, ["pose"], poses, OPTIONS)
    _, arrays = half_posed.load_checkpoint("pose", "best")
    assert arrays["step"] == 6 and half_posed.best_error("pose") == 0.1
    sampler = PersonSampler.load(half_posed.path, checkpoint="best")
    for variable in sampler.model.networks["pose_encoder"].variables:
        np.testing.assert_array_equal(variable, arrays[variable.path])


def test_errors_of_the_fixed_batch_are_of_levels_and_of_what_is_visible():
    keypoints = np.ones((2, 18, 3))
    keypoints[:, 9:, 2] = 0
    off = np.where(keypoints[..., 2:] > 0, (3, 4, 0), (30, 40, 0))
    drawn = types.SimpleNamespace(images=np.full((2, 8, 4, 3), 51, np.uint8))
    sampler = types.SimpleNamespace(
        encode_pose=lambda poses: poses,
        decode_pose=lambda codes: codes + off,
        person_codes=lambda *images, **parts: None,
        draw=lambda codes: drawn,
    )
    persons = dict.fromkeys(MODEL_KEYS) | {"keypoints": keypoints, "image": 2 * drawn.images}
    errors = [training.pictures.fixed_batch_error(stage, sampler, persons) for stage in STAGES]
    assert dict(zip(STAGES, errors, strict=True)) == {
        "reconstruction": pytest.approx(0.2),
        "pose": pytest.approx(5.0),
        "appearance_mapping": None,
        "pose_mapping": None,
    }


def test_a_damaged_batch_does_not_cost_the_steps_before(half_posed, poses, monkeypatch):
    sound = training.stage_batches

    def spoil(batch):
        tf.debugging.assert_less(batch["keypoints"], 0.0, "some.tfrecord record 7: wrong checksum")
        return batch

    def three_batches(*args, **kwargs):
        def batches(*args_of_call):
            dataset = sound(*args, **kwargs)(*args_of_call)
            return dataset.take(3).concatenate(dataset.map(spoil))

        return batches

    monkeypatch.setattr(training, "stage_batches", three_batches)
    message = training_error(half_posed, poses)
    assert "step 6: " in message
    assert "some.tfrecord record 7: wrong checksum" in message
    assert half_posed.latest_step("pose") == 5


def test_a_stop_signal_before_the_first_step_leaves_nothing(
    tmp_path, tiny_config, poses, monkeypatch
):
    run = RunFolder.plan(tmp_path / "run", tiny_config)
    monkeypatch.setattr(
        training, "stage_batches", lambda *args, **kwargs: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(training.Interrupted, match="start again to resume"):
        training.train(run, ["pose"], poses, OPTIONS)
    assert not run.path.exists()


_MANY_LIVES = """
import json, os, pathlib, signal, sys, time
import numpy as np
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import run as training
from dpig_tf2.training.trainers import build_trainer
from dpig_tf2.pipeline.training_data import Poses

path = pathlib.Path(sys.argv[1])
config = RunFolder.open(path).config
poses = Poses(np.load(path / "keypoints.npy"))

def live(steps):
    # Forked before TensorFlow has started any thread: every life has a TensorFlow of its own.
    child = os.fork()
    if child:
        return child
    try:
        run = RunFolder.plan(path, config.override(**{"pose.steps": steps}))
        options = training.RunOptions(log_every=1, picture_every=10**6, checkpoint_every=1, keep=2)
        training.train(run, ["pose"], poses, options)
        os._exit(0)
    finally:
        os._exit(1)

def wait_for(condition, child):
    while not condition() and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.001)

run, reports = RunFolder.open(path), []
for number, delay in enumerate(map(float, sys.argv[2:])):
    before = run.latest_step("pose") or 0
    child = live(10**6)
    wait_for(lambda: (run.latest_step("pose") or 0) >= before + 2, child)
    time.sleep(delay)
    if number % 2:
        wait_for(lambda: any(path.rglob("*.tmp")), child)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    lines = (run.logs("pose") / "scalars.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    temporaries = [str(file) for file in path.rglob("*.tmp")]
    saved, (_, arrays) = run.latest_step("pose"), run.load_checkpoint("pose")
    reports.append([before, steps, saved, int(arrays["step"]), len(temporaries)])
total = reports[-1][2] + 3
status = os.waitpid(live(total), 0)[1]
print(json.dumps([reports, total, status]))
"""


def test_killed_at_any_moment_only_the_step_at_hand_is_lost(tmp_path, tiny_config, poses):
    """At random moments, and every second time while a file is being written."""
    config = tiny_config.override(**{"model.pose_hidden": 256})
    run = RunFolder.create(tmp_path / "run", config)
    np.save(run.path / "keypoints.npy", poses.keypoints)
    delays = [str(delay) for delay in np.random.default_rng(0).uniform(0, 0.2, 4)]
    command = [sys.executable, "-c", _MANY_LIVES, str(run.path), *delays]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stderr[-2000:]
    reports, total, status = json.loads(result.stdout.splitlines()[-1])
    for before, logged, saved, step, temporaries in reports:
        assert saved == step >= before + 2, "the newest checkpoint is whole"
        assert logged == list(range(1, logged[-1] + 1)), "each life went on where the last ended"
        assert logged[-1] <= saved + 1, "no more is lost than the step at hand"
        assert temporaries <= 1, "leftovers of earlier lives are gone"
    assert status == 0 and run.latest_step("pose") == total
    assert not list(run.path.rglob("*.tmp"))


# ---- refused before anything is written


def cut_off(folder, source):
    """A copy of the records without their last bytes."""
    folder.mkdir()
    for file in source.glob("*train*.tfrecord"):
        (folder / file.name).write_bytes(file.read_bytes()[:-100])
    return RecordSet.open(folder, "train")


@pytest.mark.parametrize(
    ("overrides", "stages", "message"),
    [
        ({"reconstruction.batch_size": 1000}, STAGES, "too few for a batch of 1000"),
        ({"pose.batch_size": 25}, STAGES, "of 25; --set=pose.batch_size=24 takes fewer"),
        ({"appearance_mapping.batch_size": 25}, STAGES, "stage appearance_mapping: 24 .* too few"),
        ({"pose_mapping.batch_size": 25}, STAGES, "stage pose_mapping: 24 distinct .* too few"),
        (
            {"pose.batch_size": 25, "pose_mapping.batch_size": 30},
            STAGES,
            "stages pose, pose_mapping: 24 distinct photos or poses are too few for batches of 25, "
            "30; --set=pose.batch_size=24 --set=pose_mapping.batch_size=24 take fewer",
        ),
        ({"model.height": 32, "model.discriminator_row": 64}, STAGES, "images are 64 x 32 pixels"),
        ({}, ["appearance_mapping"], "no checkpoint of stage reconstruction"),
        ({}, ["pose_mapping"], "no checkpoint of stage pose"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing(
    tmp_path, tiny_config, synthetic_data, overrides, stages, message
):
    data = RecordPairs(RecordSet.open(synthetic_data, "train"))
    run = RunFolder.plan(tmp_path / "run", tiny_config.override(**overrides))
    with pytest.raises((ConfigError, RecordError), match=message):
        training.train(run, stages, data, OPTIONS)
    assert not run.path.exists()


def test_records_that_are_cut_off_leave_nothing(tmp_path, tiny_config, synthetic_data):
    data = RecordPairs(cut_off(tmp_path / "data", synthetic_data))
    run = RunFolder.plan(tmp_path / "run", tiny_config)
    for stages in (["reconstruction"], ["pose"], STAGES):
        with pytest.raises(RecordError, match="is cut off"):
            training.train(run, stages, data, OPTIONS)
    assert not run.path.exists()


def test_photos_that_are_needed_and_missing_leave_nothing(tmp_path, tiny_config, poses):
    run = RunFolder.plan(tmp_path / "run", tiny_config)
    with pytest.raises(ConfigError, match="stage reconstruction needs photos"):
        training.train(run, STAGES, poses, OPTIONS)
    assert not run.path.exists()


# ---- the program


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
    flags = tiny_flags(tiny_overrides, synthetic_data, tmp_path / "run")
    flags += ["--stage=reconstruction", "--deterministic", "--log_every=1", "--steps=6"]

    def train():
        result = run_program(*flags, "--checkpoint_every=2")
        assert result.returncode == 0, result.stderr[-2000:]
        assert f"all settings: {tmp_path}/run/config.json" in result.stdout
        lines = (tmp_path / "run/logs/reconstruction/scalars.jsonl").read_text().splitlines()
        return [json.loads(line)["loss/reconstruction"] for line in lines]

    losses = train()
    whole = RunFolder.open(shutil.copytree(tmp_path / "run", tmp_path / "whole"))
    parts = RunFolder.open(tmp_path / "run")
    for _, path in parts.checkpoints("reconstruction")[1:]:
        path.unlink()  # as if it had been killed in the third step
    assert train() == losses
    assert_same_checkpoint(parts, whole, "reconstruction")


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
    deadline = time.monotonic() + 300
    while not (scalars.exists() and scalars.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()[-2000:]
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors[-2000:]
    step = RunFolder.open(tmp_path / "run").latest_step("pose")
    last = json.loads(scalars.read_text().splitlines()[-1])["step"]
    assert step == last, "nothing that was logged is lost"


def test_poses_in_pixels_of_larger_images_are_refused(tmp_path):
    rows = "".join(f"{i}.jpg: {[400] * 18}: {list(range(i, i + 18))}\n" for i in range(40))
    (tmp_path / "k.csv").write_text("name:keypoints_y:keypoints_x\n" + rows)
    flags = ["--preset=synthetic", "--stage=pose", f"--keypoints={tmp_path / 'k.csv'}"]
    result = run_program(f"--run_dir={tmp_path / 'run'}", *flags, "--set=pose.batch_size=4")
    assert result.returncode == 1
    assert "k.csv: 0.jpg: nose at row 400, column 0 is far outside the image" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data_dir=x"], "--preset or --init_from must be given"),
        (["--preset=synthetic"], "either --data_dir"),
        (["--preset=synthetic", "--data_dir=x", "--keypoints=y"], "either --data_dir"),
        (["--preset=synthetic", "--data_dir=x", "--set=model.hiden=3"], "model.hiden"),
        (["--preset=synthetic", "--data_dir=x", "--set=model.hidden=wide"], "model.hidden"),
        (["--preset=synthetic", "--data_dir=x", "--set=recipe.warmup_steps=3"], "change nothing"),
        (["--preset=synthetic", "--data_dir=x", "--steps=3"], "--steps needs one --stage"),
        (
            ["--preset=synthetic", "--data_dir=x", "--stage=pose", "--pairing=triplet"],
            "--pairing does not apply to stage pose",
        ),
        (
            ["--preset=synthetic", "--data_dir=x", "--jit_compile", "--implementation=reference"],
            "jit_compile needs implementation=fast",
        ),
        (["--preset=synthetic", "--data_dir=x", "--implementation=quick"], "reference|fast"),
        (
            ["--preset=synthetic", "--data_dir=x", "--stage=pose", "--rematerialize"],
            "--rematerialize does not apply to stage pose",
        ),
        (
            ["--preset=modern", "--data_dir=x", "--rematerialize"],
            "--rematerialize does not apply to model.architecture=placed",
        ),
        (["--preset=synthetic", "--data_dir=does_not_exist"], "does_not_exist"),
        (["--preset=synthetic", "--fresh_persons", "--cache=memory"], "--cache needs --data_dir"),
        (
            ["--preset=synthetic", "--keypoints=k.csv", "--pose_model=p"],
            "a folder of photos, which --keypoints=k.csv is not",
        ),
        (["--preset=synthetic", "--data_dir=x", "--batch_sise=3"], "batch_sise"),
        (["--preset=synthetic", "--data_dir=x", "leftover"], "leftover"),
        (["--preset=synthetic", "--data_dir=x", "--minutes=3,1"], "one for each of reconstruction"),
        (["--preset=synthetic", "--data_dir=x", "--minutes=True"], "expected a positive number"),
        (["--preset=synthetic", "--data_dir=x", "--minutes=0"], "expected a positive number"),
        (
            ["--preset=synthetic", "--data_dir=x", "--minutes=1", "--distribute=mirrored"],
            "--minutes is for one device",
        ),
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
    as_in_json = "--set=match_release=true"
    result = run_program(*flags, as_in_json, "--dry_run")
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["model"]["hidden"] == 4
    assert printed["match_release"] is True
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
    (line,) = result.stderr.strip().splitlines()[-1:]
    assert line.startswith("dpig train: error: ") and "too few for a batch of 1000" in line
    (told,) = result.stdout.splitlines()
    assert told.startswith("preset synthetic with model.") and "pose.steps=4" in told
    assert "reconstruction.batch_size=1000" in told and "config.json" not in told
    assert not (tmp_path / "run").exists()
