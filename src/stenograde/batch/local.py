"""The local engine: processes that open the bundle once; where one is ended, another takes its study up again."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from stenograde.batch.manifest import Entry
from stenograde.batch.records import TRIES, Record, set_aside
from stenograde.batch.sources import sweep
from stenograde.batch.worker import Worker, WorkerSettings
from stenograde.errors import StenogradeError
from stenograde.workers import end_with

_READY = "ready"


def grade_here(
    entries: Iterable[Entry], settings: WorkerSettings, workers: int, make: type[Worker] = Worker
) -> Iterator[Record]:
    """Give the records of studies as they are made, by processes on this machine.

    Parameters
    ----------
    entries : iterable of Entry
        Taken one by one, when a worker is idle.
    settings : WorkerSettings
    workers : int
        Processes.
    make : type
        Kind of worker.

    Raises
    ------
    StenogradeError
        What no study is at fault for: a bundle or a disk that does not work.
    """
    waiting, tries = deque[Entry](), Counter[int]()
    left = iter(entries)
    hands = [_Hand(settings, make) for _ in range(workers)]
    try:
        while True:
            for hand in hands:
                if hand.is_idle:
                    entry = waiting.popleft() if waiting else next(left, None)
                    if entry is not None:
                        hand.take(entry)
            if all(hand.is_idle for hand in hands):
                return
            for hand in _heard(hands):
                said = hand.hear()
                if isinstance(said, dict):
                    yield said
                elif isinstance(said, Entry):
                    tries[said.row] += 1
                    if tries[said.row] < TRIES:
                        waiting.append(said)
                    else:
                        yield set_aside(said)
    finally:
        for hand in hands:
            hand.end()
        sweep()


class _Hand:
    """One process, and what it is at."""

    def __init__(self, settings: WorkerSettings, make: type[Worker]) -> None:
        self.settings, self.make = settings, make
        self.failed_starts = 0
        self._start()

    def _start(self) -> None:
        # a fork would copy the locks of threads that it does not copy
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_work, args=(theirs, self.settings, self.make, os.getpid()), daemon=True
        )
        self.process.start()
        theirs.close()
        self.is_ready = False
        self.entry: Entry | None = None

    @property
    def is_idle(self) -> bool:
        """Whether the process has begun and is at nothing."""
        return self.is_ready and self.entry is None

    def take(self, entry: Entry) -> None:
        """Give the process a study."""
        self.entry = entry
        with suppress(OSError):  # it has ended, which is heard next
            self.line.send(entry)

    def hear(self) -> Record | Entry | None:
        """Return the record that the process made, or the study that it was at when it ended; None when it is ready.

        Raises
        ------
        StenogradeError
            What it cannot go on from; or it ends again and again before it has begun.
        """
        try:
            said: Any = self.line.recv()
        except (EOFError, OSError):
            lost = self.entry
            self.failed_starts += not self.is_ready
            if self.failed_starts >= TRIES:
                msg = f"workers must be able to start, got {TRIES} that ended at once; see whether there is memory"
                raise StenogradeError(msg) from None
            self.end()
            self._start()
            return lost
        if isinstance(said, BaseException):
            raise said
        if said == _READY:
            self.is_ready, self.failed_starts = True, 0
            return None
        self.entry = None
        record: Record = said
        return record

    def end(self) -> None:
        """End the process, whatever it is at."""
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.line.close()


def _heard(hands: list[_Hand]) -> list[_Hand]:
    """Return those that have said something, or ended; waits for one."""
    said = wait([hand.line for hand in hands])
    return [hand for hand in hands if hand.line in said]


def _work(line: Connection, settings: WorkerSettings, make: type[Worker], parent: int) -> None:
    """Grade what comes over a line until it is closed."""
    end_with(parent)
    try:
        worker = make(settings)
        line.send(_READY)
        while True:
            line.send(worker.grade(line.recv()))
    except EOFError:
        return
    except StenogradeError as exc:
        line.send(exc)
