"""How every verb starts and ends: a small one stands in for all."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[2]
_PROGRAM = '''"""Does what --fail says."""
from absl import flags
from dpig_tf2.cli import program
from dpig_tf2.errors import DpigError

FLAGS = flags.FlagValues()
_FAIL = flags.DEFINE_string("fail", "", "Statement to run.", flag_values=FLAGS)
_FILE = flags.DEFINE_string("file", None, "A file.", flag_values=FLAGS)
_STATUS = flags.DEFINE_integer("status", None, "Exit status.", flag_values=FLAGS)
flags.DEFINE_float("share", 0, "Share.", lower_bound=0, upper_bound=1, flag_values=FLAGS)


def main():
    exec(_FAIL.value, globals())
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
            "raise DpigError('model.hidden must\\n  be at least 1')",
            "model.hidden must be at least 1",
        ),
        ("open('/absent/file')", "[Errno 2] No such file or directory: '/absent/file'"),
        ("raise DpigError", "DpigError"),
        (r"raise DpigError('a\x1b[2Jb\udcff\u202e.png')", r"a\x1b[2Jb\udcff\u202e.png"),
    ],
)
def test_bad_input_is_one_line(program, statement, message):
    result = _start(program, program, f"--fail={statement}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"dpig example: error: {message}\n"


def test_verbs_seldom_look_for_circular_garbage(program):
    result = _start(program, program, "--fail=import gc; print(gc.get_threshold()[0] > 700)")
    assert result.stdout == "True\ndone\n"


def test_an_error_of_tensorflow_is_one_line(program):
    statement = "import tensorflow as tf; raise tf.errors.DataLossError(None, None, 'cut\\n off')"
    result = _start(program, program, f"--fail={statement}")
    assert result.returncode == 1
    assert result.stderr.endswith("\ndpig example: error: cut off\n")
    assert "Traceback" not in result.stderr


def test_verbosity_adds_the_traceback(program):
    result = _start(program, program, "--fail=raise DpigError('wrong')", "--verbosity=1")
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


@pytest.mark.parametrize(
    "flag, value",
    [("~/a b", "/home/ann/a b"), ("~", "/home/ann"), ("~ann", "~ann"), ("./~", "./~")],
)
def test_a_home_folder_after_the_equals_sign_is_found(program, monkeypatch, flag, value):
    monkeypatch.setenv("HOME", "/home/ann")
    result = _start(program, program, "--fail=print(_FILE.value)", f"--file={flag}")
    assert result.stdout == f"{value}\ndone\n"


@pytest.mark.parametrize("arguments, start", [([], "one kept"), (["--verbosity=1"], "I")])
def test_what_is_logged_is_told_without_its_place_in_the_code(program, arguments, start):
    log = "from absl import logging; logging.info('%s kept', 'one')"
    (line,) = _start(program, program, f"--fail={log}", *arguments).stderr.splitlines()
    assert line.startswith(start) and line.endswith("one kept")


def test_the_graph_is_left_out_of_an_error_of_tensorflow(program):
    statement = (
        "import tensorflow as tf; "
        "tf.function(lambda text: tf.io.decode_png(text))(tf.constant(b'odd'))"
    )
    result = _start(program, program, f"--fail={statement}")
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("dpig example")]
    assert "node" not in line and "defined at" not in line and "Op:" not in line
    assert line.startswith("dpig example: error: ") and "image" in line.lower()


@pytest.mark.parametrize(
    "statement, message",
    [
        ("raise KeyError('b\\x1bg')", r"KeyError: 'b\x1bg'"),
        ("raise ValueError('odd')", "ValueError: odd"),
        ("raise RecursionError", "RecursionError"),
        ("raise MemoryError", "MemoryError"),
        ("assert False", "AssertionError"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_a_fault_of_the_program_is_one_line_and_a_file(
    program, tmp_path, monkeypatch, statement, message
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = _start(program, program, f"--fail={statement}")
    (report,) = tmp_path.iterdir()
    assert result.returncode == 70
    assert result.stderr == (
        f"dpig example: internal error: {message}; please report it with {report}\n"
    )
    text = report.read_text()
    assert "dpig_tf2 " in text and "--fail=" in text and "Traceback" in text


def test_a_fault_is_told_where_no_file_can_be_written(program, monkeypatch):
    statement = "import tempfile; tempfile.tempdir = '/absent'; raise KeyError('bug')"
    result = _start(program, program, f"--fail={statement}")
    assert result.returncode == 70
    assert "Traceback" in result.stderr
    assert result.stderr.endswith(
        "internal error: KeyError: 'bug'; please report it with the lines above\n"
    )


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_interruption(program, number):
    statement = f"import os, signal, time; os.kill(os.getpid(), signal.{number}); time.sleep(9)"
    result = _start(program, program, f"--fail={statement}")
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "dpig example: interrupted\n"


def test_the_last_line_is_written_whole(program):
    """A script that got the same signal writes its own last line to the same place."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps writes apart
    with ours, theirs:
        command = [sys.executable, program, "--fail=raise KeyboardInterrupt"]
        environment = os.environ | {"PYTHONPATH": str(_REPOSITORY)}
        subprocess.run(command, env=environment, stderr=theirs, timeout=60)
        assert ours.recv(1000) == b"dpig example: interrupted\n"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_interruption_of_an_import(program, number):
    """Extension modules make ImportError of an exception in their initialization."""
    (program.parent / f"slow_{number}.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
        "    time.sleep(9)\n"
        "except BaseException:\n"
        "    raise ImportError('initialization failed')\n"
    )
    result = _start(program, program, f"--fail=import slow_{number}")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "dpig: interrupted\n")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_interruption_of_a_finalizer(program, number):
    """Python tells of an exception there, and goes on."""
    (program.parent / f"finalizer_{number}.py").write_text(
        "import os, signal, time\n"
        "class Last:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "        time.sleep(9)\n"
        "def leave():\n"
        "    last = Last()\n"
    )
    fail = f"--fail=import finalizer_{number}; finalizer_{number}.leave()"
    result = _start(program, program, fail)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "dpig: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.3, 1.5])
