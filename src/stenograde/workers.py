"""The same work on many things, in this process or in several, given in order; and how many cores there are."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def n_cores() -> int:
    """Return how many cores this process may use; all of the machine's where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_processes(work: Callable[[T], R], things: Iterable[T], workers: int) -> Iterator[R]:
    """Give what ``work`` makes of each thing, in order.

    Parameters
    ----------
    work : callable
        With more than one worker, one that can be pickled; its modules are imported anew in each process, so that a
        script must keep its own work under ``if __name__ == "__main__"``.
    things : iterable
    workers : int
        Processes; 1 or fewer for this one.
    """
    if workers <= 1:
        yield from map(work, things)
        return
    # a fork would copy the locks of threads that it does not copy
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, things)
