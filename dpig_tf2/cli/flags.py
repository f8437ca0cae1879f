"""What all programs share: how they start, and how they end when the input is bad."""

import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

EXIT_BAD_INPUT = 1
EXIT_TRY_AGAIN = 75  # by convention: a failure that may pass
EXIT_INTERRUPTED = 130  # what shells report for a program stopped by Ctrl-C


def run_program(name: str, main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses the command line, runs `main`, and exits with its status.

    Bad input ends in one line on stderr and status 1: unknown flags, left-over arguments, and every
    ValueError or OSError of `main`. `--verbosity=1` adds the traceback, and those notices and
    warnings of TensorFlow that can be kept away. `main` imports TensorFlow inside its body, so that
    bad flags fail at once.

    Args:
        name: installed name of the program, for messages, e.g. "dpig-export".
        main: takes the command line left after the flags, [program]; returns the exit status, None
            for 0.
    """
    # Started by its installed name, a program's flags are in an imported module: --help, which
    # lists the flags of the started script, must be told about them.
    module = sys.modules[main.__module__]
    for flag in flags.FLAGS.get_key_flags_for_module(module):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)

    def guarded(argv):
        if logging.get_verbosity() < logging.DEBUG:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            refuse_arguments(argv)
            return main(argv)
        except (ValueError, OSError) as error:
            logging.debug("traceback of the error below", exc_info=True)
            print(f"{name}: error: {one_line(error)}", file=sys.stderr)
            return EXIT_BAD_INPUT
        except KeyboardInterrupt:
            print(f"{name}: interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED

    app.run(guarded)


def refuse_arguments(argv: Sequence[str]) -> None:
    """Raises ValueError naming the arguments that are left after the flags were taken out."""
    if len(argv) > 1:
        given = " ".join(repr(argument) for argument in argv[1:])
        raise ValueError(f"unexpected argument {given}: this program takes only --flags")


def one_line(error: BaseException) -> str:
    """The message of an error with its line breaks folded, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
