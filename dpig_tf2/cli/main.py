"""The installed command: `dpig` lists the verbs, `dpig <verb> --flags` runs one."""

import sys

from dpig_tf2.cli.interruption import EXIT_INTERRUPTED, interruptible, open_streams
from dpig_tf2.errors import printable

_USAGE = """Disentangled person image generation.

Usage: dpig VERB --flags
       dpig VERB --help     shows what a verb does, two examples and all its flags
       dpig --version"""
_END = 'eval "$(dpig completion)" completes verbs and flags in bash.'
_SUMMARY_COLUMN = 26


def run() -> None:
    """Runs the verb that the command line names, and exits with its status."""
    open_streams()
    try:
        with interruptible():
            _run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("dpig: interrupted\n")  # at once, see `program`
        sys.exit(EXIT_INTERRUPTED)


def overview() -> str:
    """All verbs with a line each."""
    from dpig_tf2.cli import verbs

    lines = [_USAGE]
    for group, names in verbs.GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:{_SUMMARY_COLUMN}}{verbs.summary(name)}" for name in names]
    return "\n".join([*lines, "", _END])


def _run(arguments):
    from dpig_tf2 import __version__
    from dpig_tf2.cli import program, verbs

    verb = (arguments or ["--help"])[0]
    if verb in ("help", *program.HELP_FLAGS):
        program.show(overview())
    elif verb == "--version":
        program.show(f"dpig_tf2 {__version__}")
    elif verb in verbs.VERBS:
        program.run(verbs.load(verb).__name__, arguments[1:])
    else:
        nearest = program.did_you_mean(verb, verbs.VERBS, "dpig ")
        problem = (
            f"the verb comes first, got {verb}" if verb.startswith("-") else f"no verb {verb!r}"
        )
        line = printable(f"dpig: error: {problem}{nearest} (dpig --help lists all)")
        print(line, file=sys.stderr)
        sys.exit(program.EXIT_BAD_INPUT)


if __name__ == "__main__":
    run()
