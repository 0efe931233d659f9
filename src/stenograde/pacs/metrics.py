"""What the service is at, in numbers for Prometheus; they name no study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from stenograde.pacs.database import UNAVAILABLE
from stenograde.pacs.intake import Accepted, Intake, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.states import DeliveryState, JobState
from stenograde.pacs.store import Store
from stenograde.pacs.tables import deliveries, jobs


class Metrics:
    """The numbers of a service: counted since it started, or as the database and the disk are when they are asked for.

    Parameters
    ----------
    queue : Queue
    store : Store
    """

    def __init__(self, queue: Queue, store: Store) -> None:
        self._registry = CollectorRegistry()
        self.received = Counter(
            "stenograde_received", "Objects that were taken in", ["via", "is_new"], registry=self._registry
        )
        self.refused = Counter(
            "stenograde_refused", "Objects that were refused", ["via", "reason"], registry=self._registry
        )
        self._registry.register(_Standing(queue, store))

    def as_text(self) -> bytes:
        """Return them in the text format of Prometheus."""
        return generate_latest(self._registry)


class CountedIntake(Intake):
    """An intake that counts what becomes of the objects.

    Parameters
    ----------
    metrics : Metrics
    store, queue, **limits
        See :class:`~stenograde.pacs.intake.Intake`.
    """

    def __init__(self, metrics: Metrics, store: Store, queue: Queue, **limits: int) -> None:
        super().__init__(store, queue, **limits)
        self._metrics = metrics

    def accept(
        self,
        source: bytes | BinaryIO,
        *,
        via: str,
        sender: str,
        told_uids: Mapping[str, str] | None = None,
    ) -> Accepted | Refused:
        """Keep an object; see :meth:`~stenograde.pacs.intake.Intake.accept`."""
        outcome = super().accept(source, via=via, sender=sender, told_uids=told_uids or {})
        self.count(outcome, via)
        return outcome

    def refuse(self, refused: Refused, *, via: str, sender: str) -> Refused:
        """Tell of an object that was refused while it came."""
        super().refuse(refused, via=via, sender=sender)
        self.count(refused, via)
        return refused

    def count(self, outcome: Accepted | Refused, via: str) -> None:
        """Count what became of an object."""
        if isinstance(outcome, Accepted):
            self._metrics.received.labels(via, str(outcome.is_new).lower()).inc()
        else:
            self._metrics.refused.labels(via, outcome.why.value).inc()


class _Standing(Collector):
    """Asks the database and the disk each time."""

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue, self._store = queue, store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the numbers; those of the database are absent while it does not answer."""
        yield GaugeMetricFamily(
            "stenograde_free_bytes", "Free room on the disk of the store", value=self._store.free_bytes()
        )
        try:
            standing = tuple(self._of_database())
        except UNAVAILABLE:
            standing = ()
        yield GaugeMetricFamily(
            "stenograde_database_up", "Whether the database answers", value=int(bool(standing))
        )
        yield from standing

    def _of_database(self) -> Iterator[GaugeMetricFamily]:
        n_jobs = GaugeMetricFamily("stenograde_jobs", "Versions of studies by state", labels=["state"])
        for job_state, n in self._queue.counts().items():
            n_jobs.add_metric([job_state.value], n)
        n_deliveries = GaugeMetricFamily(
            "stenograde_deliveries", "Deliveries by state", labels=["destination", "state"]
        )
        counted = select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
            deliveries.c.destination, deliveries.c.state
        )
        waiting = select(func.min(jobs.c.touched_at)).where(
            jobs.c.state.in_([JobState.READY.value, JobState.GRADING.value])
        )
        with self._queue.database.reading() as connection:
            found = {(row[0], row[1]): row[2] for row in connection.execute(counted)}
            oldest = connection.execute(waiting).scalar_one_or_none()
        for name in sorted({name for name, _ in found}):
            for state in DeliveryState:
                n_deliveries.add_metric([name, state.value], found.get((name, state.value), 0))
        age = max((self._queue.clock() - oldest).total_seconds(), 0.0) if oldest else 0.0
        yield n_jobs
        yield n_deliveries
        yield GaugeMetricFamily(
            "stenograde_oldest_waiting_seconds",
            "Since the last image of the study that waits longest",
            value=age,
        )
