"""How every verb starts and ends: a small one stands in for all."""

import os
import pathlib
import subprocess
import sys

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[2]
_PROGRAM = '''"""Does what --fail says."""
from absl import flags
from dpig_tf2.cli import program

FLAGS = flags.FlagValues()
_FAIL = flags.DEFINE_string("fail", "", "Statement to run.", flag_values=FLAGS)
_STATUS = flags.DEFINE_integer("status", None, "Exit status.", flag_values=FLAGS)


def main():
    exec(_FAIL.value)
    print("done")
    return _STATUS.value


if __name__ == "__main__":
    program.run(__name__)
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
    assert result.stderr == f"dpig example: error: {message}\n"


def test_an_error_of_tensorflow_is_one_line(program):
    statement = "import tensorflow as tf; raise tf.errors.DataLossError(None, None, 'cut\\n off')"
    result = _start(program, program, f"--fail={statement}")
    assert result.returncode == 1
    assert result.stderr.endswith("\ndpig example: error: cut off\n")
    assert "Traceback" not in result.stderr


def test_verbosity_adds_the_traceback(program):
    result = _start(program, program, "--fail=raise ValueError('wrong')", "--verbosity=1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("dpig example: error: wrong\n")


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
    assert (result.returncode, result.stderr) == (130, "dpig example: interrupted\n")


def test_arguments_without_dashes_are_named(program):
    result = _start(program, program, "preset=market1501")
    assert result.returncode == 1
    assert "unexpected argument 'preset=market1501': this verb takes only" in result.stderr


def test_help_shows_the_docstring_and_the_flags(program):
    result = _start(program, program, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Does what --fail says.\n")
    assert "  --status=INTEGER\n      Exit status.\n" in result.stdout


def test_a_misspelled_flag_is_told_its_nearest(program):
    result = _start(program, program, "--statsu=3")
    assert result.returncode == 1
    assert result.stderr == (
        "dpig example: error: unknown flag --statsu; did you mean --status? (see dpig example "
        "--help)\n"
    )


def test_flags_of_an_earlier_command_line_are_forgotten(program):
    twice = """
import example
from dpig_tf2.cli import program
for arguments in (["--status=3"], []):
    try:
        program.run("example", arguments)
    except SystemExit as stop:
        print(stop.code)
"""
    assert _start(program, "-c", twice).stdout == "done\n3\ndone\nNone\n"
