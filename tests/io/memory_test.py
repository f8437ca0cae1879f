import subprocess
import sys

import pytest

_PROGRAM = """
import sys
import numpy as np
from dpig_tf2.io.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
faults = lambda: int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[7])
for _ in range(3):
    before = faults()
    np.ones(10_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again():
    """The third array of 80 MB costs page faults by default, and none when memory is kept."""
    default, kept = (
        int(subprocess.check_output([sys.executable, "-c", _PROGRAM, how]))
        for how in ("default", "keep")
    )
    assert kept < 100 < default


_COLLECTIONS = """
import atexit, gc, sys
from dpig_tf2.io.memory import collect_rarely

atexit.register(lambda: print(gc.get_freeze_count() > 0))  # after what is registered later
if sys.argv[1] == "rarely":
    collect_rarely()
count = lambda: sum(generation["collections"] for generation in gc.get_stats())
before = count()
kept = [[] for _ in range(200_000)]
print(count() - before)
"""


def test_circular_garbage_is_looked_for_rarely_and_not_at_exit():
    often, rarely = (
        subprocess.check_output([sys.executable, "-c", _COLLECTIONS, how], text=True).split()
        for how in ("often", "rarely")
    )
    assert int(rarely[0]) < int(often[0]) / 20
    assert (often[1], rarely[1]) == ("False", "True")
