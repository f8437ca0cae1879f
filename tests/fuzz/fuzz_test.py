"""A quick part of `scripts/fuzz.sh`, and that it would see a failure."""

import pytest

from tests.fuzz import batch, run
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
def test_damaged_files_are_refused_or_read_rightly(kind):
    count = TARGETS[kind].quick + len(TARGETS[kind].hostile())
    outcomes = run.run(kind, count)
    failures = [outcome for outcome in outcomes if outcome["outcome"] not in run.GOOD]
    assert not failures, failures[0]
    assert len(outcomes) == count
    # Every batch begins with the sound files, which must be accepted.
    assert {outcome["outcome"] for outcome in outcomes} == set(run.GOOD)


@pytest.mark.parametrize(
    ("read", "check", "outcome"),
    [
        (lambda path: 1 / 0, None, "traceback"),
        (lambda path: _refuse(MemoryError), None, "more than 1 GiB"),
        (lambda path: 1, lambda value, path: 1 / 0, "accepted and wrong"),
        (lambda path: _refuse(), None, "message without file"),
    ],
)
def test_failures_are_seen(tmp_path, read, check, outcome):
    (tmp_path / "a").touch()
    assert batch.judge(Target(dict, read, check), tmp_path / "a")[0].startswith(outcome)


def test_the_end_of_the_process_is_seen(monkeypatch):
    """A file that kills the process, seen from outside."""
    monkeypatch.setattr(run, "_BATCH", 50)
    script = "import os, json; print(json.dumps({'started': 7}), flush=True); os.abort()"
    monkeypatch.setattr(run.subprocess, "run", _replaced(run.subprocess.run, script))
    (outcome,) = run._batch("pickle", 0, 7, 50)
    assert outcome["ended"] == 7 and outcome["outcome"] == "ended by -6"


def test_every_failure_is_summed_up():
    seen = ["ended by -6", "traceback", "more than 10 s", "more than 1 GiB", "something ran"]
    seen += ["message that is no line", "message without file or place", "accepted and wrong"]
    assert {run._failure(outcome) for outcome in seen} == set(run._FAILURES.values())


def _replaced(original, script):
    return lambda command, **options: original([command[0], "-c", script], **options)


def _refuse(error=batch.DpigError):
    raise error("no file")
