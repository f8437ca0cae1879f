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
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterable, Sequence
from types import ModuleType

from absl import app, flags, logging

from dpig_tf2.errors import DpigError

EXIT_BAD_INPUT = 1
EXIT_TRY_AGAIN = 75  # by convention: a failure that may pass
EXIT_INTERRUPTED = 130  # what shells report for a program stopped by Ctrl-C

_FIRST_NOTES = 20  # that are printed of many

HELP_FLAGS = ("--help", "-help", "-h", "--helpfull", "--helpshort")
# absl writes the values of an enum before its help, and "repeat this option" behind it.
_ADDED_BY_ABSL = re.compile(r"^<[^>]*>: |;\s+repeat this option.*", re.DOTALL)
_VALUES = {"string": "TEXT", "int": "INTEGER", "float": "NUMBER"}


class FlagError(DpigError):
    """A flag that is missing, does not belong, or has a value that cannot be used."""


def run(module_name: str, arguments: Sequence[str] | None = None) -> None:
    """Parses the command line, runs the verb, and exits with its status.

    Bad input ends in one line on stderr and status 1: unknown flags, surplus arguments, and every
    DpigError, OSError and TensorFlow error of `main`. `--verbosity=1` adds the traceback, and those
    notices and warnings of TensorFlow that can be kept away.

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
            print(f"{name}: error: {error} (see {name} --help)", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)

    def guarded(argv):
        verbose = logging.get_verbosity() >= logging.DEBUG
        if not verbose:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            return module.main(*argv[1:])
        except _bad_input() as error:
            if verbose:
                traceback.print_exc()
            print_notes(getattr(error, "__notes__", ()))
            print(f"{name}: error: {one_line(error)}", file=sys.stderr)
            return EXIT_BAD_INPUT
        except KeyboardInterrupt as stop:
            print(f"{name}: {str(stop) or 'interrupted'}", file=sys.stderr)
            return EXIT_INTERRUPTED

    flags.FLAGS.mark_as_parsed()  # absl's own flags; a verb's are in its FLAGS
    command = sys.argv[1:] if arguments is None else arguments
    app.run(guarded, [name, *command], flags_parser=parse)


def show(text: str) -> None:
    """Prints a text of which a pager may close the rest."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print(text)


def print_notes(notes: Sequence[str], most: int | None = _FIRST_NOTES) -> None:
    """Remarks a line each, the first of them if they are many."""
    for note in notes[:most]:
        print(f"note: {note}")
    if most is not None and len(notes) > most:
        print(f"note: {len(notes) - most} more")


def verb_of(module: ModuleType) -> str:
    """The name of a verb, also where its module was started as a script."""
    return pathlib.Path(module.__file__).stem


def one_line(error: BaseException) -> str:
    """The message of an error with its line breaks folded, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """ "; did you mean X?" for the known name nearest to a misspelt one; "" if none is near."""
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
            notes.append(f"default: {flag.default_as_str.strip(chr(39))}")
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
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        nearest = did_you_mean(name, _flags_of(module), "--")
        raise FlagError(f"unknown flag --{name}{nearest}", field=name) from error
    except flags.Error as error:
        missing = [name for name, flag in _flags_of(module).items() if _missing(flag)]
        if missing and values.is_parsed():  # all values are well-formed, some are absent
            needed = " and ".join(f"--{name}" for name in missing)
            raise FlagError(f"{needed} must be given", field=missing[0]) from error
        raise FlagError(one_line(error)) from error
    expected = getattr(module, "ARGUMENTS", ())
    if surplus := rest[1 + len(expected) :]:
        given = " ".join(map(repr, surplus))
        takes = " ".join(expected) + " and --flags" if expected else "only --flags"
        raise FlagError(f"unexpected argument {given}: this verb takes {takes}")
    if lacking := expected[len(rest) - 1 :]:
        raise FlagError(f"{' '.join(lacking)} must be given", field=lacking[0])
    return rest


def _flags_of(module):
    """{name: flag} of a verb's own flags."""
    return {name: module.FLAGS[name] for name in module.FLAGS if name not in ("v", "verbosity")}


def _choices(flag):
    return tuple(getattr(flag.parser, "enum_values", ()) or ())


def _required(flag):
    return any("other than None" in validator.message for validator in flag.validators)


def _missing(flag):
    return _required(flag) and flag.value is None


def _bad_input():
    """The errors that say what is wrong with the input. A DpigError is a ValueError."""
    tensorflow = sys.modules.get("tensorflow")  # whoever has not loaded it cannot raise its errors
    return (ValueError, OSError, *([tensorflow.errors.OpError] if tensorflow else []))
