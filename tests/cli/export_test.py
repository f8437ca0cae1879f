"""dpig export as a user starts it: one process for each command line."""

import json
import pathlib
import subprocess
import sys

import pytest
from absl.testing import flagsaver

from dpig_tf2 import config
from dpig_tf2.cli import export
from dpig_tf2.models import factory
from dpig_tf2.ops import convolution_speed
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving import export as serving

pytestmark = pytest.mark.slow  # starts programs

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    settings = config.preset("synthetic").override(**{"model.pose_hidden": 8})
    networks = factory.build_networks(["pose_encoder", "pose_decoder"], settings.model)
    PersonSampler(settings, networks).save(folder)
    return folder


def _export(*flags):
    command = [sys.executable, "-m", "dpig_tf2.cli.export", *flags]
    return subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=120)


def test_writes_the_next_version(run_dir, tmp_path):
    result = _export(f"--run_dir={run_dir}", f"--out_dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    *told, last = result.stdout.splitlines()
    assert last.startswith(f"wrote {tmp_path / '1'};")
    assert told[0].startswith("encode_pose: pose apart: 0 on average") and len(told) == 2
    assert "verifying: 2/2" in result.stderr and "Assets written" not in result.stderr
    assert (tmp_path / "1" / "saved_model.pb").exists()
    description = json.loads((tmp_path / "1" / "assets.extra" / "signatures.json").read_text())
    assert list(description["signatures"]) == ["encode_pose", "decode_pose"]


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--run_dir must be given"),
        (["--run_dir=x", "--verzion=2"], "unknown flag --verzion; did you mean --version?"),
        (["--run_dir=x", "--version=0"], "flag --version=0"),
        (["--run_dir=x", "--format=onnx", "--batch_size=0"], "flag --batch_size=0"),
        (["--run_dir=x", "--format=tflite"], "flag --format=tflite"),
        (["--run_dir=x", "--quantize=int8"], "quantize is for onnx and litert"),
        (["--run_dir=x", "--format=onnx", "--precision=float32"], "--precision is for saved_model"),
        (["--run_dir=x", "--format=onnx", "--data_dir=y"], "--data_dir needs --quantize=int8"),
    ],
)
def test_refuses_flags(flags, message):
    result = _export(*flags)
    assert result.returncode == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--run_dir={}"], "{} is not a run folder: it has no readable config.json"),
        (
            ["--run_dir={}", "more", "words"],
            "unexpected argument 'more' 'words': this verb takes only --flags "
            "(see dpig export --help)",
        ),
    ],
)
def test_bad_input_ends_in_one_line(arguments, message, tmp_path):
    result = _export(*(argument.format(tmp_path) for argument in arguments))
    assert result.returncode == 1
    assert result.stderr == f"dpig export: error: {message.format(tmp_path)}\n"
    assert list(tmp_path.iterdir()) == []


def test_writes_a_file_for_each_signature_that_is_named(run_dir, tmp_path):
    pytest.importorskip("ai_edge_quantizer", reason="the extra dpig-tf2[litert] is absent")
    flags = [f"--run_dir={run_dir}", f"--out_dir={tmp_path}", "--format=litert"]
    result = _export(*flags, "--signatures=decode_pose")
    assert result.returncode == 0, result.stderr
    assert {path.name for path in (tmp_path / "1").iterdir()} == {
        "decode_pose.tflite",
        "signatures.json",
    }
    assert result.stdout.startswith("decode_pose: 0.0 MB; keypoints apart: ")

    result = _export(*flags, "--signatures=decode_poses")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "dpig export: error: unknown signature 'decode_poses'; known: encode_pose, decode_pose"
    )


@pytest.mark.parametrize("portable", [True, False])
def test_what_is_fastest_here_is_exported_where_it_need_not_be_portable(
    portable, run_dir, tmp_path, monkeypatch
):
    chosen = ((64, 128, False),)
    monkeypatch.setattr(convolution_speed, "runs_on_cpu_uncompiled", lambda compiled: not compiled)
    monkeypatch.setattr(convolution_speed, "seconds", lambda *_: {chosen[0]: (1.0, 10.0)})
    found = []

    def written(config, networks, *_):
        found.extend(network.execution for network in networks.values())
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "export", written)
    saved = flagsaver.save_flag_values(export.FLAGS)
    try:
        export.FLAGS(["dpig", f"--run_dir={run_dir}", f"--portable={portable}".lower()])
        with pytest.raises(KeyboardInterrupt):
            export.main()
    finally:
        flagsaver.restore_flag_values(saved, export.FLAGS)
    assert {execution.library for execution in found} == {() if portable else chosen}


def test_damaged_weights_are_named(run_dir, tmp_path):
    (tmp_path / "config.json").write_bytes((run_dir / "config.json").read_bytes())
    whole = (run_dir / "weights.npz").read_bytes()
    (tmp_path / "weights.npz").write_bytes(whole[: len(whole) // 2])
    result = _export(f"--run_dir={tmp_path}")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"dpig export: error: {tmp_path / 'weights.npz'}: not a readable")
    assert "Traceback" not in result.stderr
