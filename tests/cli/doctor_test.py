"""dpig doctor as a user starts it; also the proof that a training step compiles under XLA."""

import json
import pathlib
import subprocess
import sys

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[2]


def _doctor(*flags):
    command = [sys.executable, "-m", "dpig_tf2.cli.doctor", *flags]
    return subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=400)


@pytest.mark.slow
def test_json_report():
    result = _doctor("--json")
    report = json.loads(result.stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert verdicts["tensorflow"] in ("ok", "warning")
    assert verdicts["training step"] == "ok"
    assert verdicts["training step under XLA"] == "ok"
    assert report["failed"] == 0 and result.returncode == 0
    assert report["warnings"] == list(verdicts.values()).count("warning")


def test_refuses_a_misspelled_flag():
    result = _doctor("--jason")
    assert result.returncode == 1
    assert "unknown flag --jason; did you mean --json?" in result.stderr
