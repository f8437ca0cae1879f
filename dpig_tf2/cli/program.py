"""How every verb starts, and how it ends when what it was given is bad.

A verb is a module `dpig_tf2/cli/<verb>.py` with

    FLAGS       its own `absl.flags.FlagValues`, so that all verbs can be imported side by side
    ARGUMENTS   names of its positional arguments, if it takes any
    main        a function of the positional arguments; returns the exit status, None for 0

and a docstring whose first line `dpig --help` shows. `main` imports TensorFlow inside its body:
bad flags and help answer at once.
"""

import difflib
import os
import pathlib
import platform
import re
import shlex
import signal
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from logging import Formatter
from types import ModuleType

from absl import app, flags, logging

import dpig_tf2
from dpig_tf2.cli.interruption import EXIT_INTERRUPTED, interruptible, open_streams
from dpig_tf2.errors import DpigError, printable
from dpig_tf2.io.memory import collect_rarely, keep_freed_memory

EXIT_BAD_INPUT = 1
EXIT_INTERNAL_ERROR = 70  # by convention: a fault of the program
EXIT_TRY_AGAIN = 75  # by convention: a failure that may pass

_FIRST_NOTES = 20  # that are printed of many

HELP_FLAGS = ("--help", "-help", "-h", "--helpfull", "--helpshort")
# absl writes the values of an enum before its help, and "repeat this option" behind it.
_ADDED_BY_ABSL = re.compile(r"^<[^>]*>: |;\s+repeat this option.*", re.DOTALL)
# What TensorFlow tells of the places in a graph.
_STACK_OF_OPERATIONS = re.compile(
    r"^Graph execution error:|^Detected at node .*|^<stack traces unavailable>|^ +File .*\n.*"
    r"|\[*\{\{\w*node [^}]*\}\}\]*|\[Op:[^\]]*\][^\n]*",
    re.MULTILINE,
)
_NUMBER_EXPECTED = {  # how Python's words on a text that is no number are told
    re.compile(r"invalid literal for int\(\) with base \d+: .*"): "expected a whole number",
    re.compile(r"could not convert string to float: .*"): "expected a number",
}
_VALUES = {"string": "TEXT", "multi string": "TEXT", "int": "INTEGER", "float": "NUMBER"}


class FlagError(DpigError):
    """A flag that is missing, does not belong, or has a value that cannot be used."""


