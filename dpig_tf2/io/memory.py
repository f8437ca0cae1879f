"""Memory that the program keeps from one computation to the next, or never looks through."""

import atexit
import ctypes
import gc
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Makes the C library keep what is freed for the next allocation, as long as the process lives.

    By default glibc gives arrays of more than 32 MB back to the system, and so gets each one anew,
    page by page: on a CPU a large convolution then takes up to twice as long. To be called before
    there are threads; elsewhere than on glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)  # never
    mallopt(_M_ARENA_MAX, 1)  # those of threads hold 64 MB at most


def collect_rarely() -> None:
    """Makes Python look for circular garbage a hundred times less often, and not at exit.

    TensorFlow's import makes a million objects that stay: looking through them again and again, and
    once more at the end, takes more than a second of a program that draws one picture.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
