"""What the service is at, in numbers for Prometheus; they name no study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from stenograde.pacs.alarms import down
from stenograde.pacs.database import UNAVAILABLE
from stenograde.pacs.grading_times import counted_gradings
from stenograde.pacs.intake import Accepted, Intake, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import SendSettings
from stenograde.pacs.states import DeliveryState, JobState
from stenograde.pacs.store import Store
from stenograde.pacs.tables import deliveries, jobs

_Numbers = dict[tuple[str, ...], int]
"""By the values of labels."""


class Metrics:
    """The numbers of a service: counted since it started, or as the database and the disk are when they are asked for.

    Parameters
    ----------
    queue : Queue
    store : Store
    alarm_after_s : float
        See :class:`~stenograde.pacs.settings.SendSettings`.
    """

    def __init__(
        self, queue: Queue, store: Store, *, alarm_after_s: float = SendSettings.alarm_after_s
    ) -> None:
        self._registry = CollectorRegistry()
        self.received = Counter(
            "stenograde_received", "Objects that were taken in", ["via", "is_new"], registry=self._registry
        )
        self.refused = Counter(
            "stenograde_refused", "Objects that were refused", ["via", "reason"], registry=self._registry
        )
        self._registry.register(_Standing(queue, store, alarm_after_s))

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

    def __init__(self, queue: Queue, store: Store, alarm_after_s: float) -> None:
        self._queue, self._store, self._alarm_after_s = queue, store, alarm_after_s

    def collect(self) -> Iterator[Metric]:
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

    def _of_database(self) -> Iterator[Metric]:
        n_jobs = self._queue.counts()
        waiting = select(func.min(jobs.c.touched_at)).where(
            jobs.c.state.in_([JobState.READY.value, JobState.GRADING.value])
        )
        counted = select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
            deliveries.c.destination, deliveries.c.state
        )
        with self._queue.database.reading() as connection:
            n_deliveries = {(row[0], row[1]): row[2] for row in connection.execute(counted)}
            oldest = connection.execute(waiting).scalar_one_or_none()
            buckets, total_s = counted_gradings(connection)
        yield _by_label(
            "stenograde_jobs",
            "Versions of studies by state",
            ["state"],
            {(state.value,): n for state, n in n_jobs.items()},
        )
        names = sorted({name for name, _ in n_deliveries})
        every: _Numbers = {
            (name, state.value): n_deliveries.get((name, state.value), 0)
            for name in names
            for state in DeliveryState
        }
        yield _by_label("stenograde_deliveries", "Deliveries by state", ["destination", "state"], every)
        n_alarms: _Numbers = {
            ("destination down",): len(down(self._queue.database, self._alarm_after_s, self._queue.clock())),
            ("delivery failed",): sum(every[name, DeliveryState.FAILED.value] for name in names),
            ("study failed",): n_jobs[JobState.FAILED],
            ("no room",): int(not self._has_room()),
        }
        yield _by_label("stenograde_alarms", "What a person should look at, by kind", ["kind"], n_alarms)
        yield HistogramMetricFamily(
            "stenograde_grading_seconds", "From a claim to its results", buckets=buckets, sum_value=total_s
        )
        age = max((self._queue.clock() - oldest).total_seconds(), 0.0) if oldest else 0.0
        yield GaugeMetricFamily(
            "stenograde_oldest_waiting_seconds",
            "Since the last image of the study that waits longest",
            value=age,
        )

    def _has_room(self) -> bool:
        try:
            self._store.check_room()
        except OSError:
            return False
        return True


def _by_label(name: str, text: str, labels: Sequence[str], numbers: _Numbers) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family