def run(module_name: str, arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, runs the verb, and exits with its status.

    Bad input ends in one line on stderr and status 1: unknown flags, surplus arguments, and every
    DpigError, OSError and TensorFlow error of `main`. Any other error is a fault of the program: it
    ends with status 70 and a line that names the file with the traceback. SIGINT and SIGTERM end
    with 130. `--verbosity=1` prints the traceback of any error, and those notices and warnings of
    TensorFlow that can be kept away.

    Args:
        module_name: the verb's module; a verb passes its own `__name__`.
        arguments: command line after the verb, by default that of the process.
    """
    module = sys.modules[module_name]
    name = f"dpig {verb_of(module)}"

    def parse(argv):
        if any(argument in HELP_FLAGS for argument in argv[1:]):
            show(help_text(module))
            sys.exit(0)
        try:
            return _parse(module, argv)
        except FlagError as error:
            _complain(f"{name}: error: {one_line(error)} (see {name} --help)")
            sys.exit(EXIT_BAD_INPUT)

    def guarded(argv):
        verbose = logging.get_verbosity() >= logging.DEBUG
        if not verbose:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            # What is logged is for people: the message without its place in the code.
            logging.get_absl_handler().setFormatter(Formatter())
        keep_freed_memory()
        collect_rarely()
        try:
            return module.main(*argv[1:])
        except KeyboardInterrupt as stop:
            _complain(f"{name}: {one_line(stop) if str(stop) else 'interrupted'}")
            return EXIT_INTERRUPTED
        except Exception as error:
            if verbose:
                traceback.print_exc()
            print_notes(getattr(error, "__notes__", ()))
            if isinstance(error, _bad_input()):
                _complain(f"{name}: error: {one_line(error)}")
                return EXIT_BAD_INPUT
            _complain(f"{name}: internal error: {_reported(error, [name, *command])}")
            return EXIT_INTERNAL_ERROR

    open_streams()
    flags.FLAGS.mark_as_parsed()  # absl's own flags; a verb's are in its FLAGS
    command = sys.argv[1:] if arguments is None else arguments
    with interruptible():
        app.run(guarded, [name, *command], flags_parser=parse)


def say(text: object) -> None:
    """Prints a line at once; it may name files, see `errors.printable`."""
    print(printable(text), flush=True)


def show(text: str) -> None:
    """Prints a text of which a pager may close the rest."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        print(text, flush=True)
    except OSError as error:  # of a file on a full disk
        os.close(1)  # Python would try again at its end
        sys.exit(f"dpig: error: {one_line(error)}")


def print_notes(notes: Sequence[str], most: int | None = _FIRST_NOTES) -> None:
    """Remarks a line each, the first of them if they are many."""
    for note in notes[:most]:
        say(f"note: {note}")
    if most is not None and len(notes) > most:
        print(f"note: {len(notes) - most} more")


def verb_of(module: ModuleType) -> str:
    """The name of a verb, also where its module was started as a script."""
    return pathlib.Path(module.__file__).stem


def one_line(error: BaseException) -> str:
    """What an error says, with its line breaks folded, or its type if it says nothing."""
    tensorflow = sys.modules.get("tensorflow")
    text = str(error)
    if tensorflow and isinstance(error, tensorflow.errors.OpError):
        text = _STACK_OF_OPERATIONS.sub("", getattr(error, "message", text))
    return printable(" ".join(text.split())) or type(error).__name__


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """ "; did you mean X?" for the known name nearest to a misspelled one; "" if none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else ""


def flag_names(module: ModuleType) -> list[str]:
    """The flags of a verb as they are typed; those that take a value end with "="."""
    return sorted(
        f"--{name}" if flag.boolean else f"--{name}=" for name, flag in _flags_of(module).items()
    )


def flag_choices(module: ModuleType) -> dict[str, Sequence[str]]:
    """{flag name: its values} of the flags of a verb that take one of a few values."""
    found = {name: _choices(flag) for name, flag in _flags_of(module).items()}
    return {name: choices for name, choices in found.items() if choices}


def help_text(module: ModuleType) -> str:
    """The docstring of a verb and all its flags."""
    lines = [module.__doc__.strip(), "", "Flags:"]
    for name, flag in sorted(_flags_of(module).items()):
        if flag.boolean:
            syntax = f"--[no]{name}"
        else:
            choices = _choices(flag)
            value = "|".join(choices) if choices else _VALUES.get(flag.flag_type(), "TEXT,...")
            syntax = f"--{name}={value}"
        repeatable = isinstance(flag, flags.MultiFlag)
        notes = ["required"] * _required(flag) + ["repeatable"] * repeatable
        if flag.default not in (None, [], ""):
            values = " and ".join(flag.default) if repeatable else flag.default_as_str.strip("'")
            notes.append(f"default: {values}")
        lines.append(f"  {syntax}" + (f"  ({', '.join(notes)})" if notes else ""))
        lines += textwrap.wrap(
            _ADDED_BY_ABSL.sub("", flag.help), 96, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines)


def _parse(module, argv):
    """The command line without its flags; raises FlagError."""
    values = module.FLAGS
    if "verbosity" not in values:
        values["verbosity"] = flags.FLAGS["verbosity"]
    values.unparse_flags()  # of an earlier command line in this process
    try:
        rest = values([_at_home(argument) for argument in argv])
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        nearest = did_you_mean(name, _flags_of(module), "--")
        raise FlagError(f"unknown flag --{name}{nearest}", field=name) from error
    except flags.Error as error:
        missing = [name for name, flag in _flags_of(module).items() if _missing(flag)]
        if missing and values.is_parsed():  # all values are well-formed, some are absent
            needed = " and ".join(f"--{name}" for name in missing)
            raise FlagError(f"{needed} must be given", field=missing[0]) from error
        message = one_line(error)
        for words, told in _NUMBER_EXPECTED.items():
            message = words.sub(told, message)
        raise FlagError(message) from error
    for name, flag in _flags_of(module).items():
        if flag.present and flag.value in ("", []):  # a variable of a shell that is not set
            raise FlagError(f"flag --{name}=: expected a value, got none", field=name)
        if flag.value != flag.value:  # which is within all bounds
            raise FlagError(f"flag --{name}=nan: expected a number", field=name)
    expected = getattr(module, "ARGUMENTS", ())
    if surplus := rest[1 + len(expected) :]:
        given = " ".join(map(repr, surplus))
        takes = " ".join(expected) + " and --flags" if expected else "only --flags"
        raise FlagError(f"unexpected argument {given}: this verb takes {takes}")
    if lacking := expected[len(rest) - 1 :]:
        raise FlagError(f"{' '.join(lacking)} must be given", field=lacking[0])
    return rest


def _at_home(argument):
    """`--flag=~/x` with the home folder: after "=", bash and zsh leave `~` as it is."""
    flag, equals, value = argument.partition("=")
    if flag.startswith("-") and (value == "~" or value.startswith("~/")):
        value = os.path.expanduser(value)
    return flag + equals + value


def _flags_of(module):
    """{name: flag} of a verb's own flags."""
    return {name: module.FLAGS[name] for name in module.FLAGS if name not in ("v", "verbosity")}


def _choices(flag):
    return tuple(getattr(flag.parser, "enum_values", ()) or ())


def _required(flag):
    return any("other than None" in validator.message for validator in flag.validators)


def _missing(flag):
    return _required(flag) and flag.value is None


def _complain(line):
    # At once: `print` writes the line break apart, and a shell may say something in between.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _bad_input():
    """The errors that say what is wrong with the input or the machine."""
    tensorflow = sys.modules.get("tensorflow")  # whoever has not loaded it cannot raise its errors
    return (DpigError, OSError, *([tensorflow.errors.OpError] if tensorflow else []))


def _reported(error, command):
    """One line about a fault of the program; the traceback goes to a file that it names."""
    what = type(error).__name__ + (f": {one_line(error)}" if str(error) else "")
    trace = "".join(traceback.format_exception(error))
    versions = f"dpig_tf2 {dpig_tf2.__version__}, Python {platform.python_version()}"
    report = f"{versions}\n{printable(' '.join(map(shlex.quote, command)))}\n\n{trace}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="dpig-error-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(report)
    except OSError:
        _complain(report)
        return f"{what}; please report it with the lines above"
    return f"{what}; please report it with {file.name}"
