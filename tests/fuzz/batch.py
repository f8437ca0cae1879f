"""Tries damaged files of one kind in this process: `python -m tests.fuzz.batch KIND SEED FROM TO`.

Writes a line of JSON before and after each file, so that whoever started it knows which one ended
it. Not to be run outside of `tests.fuzz.run`, which sets the limits.
"""

import faulthandler
import json
import os
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import traceback

from dpig_tf2.errors import DpigError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

MEMORY = 1 << 30  # bytes more than before the first file
SECONDS = 10
_IN_MEMORY = "/dev/shm"  # where flushing a file takes no time
_RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "ctypes.dlopen")
_reading = False
_executed: list[str] = []


def _watch(event, arguments):
    itself = event == "ctypes.dlopen" and arguments == (
        None,
    )  # no file: as programs do at their start
    if _reading and event.startswith(_RUNS) and not itself:
        _executed.append(event)


def case(target, kind: str, seed: int, number: int) -> tuple[str, bytes]:
    """Name and content of a file, a pure function of the arguments."""
    seeds, hostile = target.seeds(), target.hostile()
    names = sorted(seeds)
    if number < len(hostile):
        return names[0], hostile[number]
    generator = random.Random(f"{kind} {seed} {number}")
    name = generator.choice(names)
    if target.draw:
        return name, target.draw(generator)
    others = [seeds[other] for other in names]
    return name, mutate(seeds[name], generator, others, target.changes)


def judge(target, path: pathlib.Path) -> tuple[str, str]:
    """(outcome, detail); every outcome but "refused" and "accepted" is a failure."""
    global _reading
    _executed.clear()
    try:
        _reading = True
        value = target.read(path)
    except DpigError as error:
        text = str(error)
        if (
            error.file is None
            or not text.startswith(str(target.named(path)))
            or not target.place.search(text)
        ):
            return "message without file or place", text[:300]
        if "\n" in text or len(text) > 4000:
            return "message that is no line", text[:300]
        outcome = "refused", ""
    except MemoryError:
        return "more than 1 GiB", ""
    except BaseException:
        return "traceback", traceback.format_exc()[-1500:]
    else:
        outcome = "accepted", ""
    finally:
        _reading = False
    if _executed:
        return "something ran", " ".join(_executed)
    if outcome[0] == "accepted":
        try:
            target.check(value, path)
        except BaseException:
            return "accepted and wrong", traceback.format_exc()[-1500:]
    return outcome


def main(kind: str, seed: int, first: int, last: int) -> None:
    target = TARGETS[kind]
    parent = _IN_MEMORY if os.path.isdir(_IN_MEMORY) else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        os.chdir(folder)
        for name, content in target.seeds().items():  # imports what is needed
            warm = pathlib.Path(folder, name)
            warm.write_bytes(content)
            target.check(target.read(warm), warm)
            _clear(folder)
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.addaudithook(_watch)
        for number in range(first, last):
            name, content = case(target, kind, seed, number)
            path = pathlib.Path(folder, name)
            path.write_bytes(content)
            print(json.dumps({"started": number}), flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            outcome, detail = judge(target, path)
            faulthandler.cancel_dump_traceback_later()
            if pathlib.Path(folder, "fuzz_executed").exists():
                outcome = "something ran"
            _clear(folder)
            print(json.dumps({"ended": number, "outcome": outcome, "detail": detail}), flush=True)


def _clear(folder):
    for leftover in pathlib.Path(folder).iterdir():
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
