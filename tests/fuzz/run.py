"""Damaged files of every kind, each batch in a process with limits; a table of what happened.

    ./scripts/fuzz.sh --count=10000
    ./scripts/fuzz.sh --count=500 --kinds=pickle,mat --seed=3
    ./scripts/fuzz.sh --kinds=pickle --seed=3 --show=128      the content of one file

Exit status 1 if anything but a refusal with file and place, or a sound result, was seen.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import time

from tests.fuzz import batch
from tests.fuzz.targets import TARGETS

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = ("refused", "accepted")
_FAILURES = {  # how outcomes begin, and what they are called in the sum
    "ended by": "interpreter deaths",
    "traceback": "tracebacks",
    f"more than {batch.SECONDS} s": f"over {batch.SECONDS} s",
    "more than 1 GiB": "over 1 GiB",
    "message": "messages without file and place",
    "accepted and wrong": "accepted and wrong, or check and reader disagree",
    "something ran": "executed",
}
_BATCH = 1000
_STARTING_SECONDS = 120  # imports on a busy machine


def run(kind: str, count: int, seed: int = 0) -> list[dict]:
    """Outcome of each file: {"ended": number, "outcome": ..., "detail": ...}."""
    outcomes: list[dict] = []
    while len(outcomes) < count:
        first = len(outcomes)
        outcomes += _batch(kind, seed, first, min(first + _BATCH, count))
    return outcomes


def _batch(kind, seed, first, last):
    """Outcomes until the end, or until a file that ended the process, that one included."""
    command = [sys.executable, "-m", "tests.fuzz.batch", kind, *map(str, (seed, first, last))]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # every thread's own arena would count as memory
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
        "LC_ALL": "C.UTF-8",
    }
    limit = _STARTING_SECONDS + batch.SECONDS * (last - first)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=limit
        )
        output, errors, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        output, errors, code = (error.stdout or b"").decode(), "", "time"
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    outcomes = [line for line in lines if "ended" in line]
    if len(outcomes) < last - first:
        started = [line["started"] for line in lines if "started" in line]
        if len(started) <= len(outcomes):
            raise RuntimeError(f"the batch {' '.join(command)} did not start: {errors[-2000:]}")
        hung = "Timeout" in errors or code == "time"
        outcomes.append(
            {
                "ended": started[-1],
                "outcome": f"more than {batch.SECONDS} s" if hung else f"ended by {code}",
                "detail": errors[-1500:],
            }
        )
    return outcomes


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="files of each kind")
    parser.add_argument("--kinds", default=",".join(TARGETS), help="of " + ", ".join(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, help="number of a file whose content is written out")
    options = parser.parse_args(arguments)
    kinds = options.kinds.split(",")
    if set(kinds) - set(TARGETS):
        parser.error(f"--kinds={options.kinds}: expected of {', '.join(TARGETS)}")
    if options.show is not None:
        _, content = batch.case(TARGETS[kinds[0]], kinds[0], options.seed, options.show)
        sys.stdout.buffer.write(content)
        return 0
    totals: collections.Counter = collections.Counter()
    print(f"{'kind':12}{'files':>8}{'refused':>9}{'accepted':>10}{'failures':>10}{'seconds':>9}")
    for kind in kinds:
        start = time.monotonic()
        outcomes = run(kind, options.count, options.seed)
        seen = collections.Counter(outcome["outcome"] for outcome in outcomes)
        failures = [outcome for outcome in outcomes if outcome["outcome"] not in GOOD]
        totals.update(_failure(failure["outcome"]) for failure in failures)
        print(
            f"{kind:12}{len(outcomes):8}{seen['refused']:9}{seen['accepted']:10}"
            f"{len(failures):10}{time.monotonic() - start:9.0f}",
            flush=True,
        )
        for failure in failures[:10]:
            print(f"  --seed={options.seed} --show={failure['ended']}: {failure['outcome']}")
            print("    " + failure["detail"].strip().replace("\n", "\n    "))
    print(", ".join(f"{totals[name]} {name}" for name in _FAILURES.values()))
    return 1 if totals else 0


def _failure(outcome):
    return next(name for start, name in _FAILURES.items() if outcome.startswith(start))


if __name__ == "__main__":
    sys.exit(main())
