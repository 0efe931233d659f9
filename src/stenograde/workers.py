"""Work on many things, in threads, processes or workers that last; how far it has got; how many cores there are."""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread
from typing import Any, Final, Generic, TypeVar

from stenograde.errors import StenogradeError, sendable
from stenograde.heap import OBJECTS_UNTIL_SEARCH, keep_freed_memory, share_heap

T = TypeVar("T")
R = TypeVar("R")

TRIES: Final = 3
"""A thing that ended its worker so often is given up."""

_READY: Final = "ready"

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


def in_workers(
    make: Callable[[], Callable[[T], R]], things: Iterable[T], workers: int, given_up: Callable[[T], R]
) -> Generator[R, None, None]:
    """Give what workers make of things, as it is made: processes that last, and open what they need once.

    Where a process is ended, another takes its thing up again. They all end when this generator does: close it. As with
    :func:`in_processes`, a script must keep its own work under ``if __name__ == "__main__"``.

    Parameters
    ----------
    make : callable
        Called once in each process; gives what is called with each thing. Can be pickled, as can things and results.
    things : iterable
        Taken one by one, when a worker is idle.
    workers : int
        Processes.
    given_up : callable
        Gives what stands for a thing that ended its worker :data:`TRIES` times.

    Raises
    ------
    StenogradeError, FaultElsewhereError
        The first that a worker raises, as :func:`stenograde.errors.sendable` has it; or no worker can start.
    """
    waiting, tries = deque[tuple[int, T]](), Counter[int]()
    left = enumerate(things)
    hands: list[_Hand[T, R]] = []
    try:
        hands += (_Hand(make) for _ in range(workers))
        while True:
            for hand in hands:
                if hand.is_idle:
                    job = waiting.popleft() if waiting else next(left, None)
                    if job is not None:
                        hand.take(job)
            if all(hand.job is None for hand in hands) and any(hand.is_idle for hand in hands):
                return  # (one that has still to begin is not waited for)
            for hand in _heard(hands):
                made, lost = hand.hear()
                yield from made
                for number, thing in lost:
                    tries[number] += 1
                    if tries[number] < TRIES:
                        waiting.append((number, thing))
                    else:
                        yield given_up(thing)
            hands = _able_to_start(hands)
    finally:
        for hand in hands:
            hand.end()


class _Hand(Generic[T, R]):
    """One process, and what it is at."""

    def __init__(self, make: Callable[[], Callable[[T], R]]) -> None:
        self.make = make
        self.failed_starts = 0
        self._start()

    def _start(self) -> None:
        # a fork would copy the locks of threads that it does not copy
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_work, args=(theirs, self.make, os.getpid()), daemon=True
        )
        with _interrupts_held():
            self.process.start()
        theirs.close()
        self.is_ready = False
        self.job: tuple[int, T] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the process has begun and is at nothing."""
        return self.is_ready and self.job is None

    def take(self, job: tuple[int, T]) -> None:
        """Give the process a thing."""
        self.job = job
        with suppress(OSError):  # it has ended, which is heard next
            self.line.send(job[1])

    def hear(self) -> tuple[list[R], list[tuple[int, T]]]:
        """Return what the process made, and what it was at when it ended; neither when it says that it is ready.

        Raises
        ------
        StenogradeError, FaultElsewhereError
            What it cannot go on from.
        """
        try:
            said: Any = self.line.recv()
        except (EOFError, OSError):
            lost = [] if self.job is None else [self.job]
            self.failed_starts += not self.is_ready
            self.end()
            if self.failed_starts < TRIES:
                try:
                    self._start()
                except OSError:  # (no room for one more process)
                    self.failed_starts = TRIES
            return [], lost
        if isinstance(said, BaseException):
            raise said
        if not self.is_ready:
            self.is_ready, self.failed_starts = True, 0
            return [], []
        self.job = None
        return [said], []

    def end(self) -> None:
        """End the process, whatever it is at."""
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.line.close()


def _able_to_start(hands: list[_Hand[T, R]]) -> list[_Hand[T, R]]:
    """Return those whose process has begun, or may yet.

    Raises
    ------
    StenogradeError
        If there is none.
    """
    able = [hand for hand in hands if hand.failed_starts < TRIES]
    if not able:
        msg = f"workers must be able to start, got {TRIES} that ended at once; see whether there is memory and disk"
        raise StenogradeError(msg)
    return able


def _heard(hands: list[_Hand[T, R]]) -> list[_Hand[T, R]]:
    """Return those that have said something, or ended; waits for one."""
    said = wait([hand.line for hand in hands])
    return [hand for hand in hands if hand.line in said]


def _work(line: Connection, make: Callable[[], Callable[[T], R]], parent: int) -> None:
    """Do what comes over a line until it is closed."""
    end_with(parent)
    try:
        try:
            work = make()
        except (MemoryError, OSError):
            return  # (there may be room for fewer; where there is none, the other side says so)
        line.send(_READY)
        while True:
            try:
                thing = line.recv()
            except EOFError:
                return
            line.send(work(thing))
    except BaseException as exc:  # noqa: BLE001 - or Python would print its text
        line.send(sendable(exc))


def settle_in(processes: int) -> None:
    """Prepare this process to work beside others for long: it shares the cores, keeps memory, and says nothing.

    Logs and warnings of libraries may quote a header. Python looks for cycles less often; see
    :data:`stenograde.heap.OBJECTS_UNTIL_SEARCH`.

    Parameters
    ----------
    processes : int
        How many there are, this one among them.
    """
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    gc.set_threshold(OBJECTS_UNTIL_SEARCH, *gc.get_threshold()[1:])
    share_cores(processes)
    keep_freed_memory()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep interrupts from the keyboard from processes that are started meanwhile, for good."""
    held = {signal.SIGINT}
    resource_tracker.ensure_running()  # (the first process starts it, and that lets interrupts through again)
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
