"""Alarms: a destination that has not acknowledged results for long is told of, once when it begins and once it ends."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, func, or_, select

from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.logs import told
from stenograde.pacs.states import Clock, DeliveryState, system_clock
from stenograde.pacs.tables import audit, deliveries, jobs

_log = logging.getLogger(__name__)

_COMMAND_S: Final = 60.0
"""Longest that the command of an alarm may take, s."""

_DOWN: Final = "destination down"
_UP: Final = "destination up"


@dataclass(frozen=True)
class Overdue:
    """Results that a destination has not acknowledged, though it was tried."""

    destination: str
    n_deliveries: int
    since: datetime
    """When the oldest of them was ready to be sent."""


def overdue(database: Database) -> tuple[Overdue, ...]:
    """Return what was tried in vain, and what was given up, for each destination; those without are left out."""
    tried = or_(
        deliveries.c.state == DeliveryState.FAILED.value,
        and_(deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.attempts > 0),
        # (the first attempt is under way, as far as one can tell)
        and_(deliveries.c.state == DeliveryState.SENDING.value, deliveries.c.attempts > 1),
    )
    # a job stays as it is from its grades until its last delivery
    oldest = func.min(jobs.c.changed_at, type_=jobs.c.changed_at.type)
    counted = (
        select(deliveries.c.destination, func.count(), oldest)
        .join(jobs, jobs.c.id == deliveries.c.job_id)
        .where(tried)
        .group_by(deliveries.c.destination)
        .order_by(deliveries.c.destination)
    )
    with database.reading() as connection:
        return tuple(Overdue(name, n, since) for name, n, since in connection.execute(counted))


def down(database: Database, after_s: float, now: datetime) -> dict[str, Overdue]:
    """Return the destinations whose oldest results have waited for so long."""
    late = now - timedelta(seconds=after_s)
    return {one.destination: one for one in overdue(database) if one.since <= late}


@dataclass
class Alarms:
    """Tells of destinations that are down.

    Parameters
    ----------
    database : Database
    after_s : float
        A destination is down when its oldest results wait for so long.
    command : sequence of str
        Run with the event and the destination's name behind it; none by default.
    clock : callable
        Gives the time.
    """

    database: Database
    after_s: float = 900.0
    command: Sequence[str] = ()
    clock: Clock = system_clock
    _down: set[str] | None = field(default=None, init=False)

    def check(self) -> Collection[str]:
        """Tell what has changed since the last time, also since before a restart; return what is down."""
        if self._down is None:
            self._down = self._told_before()
        found = down(self.database, self.after_s, self.clock())
        for name in sorted(found.keys() - self._down):
            waited = self.clock() - found[name].since
            self._tell(
                _DOWN, name, n_deliveries=found[name].n_deliveries, waited_s=int(waited.total_seconds())
            )
            self._down.add(name)
        for name in sorted(self._down - found.keys()):
            self._tell(_UP, name)
            self._down.discard(name)
        return frozenset(self._down)

    def _told_before(self) -> set[str]:
        last = select(func.max(audit.c.id)).where(audit.c.event.in_((_DOWN, _UP))).group_by(audit.c.actor)
        wanted = select(audit.c.actor).where(audit.c.id.in_(last), audit.c.event == _DOWN)
        with self.database.reading() as connection:
            return set(connection.execute(wanted).scalars())

    def _tell(self, event: str, name: str, n_deliveries: int = 0, waited_s: int = 0) -> None:
        detail = {"n_deliveries": n_deliveries, "waited_s": waited_s}
        with self.database.writing() as connection:
            audit_log.append(connection, event, at=self.clock(), actor=name, study_uid="", **detail)
        _log.log(
            logging.ERROR if event == _DOWN else logging.INFO, event, extra=told(destination=name, **detail)
        )
        if not self.command:
            return
        try:
            subprocess.run([*self.command, event, name], check=True, capture_output=True, timeout=_COMMAND_S)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as exc:
            _log.error("alarm command failed", extra=told(reason=type(exc).__name__))
