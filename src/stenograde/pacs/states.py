"""What jobs and deliveries go through: the states, and the one function that changes them.

::

    RECEIVING --> READY --> GRADING --> GRADED --> DONE          WAITING --> SENDING --> DELIVERED
        |           |  ^______|  |                                  |  ^_______|   |
        |           |            v                                  |              v
        +-----------+-------> FAILED, CANCELLED                     +--------> FAILED, CANCELLED

A job is one version of one study. It is RECEIVING while images come; an image that comes later opens the next
version. GRADING is under a lease; a worker that dies or fails costs an attempt, and the job is READY again after a
while, or FAILED when it was the last. A job that was GRADED has a delivery for each destination, and is DONE when
none is open any more. FAILED and CANCELLED jobs can be made READY again by a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, Table, select, update

from stenograde.errors import JobError
from stenograde.pacs.tables import deliveries, jobs

Clock = Callable[[], datetime]
"""Gives the time, with its zone."""

_LONGEST_BACKOFF: Final = timedelta(hours=1)


class JobState(StrEnum):
    """Where a version of a study stands."""

    RECEIVING = "receiving"
    READY = "ready"
    GRADING = "grading"
    GRADED = "graded"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """Where the results for a destination stand."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


_JOBS: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.RECEIVING: frozenset({JobState.READY, JobState.CANCELLED}),
    JobState.READY: frozenset({JobState.GRADING, JobState.CANCELLED}),
    JobState.GRADING: frozenset({JobState.READY, JobState.GRADED, JobState.FAILED, JobState.CANCELLED}),
    JobState.GRADED: frozenset({JobState.DONE, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.READY, JobState.CANCELLED}),
    JobState.CANCELLED: frozenset({JobState.READY}),
}

_DELIVERIES: Final[Mapping[DeliveryState, frozenset[DeliveryState]]] = {
    DeliveryState.WAITING: frozenset({DeliveryState.SENDING, DeliveryState.CANCELLED}),
    DeliveryState.SENDING: frozenset(
        {DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.CANCELLED}
    ),
    DeliveryState.DELIVERED: frozenset(),
    DeliveryState.FAILED: frozenset({DeliveryState.WAITING, DeliveryState.CANCELLED}),
    DeliveryState.CANCELLED: frozenset({DeliveryState.WAITING}),
}

_LEASED: Final = (JobState.GRADING, DeliveryState.SENDING)


def transition(
    connection: Connection, key: int, to: JobState | DeliveryState, *, now: datetime, **values: Any
) -> RowMapping:
    """Change the state of a job or a delivery within a transaction; every change goes through here.

    Parameters
    ----------
    connection : Connection
        In a transaction, which the caller commits.
    key : int
        Number of the job or the delivery.
    to : JobState or DeliveryState
        A state of a job changes a job, one of a delivery a delivery.
    now : datetime
    **values
        Further columns to set; a lease is given up unless the new state has one.

    Returns
    -------
    row : mapping
        As it was before.

    Raises
    ------
    JobError
        If there is no such row, or its state does not lead to the new one.
    """
    table = jobs if isinstance(to, JobState) else deliveries
    row = locked(connection, table, key)
    state = type(to)(row["state"])
    allowed: Mapping[Any, frozenset[Any]] = _JOBS if table is jobs else _DELIVERIES
    if to not in allowed[state]:
        msg = f"{_WORD[table.name]} {key} must not become {to}, for it is {state}"
        raise JobError(msg)
    if to not in _LEASED:
        values |= {"lease_until": None, "worker": None}
    connection.execute(
        update(table).where(table.c.id == key).values(state=to.value, changed_at=now, **values)
    )
    return row


_WORD: Final = {"jobs": "job", "deliveries": "delivery"}


def found(connection: Connection, table: Table, key: int) -> RowMapping:
    """Return the row of a job or a delivery.

    Raises
    ------
    JobError
        If there is none of that number.
    """
    return _one(connection, table, key, select(table).where(table.c.id == key))


def locked(connection: Connection, table: Table, key: int) -> RowMapping:
    """Return a row that no other transaction changes until this one ends.

    Raises
    ------
    JobError
        If there is none of that number.
    """
    return _one(connection, table, key, select(table).where(table.c.id == key).with_for_update())


def _one(connection: Connection, table: Table, key: int, chosen: Select[Any]) -> RowMapping:
    row = connection.execute(chosen).mappings().one_or_none()
    if row is None:
        word = _WORD[table.name]
        msg = f"{word} must be one that there is, got {key}; 'stenograde jobs list' shows them"
        raise JobError(msg)
    return row


def has_open_deliveries(connection: Connection, job: int) -> bool:
    """Tell whether results of a job are still to be delivered, or could not be."""
    closed = (DeliveryState.DELIVERED.value, DeliveryState.CANCELLED.value)
    still = select(deliveries.c.id).where(deliveries.c.job_id == job, deliveries.c.state.not_in(closed))
    return connection.execute(still.limit(1)).first() is not None


def backoff(first_s: float, attempts: int) -> timedelta:
    """Return how long to wait after a number of attempts: twice as long after each, up to an hour.

    Examples
    --------
    >>> [backoff(30, attempts).total_seconds() for attempts in (1, 2, 3, 50)]
    [30.0, 60.0, 120.0, 3600.0]
    """
    return min(timedelta(seconds=first_s * 2 ** min(attempts - 1, 20)), _LONGEST_BACKOFF)


def system_clock() -> datetime:
    """Return the time by the clock of the machine."""
    return datetime.now(UTC)


def newest_of(connection: Connection, study_uid: str) -> RowMapping | None:
    """Return the row of a study's newest version, locked; None where there is none."""
    newest = select(jobs).where(jobs.c.study_uid == study_uid).order_by(jobs.c.version.desc()).limit(1)
    return connection.execute(newest.with_for_update()).mappings().one_or_none()
