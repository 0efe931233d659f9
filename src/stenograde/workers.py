"""Work on many things in order, in threads or processes; how far it has got; how many cores there are."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from threading import Thread
from typing import TypeVar

from stenograde.heap import share_heap

T = TypeVar("T")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when the thread that started it ends (prctl(2))."""


@dataclass(frozen=True)
class Step:
    """How far some work has got."""

    what: str
    """What is made, read or fitted."""
    done: float
    """A whole number, except while an epoch is under way."""
    total: int
    unit: str = ""
    """``epoch`` for a fit; empty where the things themselves are counted."""
    loss: float | None = None
    """Mean over an epoch, known only at its end."""
    validation_loss: float | None = None
    """The same of what is not fitted on, where there is any."""


Progress = Callable[[Step], None]
"""Called after each step of some work."""


def named(progress: Progress | None, what: str) -> Progress | None:
    """Return a callback that reports steps under another name."""
    return None if progress is None else lambda step: progress(replace(step, what=what))


def within(progress: Progress | None, whole: str) -> Progress | None:
    """Return a callback that reports the steps of a part, with the name of the whole before theirs."""
    return None if progress is None else lambda step: progress(replace(step, what=f"{whole}: {step.what}"))


def counted(
    things: Iterable[T], what: str, total: int, progress: Progress | None, *, before: int = 0
) -> Iterator[T]:
    """Give things one by one, and report each as done when the next is asked for; ``before`` were done already."""
    for number, thing in enumerate(things, start=before + 1):
        yield thing
        if progress is not None:
            progress(Step(what, number, total))


_SHARING = [1]
"""How many processes like this one share its cores."""


def n_cores() -> int:
    """Return how many cores this process may use; all of the machine's where the system does not say."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(there // _SHARING[0], 1)


def share_cores(processes: int) -> None:
    """Let this process use its share of the cores from now on, beside others that have as much to do.

    Threads of ONNX Runtime that wait for a core of their own keep others from it: two workers with two threads each
    take half as much CPU time again on two cores as with one each.

    Parameters
    ----------
    processes : int
        How many there are, this one among them.
    """
    _SHARING[0] = processes


def in_threads(work: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Return what ``work`` makes of each thing, in order, on the cores of this process.

    For work that lets other threads go on: numpy and scipy on large arrays, ONNX Runtime, decoders. What the first
    thing that fails raises is raised.
    """
    todo = list(things)
    threads = min(n_cores(), len(todo))
    if threads < 2:
        return [work(thing) for thing in todo]
    share_heap()
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, todo))


def import_meanwhile(module: str) -> None:
    """Import a module in a thread of its own, for use after work that lets other threads go on.

    Whatever is wrong with it is raised where it is imported for use.
    """

    def imported() -> None:
        with suppress(Exception):
            import_module(module)

    if module not in sys.modules:
        Thread(target=imported).start()


def in_processes(work: Callable[[T], R], things: Iterable[T], workers: int) -> Iterator[R]:
    """Give what ``work`` makes of each thing, in order.

    Parameters
    ----------
    work : callable
        With more than one worker, one that can be pickled; its modules are imported anew in each process, so a
        script must keep its own work under ``if __name__ == "__main__"``.
    things : iterable
    workers : int
        Processes; 1 or fewer for this one.
    """
    if workers <= 1:
        yield from map(work, things)
        return
    # a fork would copy the locks of threads that it does not copy
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)
    ) as pool:
        try:
            with _interrupts_held():
                futures = [pool.submit(work, thing) for thing in things]
            # (pool.map would cancel what it has not given, which the pool answers with a trace when its workers end)
            futures.reverse()
            while futures:
                yield futures.pop().result()
        except BaseException:
            # what the workers are at is of no use any more, and may take long
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back interrupts from the keyboard, for good from processes that are started meanwhile."""
    held = {signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """Let this process be ended when the one that started it ends, whatever it is at; on Linux only.

    Parameters
    ----------
    parent : int
        Process that started this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # (it ended before that was said)
            os._exit(1)
