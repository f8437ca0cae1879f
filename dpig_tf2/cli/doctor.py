"""Says whether this machine can train: versions, devices, one training step, the same under XLA.

Example:
  python -m dpig_tf2.cli.doctor

Every line begins with its verdict: ok, warning (something optional does not work) or failed. The
exit status is 0 unless a line failed.
"""

import dataclasses
import json

from absl import flags

from dpig_tf2 import diagnostics
from dpig_tf2.cli.flags import run_program

_JSON = flags.DEFINE_bool("json", False, "Print one JSON object instead of lines.")


def main(argv):
    del argv
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


def run():
    run_program("dpig-doctor", main)


if __name__ == "__main__":
    run()
