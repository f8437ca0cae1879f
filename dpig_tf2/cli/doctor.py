"""Says whether this machine can train.

Examples:
    dpig doctor
    dpig doctor --json

Looks at versions and devices, and makes one training step, with XLA and without. Every line begins
with its verdict: ok, warning (something optional does not work) or failed. The exit status is 0
unless a line failed.
"""

import dataclasses
import json

from absl import flags

from dpig_tf2.cli import program

FLAGS = flags.FlagValues()
_JSON = flags.DEFINE_bool(
    "json", False, "Print one JSON object instead of lines.", flag_values=FLAGS
)


def main() -> int:
    from dpig_tf2 import diagnostics

    checks = []
    for check in diagnostics.run_checks():
        checks.append(check)
        if not _JSON.value:
            print(_line(check), flush=True)
    failed = sum(check.verdict == diagnostics.FAILED for check in checks)
    warnings = sum(check.verdict == diagnostics.WARNING for check in checks)
    if _JSON.value:
        report = {"failed": failed, "warnings": warnings}
        print(json.dumps(report | {"checks": list(map(dataclasses.asdict, checks))}, indent=2))
    else:
        print(f"{len(checks)} checks: {failed} failed, {warnings} warnings")
    return 1 if failed else 0


def _line(check):
    advice = f"\n{'':9}-> {check.advice}" if check.advice else ""
    return f"{check.verdict:9}{check.name:26}{check.finding}{advice}"


if __name__ == "__main__":
    program.run(__name__)
