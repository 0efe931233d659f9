"""Deliveries: the results of a job for one destination, tried until they are acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, exists, func, insert, select, update

from stenograde.errors import JobError
from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.settings import SendSettings
from stenograde.pacs.states import (
    Clock,
    DeliveryState,
    JobState,
    backoff,
    has_open_deliveries,
    locked,
    system_clock,
    transition,
)
from stenograde.pacs.tables import deliveries, jobs


@dataclass(frozen=True)
class Delivery:
    """The results of a job for a destination, and where they stand."""

    id: int
    job_id: int
    study_uid: str
    version: int
    destination: str
    state: DeliveryState
    reason: str
    """Why the last attempt failed; empty where there is none."""
    attempts: int
    not_before: datetime
    lease_until: datetime | None
    worker: str | None
    acknowledged_at: datetime | None
    changed_at: datetime


_COLUMNS: Final = (*deliveries.c, jobs.c.study_uid, jobs.c.version)


class Deliveries:
    """The deliveries of a database.

    Parameters
    ----------
    database : Database
    settings : SendSettings
        How long a lease is, and how long to wait before another attempt.
    clock : callable
        Gives the time.
    """

    def __init__(
        self, database: Database, settings: SendSettings | None = None, *, clock: Clock = system_clock
    ) -> None:
        self.database = database
        self.clock = clock
        self._settings = settings or SendSettings()

    def claim(self, worker: str, destinations: Sequence[str]) -> Delivery | None:
        """Return the delivery to one of some destinations that is next, under a lease; None where none is due.

        What an earlier version of a study has for a destination goes first.
        """
        now = self.clock()
        earlier, earlier_job = deliveries.alias("earlier"), jobs.alias("earlier_job")
        open_states = (DeliveryState.WAITING.value, DeliveryState.SENDING.value)
        in_the_way = (
            exists()
            .where(
                earlier.c.job_id == earlier_job.c.id,
                earlier_job.c.study_uid == jobs.c.study_uid,
                earlier_job.c.version < jobs.c.version,
                earlier.c.destination == deliveries.c.destination,
                earlier.c.state.in_(open_states),
            )
            .correlate(deliveries, jobs)
        )
        due = (
            select(deliveries.c.id, deliveries.c.attempts)
            .join(jobs, jobs.c.id == deliveries.c.job_id)
            .where(
                deliveries.c.state == DeliveryState.WAITING.value,
                deliveries.c.not_before <= now,
                deliveries.c.destination.in_(destinations),
                ~in_the_way,
            )
            .order_by(deliveries.c.not_before, deliveries.c.id)
            .limit(1)
        )
        with self.database.reading() as connection:  # (who finds nothing keeps nobody from writing)
            if connection.execute(due).first() is None:
                return None
        lease = now + timedelta(seconds=self._settings.lease_s)
        with self.database.claiming() as connection:
            one = connection.execute(due.with_for_update(skip_locked=True, of=deliveries)).one_or_none()
            if one is None:
                return None
            values = {"attempts": one.attempts + 1, "worker": worker, "lease_until": lease}
            transition(connection, one.id, DeliveryState.SENDING, now=now, **values)
            return _delivery(connection.execute(_chosen().where(deliveries.c.id == one.id)).mappings().one())

    def renew(self, delivery: Delivery, for_s: float | None = None) -> None:
        """Prolong the lease of a delivery: by that of the settings, or for so long, such as until a commitment comes.

        Raises
        ------
        JobError
            If the sender has lost it.
        """
        with self.database.claiming() as connection:
            self._held(connection, delivery)
            lease = self.clock() + timedelta(seconds=self._settings.lease_s if for_s is None else for_s)
            connection.execute(
                update(deliveries).where(deliveries.c.id == delivery.id).values(lease_until=lease)
            )

    def delivered(self, delivery: Delivery, **detail: str | int) -> None:
        """Tell that the destination has acknowledged everything; the job is DONE with its last delivery.

        Parameters
        ----------
        delivery : Delivery
            As :meth:`claim` gave it.
        **detail
            For the audit log, such as the number of objects.

        Raises
        ------
        JobError
            If the sender has lost it.
        """
        now = self.clock()
        with self.database.writing() as connection:
            # (the job is locked first, as where it is cancelled)
            locked(connection, jobs, delivery.job_id)
            self._held(connection, delivery)
            transition(
                connection, delivery.id, DeliveryState.DELIVERED, now=now, acknowledged_at=now, reason=""
            )
            _tell(connection, "delivered", now, delivery, **detail)
            if not has_open_deliveries(connection, delivery.job_id):
                transition(connection, delivery.job_id, JobState.DONE, now=now)

    def failed(self, delivery: Delivery, reason: str, *, again: bool = True) -> None:
        """Tell that an attempt has failed.

        Parameters
        ----------
        delivery : Delivery
            As :meth:`claim` gave it.
        reason : str
        again : bool
            Whether it is tried again, without end; a destination that refuses an object for what it is will do so
            again.

        Raises
        ------
        JobError
            If the sender has lost it.
        """
        with self.database.writing() as connection:
            row = self._held(connection, delivery)
            self._end_attempt(connection, row, reason, again=again)

    def release_expired(self) -> int:
        """Take deliveries from senders that were not heard of within their lease; return how many."""
        overdue = and_(
            deliveries.c.state == DeliveryState.SENDING.value, deliveries.c.lease_until < self.clock()
        )
        return self._release(overdue, "the sender was not heard of within its lease")

    def release_worker(self, worker: str, reason: str) -> int:
        """Take the deliveries from a sender that is known to have ended; return how many."""
        of_worker = and_(deliveries.c.state == DeliveryState.SENDING.value, deliveries.c.worker == worker)
        return self._release(of_worker, reason)

    def listed(self, job: int | None = None, *, limit: int = 1000) -> tuple[Delivery, ...]:
        """Return the newest deliveries, the newest first; those of a job where one is given."""
        chosen = _chosen().order_by(deliveries.c.id.desc()).limit(limit)
        if job is not None:
            chosen = chosen.where(deliveries.c.job_id == job)
        with self.database.reading() as connection:
            return tuple(map(_delivery, connection.execute(chosen).mappings()))

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Return how many deliveries to each destination are in each state."""
        counted = select(deliveries.c.destination, deliveries.c.state, func.count()).group_by(
            deliveries.c.destination, deliveries.c.state
        )
        with self.database.reading() as connection:
            return {(name, DeliveryState(state)): n for name, state, n in connection.execute(counted)}

    def _held(self, connection: Connection, delivery: Delivery) -> RowMapping:
        """Return the row of a delivery that is still its sender's."""
        row = locked(connection, deliveries, delivery.id)
        mine = (DeliveryState.SENDING, delivery.worker, delivery.attempts)
        if (row["state"], row["worker"], row["attempts"]) != mine:
            msg = (
                f"{delivery.worker} does not send delivery {delivery.id} any more; its lease has ended, or it was "
                "cancelled"
            )
            raise JobError(msg)
        return row

    def _release(self, which: Any, reason: str) -> int:
        wanted = select(deliveries).where(which).order_by(deliveries.c.id)
        with self.database.reading() as connection:
            if connection.execute(wanted.limit(1)).first() is None:
                return 0
        with self.database.writing() as connection:
            rows = connection.execute(wanted.with_for_update()).mappings().all()
            for row in rows:
                self._end_attempt(connection, row, reason, again=True)
        return len(rows)

    def _end_attempt(self, connection: Connection, row: RowMapping, reason: str, *, again: bool) -> None:
        now = self.clock()
        if again:
            due = now + backoff(self._settings.backoff_s, row["attempts"])
            transition(connection, row["id"], DeliveryState.WAITING, now=now, not_before=due, reason=reason)
            return
        transition(connection, row["id"], DeliveryState.FAILED, now=now, reason=reason)
        one = _delivery(connection.execute(_chosen().where(deliveries.c.id == row["id"])).mappings().one())
        _tell(connection, "not delivered", now, one, reason=reason, attempts=row["attempts"])


