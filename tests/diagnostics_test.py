"""Each check's verdicts, on what it would find elsewhere."""

import importlib.metadata
import math
import os

import pytest
from packaging.requirements import Requirement

from dpig_tf2 import diagnostics
from dpig_tf2.diagnostics import FAILED, OK, WARNING, Check, StepResult
from dpig_tf2.training import precision


def _only_installed(monkeypatch, versions):
    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_package_verdicts(monkeypatch):
    _only_installed(monkeypatch, {"numpy": "2.4.6", "keras": "3.20.0"})
    assert diagnostics.check_package("numpy>=2.1,<3") == Check("numpy", OK, "2.4.6")
    newer = diagnostics.check_package("keras>=3.15,<3.16")
    assert (newer.verdict, newer.finding) == (WARNING, "3.20.0")
    absent = diagnostics.check_package("scipy>=1.14")
    assert absent == Check("scipy", FAILED, "not installed", 'pip install "scipy>=1.14"')


def test_stops_where_a_needed_package_is_absent(monkeypatch):
    _only_installed(monkeypatch, {})
    checks = list(diagnostics.run_checks())
    assert [c.name for c in checks if c.verdict == FAILED] == [
        Requirement(line).name for line in diagnostics.requirements()
    ]
    assert checks[-1].name == "tensorflow-addons"


def test_every_requirement_is_bounded():
    names = [Requirement(line).name for line in diagnostics.requirements()]
    assert {"tensorflow", "keras", "numpy", "absl-py"} <= set(names)
    assert all("<" in line for line in diagnostics.requirements())


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, OK), (8.5, WARNING)])
def test_slow_bfloat16_is_a_warning(monkeypatch, factor, verdict):
    monkeypatch.setattr(precision, "slowdown", lambda execution: factor)
    check = diagnostics.check_bfloat16()
    assert check.verdict == verdict and f"{factor} times the time of float32" in check.finding


def test_python_version(monkeypatch):
    assert diagnostics.check_python().verdict == OK
    monkeypatch.setattr("platform.python_version", lambda: "3.9.2")
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "9", "2"))
    assert diagnostics.check_python().advice == "tested with Python 3.11 to 3.13"


def test_addons_are_reported(monkeypatch):
    assert diagnostics.check_addons().verdict == OK
    _only_installed(monkeypatch, {"tensorflow-addons": "0.23.0"})
    assert diagnostics.check_addons().verdict == WARNING


@pytest.mark.parametrize(
    "version, verdict",
    [((9, 2), OK), ((9, 3), WARNING), ((9, 5), WARNING), ((9, 24), OK), (None, WARNING)],
)
def test_cudnn_that_breaks_xla(version, verdict):
    assert diagnostics.check_cudnn(version).verdict == verdict


def test_cudnn_version_of_the_package(monkeypatch):
    _only_installed(monkeypatch, {"nvidia-cudnn-cu12": "9.24.0.43"})
    assert diagnostics.cudnn_version() == (9, 24)


def test_devices():
    assert diagnostics.check_devices(["NVIDIA X", "Y"]).finding == "2 GPU: NVIDIA X; Y"
    # The verdict without one depends on whether this machine has a driver's device file.
    assert diagnostics.check_devices([]).finding.startswith("CPU only")


def test_step_verdicts():
    good = StepResult(0.5, 1.0)
    broken = StepResult(error="InternalError: no algorithm")
    assert diagnostics.check_step(good).verdict == OK
    assert diagnostics.check_step(broken).verdict == FAILED
    assert diagnostics.check_xla(StepResult(0.5001, 9.0), good).verdict == OK
    assert diagnostics.check_xla(StepResult(0.51, 9.0), good).verdict == WARNING
    assert diagnostics.check_xla(broken, good).verdict == WARNING


def test_steps_report_an_error_and_survive_a_dead_process(monkeypatch):
    # Built-in functions stand in for the training: another process finds them by name.
    monkeypatch.setattr(diagnostics, "_train", len)
    failed = diagnostics.training_steps(jit_compile=False)
    assert failed.error == "TypeError: object of type 'bool' has no len()"
    monkeypatch.setattr(diagnostics, "_train", os._exit)
    died = diagnostics.training_steps(jit_compile=True)
    assert died.error == "the process died, see the messages above"
    assert math.isnan(died.loss)
