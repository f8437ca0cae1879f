"""Scripts with a stand-in for Python: what they do when they are stopped, or started once more."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests import programs

# ---- scripts/train_two_hosts.sh

# Notes every signal, and takes as long to leave as a worker that finishes its step.
_WORKER = f"""#!{sys.executable}
import pathlib, signal, sys, time

def note(number, _):
    with open("signals", "a") as signals:
        print(signal.Signals(number).name, file=signals)

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, note)
with open("calls", "a") as calls:
    print("started", file=calls)
if pathlib.Path("fails").exists():
    pathlib.Path("fails").unlink()
    sys.exit(9)
while not pathlib.Path("signals").exists():
    time.sleep(0.05)
time.sleep(0.5)
sys.exit(130)
"""


@pytest.fixture
def host(tmp_path):
    """The running script as the shell of a terminal starts it, in a process group of its own."""
    programs.script_with_stand_in(tmp_path, "train_two_hosts.sh", _WORKER)
    started = []

    def start():
        command = ["scripts/train_two_hosts.sh", "a:1", "b:1", "0", "--preset=synthetic"]
        with (tmp_path / "said").open("w") as said:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                    # A shell cannot trap what was ignored when it began, as where tests run aside.
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                )
            )
        _wait_for(tmp_path / "calls")
        return started[0]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
    (tmp_path / "signals").touch()  # a worker that is left ends


def test_ctrl_c_reaches_a_worker_once(tmp_path, host):
    process = host()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=20) == 130
    assert (tmp_path / "signals").read_text() == "SIGTERM\n"


def test_no_worker_starts_after_a_stop_between_two(tmp_path, host):
    (tmp_path / "fails").touch()
    process = host()
    _wait_for(tmp_path / "said", "starts again")
    process.terminate()
    assert process.wait(timeout=20) == 130
    assert (tmp_path / "calls").read_text() == "started\n"


def _wait_for(path, text=""):
    deadline = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)


# ---- scripts/train_market.sh

_NOTES_CALLS = """#!/usr/bin/env bash
echo "$@" >> calls
for flag in "$@"; do
  case $flag in
    --out_dir=*) out="${flag#--out_dir=}" ;;
    --split=*) split="${flag#--split=}" ;;
  esac
done
[[ "$3" != make_records ]] || touch "$out/market_${split}_0.tfrecord"
"""


def test_records_of_other_keypoints_are_not_trained_on(tmp_path):
    script = programs.script_with_stand_in(tmp_path, "train_market.sh", _NOTES_CALLS)
    data, keypoints = tmp_path / "photos of persons", tmp_path / "keypoints.csv"
    (data / "images").mkdir(parents=True)
    for split in ("train", "heldout"):
        (data / f"{split}_pairs.csv").write_text("from,to\na.jpg,b.jpg\n")
    keypoints.write_text("first")
    for _ in range(2):
        said, status, calls = script(data, keypoints)
        assert status == 0, said
        assert [call[2] for call in calls].count("train") == 2
    keypoints.write_text("second")
    said, status, calls = script(data, keypoints)
    assert status == 2 and "is of other photos, keypoints or pairs" in said
    assert not calls
    for records in (tmp_path / "data/market_64").glob("*.tfrecord"):
        records.unlink()
    said, status, _ = script(data, keypoints)
    assert status == 0, said  # where nothing is made yet, what was wrong may be put right


# ---- scripts/setup.sh

_FINDS_PYTHON = """#!/usr/bin/env bash
[[ "$1" == -c ]] && exit 0
mkdir -p .venv/bin
cat > .venv/bin/python << 'PYTHON'
#!/usr/bin/env bash
echo "$@" >> calls
PYTHON
chmod +x .venv/bin/python
"""


def test_an_environment_without_pip_is_made_anew(tmp_path):
    (tmp_path / "scripts").mkdir()
    for path in ("scripts/setup.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(programs.REPOSITORY / path, tmp_path / path)
    broken, found = tmp_path / ".venv/bin/python", tmp_path / "bin/python3"
    for program, text in ((broken, "#!/bin/sh\nexit 1\n"), (found, _FINDS_PYTHON)):
        program.parent.mkdir(parents=True)
        program.write_text(text)
        program.chmod(0o755)
    subprocess.run(
        ["bash", "-ec", "source scripts/setup.sh; set_up"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{found.parent}:{os.environ['PATH']}"},
        check=True,
        timeout=60,
    )
    assert "install" in (tmp_path / "calls").read_text()
    assert (tmp_path / ".venv/installed").exists()