def _chosen() -> Any:
    return select(*_COLUMNS).join(jobs, jobs.c.id == deliveries.c.job_id)


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**(dict(row) | {"state": DeliveryState(row["state"])}))


def _tell(connection: Connection, event: str, now: datetime, delivery: Delivery, **detail: str | int) -> None:
    """Write where results went, or did not, into the audit log."""
    told: dict[str, str | int] = {"job": delivery.job_id, "version": delivery.version}
    audit_log.append(
        connection, event, at=now, actor=delivery.destination, study_uid=delivery.study_uid, **told | detail
    )


def open_deliveries(connection: Connection, job: int, destinations: Sequence[str], now: datetime) -> None:
    """Make a delivery of a job for each destination; those that an earlier attempt left are opened again."""
    of_job = select(deliveries.c.destination, deliveries.c.id, deliveries.c.state)
    there = {row.destination: row for row in connection.execute(of_job.where(deliveries.c.job_id == job))}
    anew = {"attempts": 0, "not_before": now, "reason": ""}
    for name in dict.fromkeys(destinations):
        if name not in there:
            values = {"job_id": job, "destination": name, "state": DeliveryState.WAITING.value}
            connection.execute(insert(deliveries).values(**values, **anew, changed_at=now))
        elif there[name].state != DeliveryState.DELIVERED:
            transition(connection, there[name].id, DeliveryState.WAITING, now=now, **anew)


def deliveries_in(connection: Connection, job: int, state: DeliveryState) -> Sequence[int]:
    """Return the numbers of the deliveries of a job that are in a state."""
    of_job = select(deliveries.c.id).where(deliveries.c.job_id == job, deliveries.c.state == state.value)
    return connection.execute(of_job).scalars().all()
