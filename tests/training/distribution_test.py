"""Several devices and several hosts act as one device on the global batch."""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from dpig_tf2.config import STAGES, ConfigError, preset
from dpig_tf2.execution import Execution
from dpig_tf2.pipeline.training_data import Poses
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import distribution, run
from dpig_tf2.training.distribution import Devices

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_poses(path, count=40):
    """A keypoint CSV of random poses."""
    places = np.random.default_rng(0).integers(0, 30, (count, 2, 18)).tolist()
    lines = [f"{i}.jpg: {rows}: {columns}" for i, (rows, columns) in enumerate(places)]
    path.write_text("\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n")


def several(replicas):
    """Devices as far as the checks of a configuration look."""
    devices = Devices()
    devices.replicas = replicas
    return devices


@pytest.fixture(scope="module")
def overrides(tiny_overrides):
    """The tiny model with fewer parts, trained by RMSProp in all stages.

    Its step is proportional to small gradients. Adam blows up the rounding of gradients that are
    zero, such as those of the biases before a batch normalization, to whole steps.
    """
    fewer = {
        "model.variant": "appearance",
        "model.region_levels": 1,
        "model.generator_levels": 2,
        "reconstruction.joint_discriminator": True,
        "pose.steps": 200,
        "appearance_mapping.critic_updates": 1,
        "pose_mapping.critic_updates": 1,
    }
    return tiny_overrides | fewer | {f"{stage}.objective": "wgan" for stage in STAGES}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory, overrides, synthetic_data):
    """Folder of the program `two_replicas`, and what it prints."""
    folder = tmp_path_factory.mktemp("two_replicas")
    (folder / "config.json").write_text(preset("synthetic").override(**overrides).to_json())
    write_poses(folder / "poses.csv")
    program = pathlib.Path(__file__).with_name("two_replicas.py")
    result = subprocess.run(
        [sys.executable, str(program), str(synthetic_data), str(folder)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return folder, json.loads(result.stdout.splitlines()[-1])


# The gradient of a bias of the last layer is a sum over batch, rows and columns, n = 4 * 64 * 32
# terms of mostly one sign and size, since the error is absolute. Added one after the other in
# float32, each addition is off by up to 2 ** -24 of the sum, all of them by up to n times that, and
# the squared gradient, which RMSProp keeps, by twice as much. One device adds in another order than
# two do. Found is a tenth: 1.05e-4, with AVX2 and with SSE4.1, on one thread and on two.
_SLOTS = 2 * (4 * 64 * 32) * 2.0**-24


@pytest.mark.slow
@pytest.mark.numeric
@pytest.mark.parametrize("stage", [*STAGES, "pose by Adam", "fresh persons"])
def test_two_replicas_make_the_update_of_one(replicas, stage):
    _, found = replicas
    assert found["replicas"] == 2
    assert found[stage]["weights"] < 1e-6
    assert found[stage]["losses"] < 1e-5
    assert found[stage]["slots"] < _SLOTS


def test_only_the_chief_writes(tmp_path, tiny_config, monkeypatch):
    devices = Devices()
    devices.is_chief = False
    # Compiling the real step is slow and says nothing about files.
    monkeypatch.setattr(devices, "compiled_step", lambda *_: lambda batch: {"loss/none": 0.0})
    folder = RunFolder.plan(tmp_path / "run", tiny_config)
    poses = np.random.default_rng(0).uniform(1, 30, (20, 18, 3)).astype(np.float32)
    run.train(folder, ["pose"], Poses(poses), run.RunOptions(devices=devices))
    assert not folder.path.exists()


def test_a_time_limit_on_several_devices_is_refused(tmp_path, tiny_config):
    folder = RunFolder.plan(tmp_path / "run", tiny_config)
    options = run.RunOptions(devices=several(2), minutes={"pose": 1.0})
    with pytest.raises(ConfigError, match="minutes are for one device, not for 2 CPUs"):
        run.train(folder, ["pose"], Poses(np.ones((20, 18, 3), np.float32)), options)
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "replicas, workers, text",
    [(1, 1, "CPU"), (2, 1, "2 CPUs"), (2, 2, "2 CPUs of 2 workers"), (4, 2, "4 CPUs of 2 workers")],
)
def test_devices_are_described(monkeypatch, replicas, workers, text):
    devices = several(replicas)
    devices.workers = workers
    for kind, listed in {"CPU": [], "GPU": ["GPU:0"]}.items():
        monkeypatch.setattr(distribution.tf.config, "list_logical_devices", lambda _, x=listed: x)
        assert devices.describe() == text.replace("CPU", kind)


def test_what_replicas_cannot_share_is_refused(tiny_config):
    check = several(3).check
    with pytest.raises(ConfigError, match="pose.batch_size .* multiple of the 3 replicas, got 8"):
        check(tiny_config, ["pose"], Execution())
    fitting = tiny_config.override(**{"pose.batch_size": 9})
    check(fitting, ["pose"], Execution("mixed_bfloat16"))
    for flag, arguments in {
        "jit_compile": (fitting, ["pose"], Execution(jit_compile=True)),
        "precision=mixed_float16": (fitting, ["pose"], Execution("mixed_float16")),
        "match_release": (fitting.override(match_release=True), ["pose"], Execution()),
    }.items():
        with pytest.raises(ConfigError, match=f"--{flag} does not go together"):
            check(*arguments)


def test_one_device_is_not_several(monkeypatch):
    assert distribution.devices("none").replicas == 1
    shown = {"GPU": [], "CPU": ["the only one"]}
    monkeypatch.setattr(distribution.tf.config, "list_logical_devices", shown.get)
    with pytest.raises(ConfigError, match="needs GPUs: this machine shows none"):
        distribution.devices("mirrored")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "worker",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:x"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_wrong_tf_config_is_refused_in_one_line(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG") as error:
        distribution.devices("multi_worker")
    assert "b:2222" in str(error.value) and "\n" not in str(error.value)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.mark.slow
def test_a_killed_worker_resumes_and_ends_like_one_device(tmp_path, replicas, overrides):
    """Two processes of scripts/train_two_hosts.sh; the chief's program is killed once."""
    folder, _ = replicas
    alone = RunFolder.open(folder / "replicas-1")
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    flags = [
        "--preset=synthetic",
        "--stage=pose",
        f"--keypoints={folder / 'poses.csv'}",
        f"--run_dir={tmp_path / 'both'}",
        "--checkpoint_every=20",
        *(f"--set={name}={value}" for name, value in overrides.items()),
    ]
    hosts = []
    for number in "01":
        with (tmp_path / f"host-{number}.txt").open("w") as output:
            command = [str(ROOT / "scripts/train_two_hosts.sh"), *addresses, number, *flags]
            hosts.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
    try:
        both = RunFolder(tmp_path / "both", alone.config)
        wait_until(lambda: both.latest_step("pose") or hosts[0].poll() is not None)
        killed_at = both.latest_step("pose")
        kill_children(hosts[0].pid)
        assert [host.wait(timeout=300) for host in hosts] == [0, 0], outputs(tmp_path)
    finally:
        for host in hosts:
            host.send_signal(signal.SIGTERM)
    assert killed_at and "starts again" in outputs(tmp_path)
    expected = alone.load_checkpoint("pose")[1]
    for name, value in both.load_checkpoint("pose")[1].items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def kill_children(parent):
    children = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=True
    )
    for child in children.stdout.split():
        subprocess.run(["kill", "-KILL", child], check=True)


def outputs(folder):
    return "\n".join(file.read_text() for file in sorted(folder.glob("host-*.txt")))
