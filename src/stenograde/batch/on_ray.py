"""The Ray engine: Ray Data with stateful workers, on this machine or on a cluster (``RAY_ADDRESS``)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stenograde import errors
from stenograde.batch.manifest import Entry
from stenograde.batch.records import Record, set_aside
from stenograde.batch.tries import Tries
from stenograde.batch.worker import Worker, WorkerSettings
from stenograde.errors import StenogradeError, one_line, sendable
from stenograde.workers import TRIES, import_meanwhile

_FAILED = "failed"
"""In place of a record: kind and message of what no study is at fault for."""

AT_ONCE = 4096
"""Studies of a manifest that are given to Ray together: it holds them all."""


def grade_on_ray(
    entries: Iterable[Entry], settings: WorkerSettings, workers: int, make: type[Worker] = Worker
) -> Iterator[Record]:
    """Give the records of studies as they are made, by actors of one core each.

    The cluster is that of ``RAY_ADDRESS``, or one on this machine that ends with the command. A worker that is ended
    is started anew by Ray, and its study tried again.

    Parameters
    ----------
    entries : iterable of Entry
        Taken :data:`AT_ONCE` at a time.
    settings : WorkerSettings
        Its folders must be there on every node.
    workers : int
        Actors; 0 for as many as the cluster has cores.
    make : type
        Kind of worker.

    Raises
    ------
    StenogradeError, FaultElsewhereError
        What no study is at fault for: a bundle or a disk that does not work, a fault of ours.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    was_there = ray.is_initialized()
    import_meanwhile("ray.data")  # (more than a second, while the cluster starts)
    if not was_there:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # (which its import sets)
    context.enable_progress_bars = False
    if hasattr(context, "max_consecutive_actor_init_deaths"):  # (Ray 2.5x and later)
        context.max_consecutive_actor_init_deaths = TRIES
    try:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        tries = ray.remote(Tries).options(num_cpus=0, scheduling_strategy=here).remote()
        workers = workers or int(ray.cluster_resources().get("CPU", 1))
        left = iter(entries)
        while window := list(islice(left, AT_ONCE)):
            yield from _window(window, (make, settings, tries), workers)
    finally:
        if not was_there:
            ray.shutdown()


def _window(window: list[Entry], made_of: tuple[Any, ...], workers: int) -> Iterator[Record]:
    rows = [{"entry": json.dumps(asdict(entry))} for entry in window]
    # one study to a block: what has to be done again when a worker is ended is one study
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Actor,
        fn_constructor_args=made_of,
        batch_size=1,
        num_cpus=1,
        max_restarts=-1,
        max_task_retries=-1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows)), max_tasks_in_flight_per_actor=2),
    )
    for row in data.iter_rows():
        said = json.loads(row["record"])
        if _FAILED in said:
            kind, message = said[_FAILED]
            raise getattr(errors, kind, StenogradeError)(message)
        yield said


class _Actor:
    """A worker as Ray Data calls it; what no study is at fault for comes back as a value, as Ray would wrap it."""

    def __init__(self, make: type[Worker], settings: WorkerSettings, tries: Any) -> None:
        self.tries = tries
        self.failed: Record | None = None
        try:
            self.worker = make(settings)
        except Exception as exc:  # noqa: BLE001 - (Ray would show its text)
            self.failed = _of_failure(exc)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the records of a batch of studies, as JSON."""
        return {"record": [json.dumps(self._said(Entry(**json.loads(one)))) for one in batch["entry"]]}

    def _said(self, entry: Entry) -> Record:
        if self.failed is not None:
            return self.failed
        try:
            return self._record(entry)
        except Exception as exc:  # noqa: BLE001 - (as above)
            return _of_failure(exc)

    def _record(self, entry: Entry) -> Record:
        if ray.get(self.tries.begin.remote(entry.row)) >= TRIES:
            return set_aside(entry)
        record = self.worker.grade(entry)
        ray.get(self.tries.done.remote(entry.row))
        return record


def _of_failure(error: Exception) -> Record:
    told = sendable(error)
    return {_FAILED: [type(told).__name__, one_line(told)]}
