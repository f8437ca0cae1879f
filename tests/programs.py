"""Command lines that share a process, where TensorFlow is loaded and networks are traced once.

And scripts with a stand-in for Python.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).parents[1]
# Runs every command line of a JSON list and prints what became of each as the last line.
_DRIVER = """
import contextlib, functools, io, json, sys
sys.path.insert(0, sys.argv[2])
from dpig_tf2.cli import main
from dpig_tf2.sampling.sampler import PersonSampler

PersonSampler.load = functools.cache(PersonSampler.load)  # traces every network once
results = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["dpig", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.run()
        except SystemExit as stop:
            results.append([stop.code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""


def run_in_one_process(lines, cwd=REPOSITORY) -> list:
    """(status, stdout, stderr) of each command line, lists of arguments after `dpig`."""
    lines = json.dumps([list(map(str, line)) for line in lines])
    result = subprocess.run(
        [sys.executable, "-c", _DRIVER, lines, str(REPOSITORY)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def script_with_stand_in(folder, name, stand_in):
    """scripts/NAME in a folder of its own, where Python is a program that notes calls in `calls`.

    Returns:
        A function of arguments and environment variables that runs the script: what it said, its
        status, and the words of each call.
    """
    (folder / "scripts").mkdir()
    for path in (f"scripts/{name}", "scripts/setup.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / path, folder / path)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(stand_in)
    python.chmod(0o755)
    stamp = subprocess.run(
        "cat requirements.txt pyproject.toml | cksum",
        shell=True,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    (folder / ".venv" / "installed").write_bytes(stamp.stdout)

    def run(*arguments, **environment):
        calls = folder / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [folder / "scripts" / name, *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = calls.read_text().splitlines() if calls.exists() else []
        return done.stdout + done.stderr, done.returncode, [line.split() for line in lines]

    return run


def save_tiny_sampler(config, folder) -> None:
    """Networks as they are before training, a discriminator among them."""
    from dpig_tf2.config import STAGES
    from dpig_tf2.models import factory
    from dpig_tf2.sampling.sampler import PersonSampler

    names = [name for stage in STAGES for name in factory.stage_networks(stage, config.model)]
    names = [name for name in names if not name.endswith("critic")]
    PersonSampler(config, factory.build_networks(names, config.model)).save(folder)
