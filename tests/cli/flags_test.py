"""How every program ends: a small one stands in for all."""

import os
import pathlib
import subprocess
import sys

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[2]
_PROGRAM = '''"""Does what --fail says."""
from absl import flags
from dpig_tf2.cli.flags import run_program

_FAIL = flags.DEFINE_string("fail", "", "Statement to run.")
_STATUS = flags.DEFINE_integer("status", None, "Exit status.")


def main(argv):
    exec(_FAIL.value)
    print("done")
    return _STATUS.value


def run():
    run_program("dpig-example", main)


if __name__ == "__main__":
    run()
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "example.py"
    path.write_text(_PROGRAM)
    return path


def _start(program, *arguments):
    """Runs Python on the arguments, beside the package and the program."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_REPOSITORY), str(program.parent)])},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("flags, status", [([], 0), (["--status=0"], 0), (["--status=3"], 3)])
def test_returned_status_is_the_exit_status(program, flags, status):
    result = _start(program, program, *flags)
    assert (result.returncode, result.stdout, result.stderr) == (status, "done\n", "")


@pytest.mark.parametrize(
    "statement, message",
    [
        (
            "raise ValueError('model.hidden must\\n  be at least 1')",
            "model.hidden must be at least 1",
        ),
        ("open('/absent/file')", "[Errno 2] No such file or directory: '/absent/file'"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_bad_input_is_one_line(program, statement, message):
    result = _start(program, program, f"--fail={statement}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"dpig-example: error: {message}\n"


def test_verbosity_adds_the_traceback(program):
    result = _start(program, program, "--fail=raise ValueError('wrong')", "--verbosity=1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("dpig-example: error: wrong\n")


@pytest.mark.parametrize(
    "arguments, given, level", [([], None, "2"), (["--verbosity=1"], None, "0"), ([], "1", "1")]
)
def test_notices_of_tensorflow_stay_away_unless_asked_for(
    program, monkeypatch, arguments, given, level
):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    if given:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given)
    show = "import os; print(os.environ.get('TF_CPP_MIN_LOG_LEVEL', '0'))"
    assert _start(program, program, f"--fail={show}", *arguments).stdout == f"{level}\ndone\n"


def test_a_bug_is_not_hidden(program):
    result = _start(program, program, "--fail=raise KeyError('bug')")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_interruption(program):
    result = _start(program, program, "--fail=raise KeyboardInterrupt")
    assert (result.returncode, result.stderr) == (130, "dpig-example: interrupted\n")


def test_arguments_without_dashes_are_named(program):
    result = _start(program, program, "preset=market1501")
    assert result.returncode == 1
    assert "unexpected argument 'preset=market1501': this program takes only" in result.stderr


def test_help_lists_the_flags_also_by_the_installed_name(program):
    installed = "import sys, example; sys.argv = ['dpig-example', '--help']; example.run()"
    for command in ([program, "--help"], ["-c", installed]):
        result = _start(program, *command)
        assert "Statement to run." in result.stdout
        assert "Exit status." in result.stdout
