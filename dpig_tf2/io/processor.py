"""Which processor this machine has."""

import functools
import os
import platform
import re

# Instruction sets that decide how fast products of matrices are.
_INSTRUCTIONS = r"\b(?:avx2|fma|avx512f|avx512_vnni|avx_vnni|avx512_bf16|amx_bf16|asimd|bf16)\b"


def name() -> str:
    """What the maker calls it."""
    try:
        return re.findall(r"model name\s*:\s*(.+)", _cpuinfo())[0]
    except IndexError:
        return platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Those of its instruction sets that matter here, e.g. ["avx2", "fma"]; Linux only."""
    return sorted(set(re.findall(_INSTRUCTIONS, _cpuinfo())))


def cores() -> int:
    """How many of its cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _cpuinfo():
    try:
        with open("/proc/cpuinfo") as file:
            return file.read()
    except OSError:
        return ""