@pytest.mark.slow
def test_a_verb_is_interrupted_in_its_first_seconds(tmp_path, number, seconds):
    started = subprocess.Popen(
        [sys.executable, "-c", "from dpig_tf2.cli.main import run; run()", "make_synthetic"]
        + [f"--out_dir={tmp_path / 'data'}"],
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.endswith("interrupted\n") and "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_arguments_without_dashes_are_named(program):
    result = _start(program, program, "preset=market1501")
    assert result.returncode == 1
    assert "unexpected argument 'preset=market1501': this verb takes only" in result.stderr


def test_help_shows_the_docstring_and_the_flags(program):
    result = _start(program, program, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Does what --fail says.\n")
    assert "  --status=INTEGER\n      Exit status.\n" in result.stdout


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(program, tmp_path, closed):
    statement = f"import os, sys; file = open('{tmp_path}/data', 'w'); print('x', file=sys.stderr)"
    statement += "; os.write(2, b'noise'); file.write(str(file.fileno() > 2))"
    line = f'"{sys.executable}" "{program}" --fail="{statement}" {closed}'
    environment = os.environ | {"PYTHONPATH": str(_REPOSITORY)}
    assert subprocess.run(line, shell=True, env=environment, timeout=60).returncode == 0
    assert (tmp_path / "data").read_text() == "True"


def test_letters_that_an_encoding_lacks_are_told_by_their_numbers(program, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    result = _start(program, program, r"--fail=print('u\u0308')")
    assert (result.returncode, result.stdout) == (0, "u\\u0308\ndone\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_help_on_a_full_disk_is_one_line(program):
    line = f'"{sys.executable}" "{program}" --help > /dev/full'
    environment = os.environ | {"PYTHONPATH": str(_REPOSITORY)}
    done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "dpig: error: [Errno 28] No space left on device\n"


def test_a_misspelled_flag_is_told_its_nearest(program):
    result = _start(program, program, "--statsu=3")
    assert result.returncode == 1
    assert result.stderr == (
        "dpig example: error: unknown flag --statsu; did you mean --status? (see dpig example "
        "--help)\n"
    )


def test_a_text_in_place_of_a_number_is_told_plainly(program):
    result = _start(program, program, "--status=abc")
    assert result.returncode == 1
    assert "flag --status=abc: expected a whole number (see" in result.stderr


def test_a_flag_without_a_value_is_not_taken_for_one_that_is_absent(program):
    result = _start(program, program, "--fail=", "--status=0")
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: flag --fail=: expected a value, got none (see" in result.stderr


def test_a_number_that_is_none_is_within_no_bounds(program):
    result = _start(program, program, "--share=nan")
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: flag --share=nan: expected a number (see" in result.stderr


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
