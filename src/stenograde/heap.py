"""What becomes of freed memory: the C library keeps it for what comes next; Python seldom looks for cycles.

By default glibc maps each large block afresh and unmaps it when it is freed, so that every slice, map and activation is
paid for in page faults: a third of a training step of the five-block net on a CPU, a fifteenth of grading a study.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Final

OBJECTS_UNTIL_SEARCH: Final = 50_000
"""So many new objects, and Python looks for cycles among them: modules make hundreds of thousands that stay, and to
look after every 700 is a thirtieth of the time that grading takes."""

_M_TRIM_THRESHOLD = -1
"""``mallopt``: free memory at the top of the heap is given back beyond this; -1 for never (malloc.h, mallopt(3))."""

_M_MMAP_MAX = -4
"""``mallopt``: how many blocks may be mapped one by one (malloc.h, mallopt(3))."""

_M_ARENA_MAX = -8
"""``mallopt``: how many heaps threads of a process have at most (malloc.h, mallopt(3))."""

_HUGE_PAGES = b"THP_MEM_ALLOC_ENABLE"
"""Read by torch (c10/core/impl/alloc_cpu.cpp) when it first allocates: large blocks ask for huge pages."""


def keep_freed_memory() -> bool:
    """Have this process keep freed memory for its next step or study, and torch ask for huge pages.

    Made for processes that train or grade in a loop, and for one that ends with its study. Huge pages come only if it
    is called before the first tensor is made; calling it again changes nothing. A setting of huge pages in the
    environment stays.

    Returns
    -------
    kept : bool
        False where the C library is not glibc; then nothing was changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    # not os.environ: that is for settings of ours, and torch reads the C library's copy
    libc.setenv(_HUGE_PAGES, b"1", 0)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, -1))


@cache
def share_heap() -> None:
    """Let threads that are started from now on share one heap, on glibc.

    Else each gets one of its own, which keeps what was freed in it: a fifth of the memory that grading a study takes.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
