"""The local engine: processes that open the bundle once; where one is ended, another takes its study up again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from stenograde.batch.manifest import Entry
from stenograde.batch.records import Record, set_aside
from stenograde.batch.sources import sweep
from stenograde.batch.worker import Worker, WorkerSettings
from stenograde.workers import in_workers


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
    StenogradeError, FaultElsewhereError
        What no study is at fault for: a bundle or a disk that does not work, a fault of ours.
    """
    try:
        yield from in_workers(partial(_opened, make, settings), entries, workers, set_aside)
    finally:
        sweep()


def _opened(make: type[Worker], settings: WorkerSettings) -> Callable[[Entry], Record]:
    return make(settings).grade
