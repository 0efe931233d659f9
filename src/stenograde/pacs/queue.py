"""The queue: a row for each version of each study, from its first image to its grades.

Whatever is changed is on disk when the method returns, or is not changed at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from stenograde.errors import JobError
from stenograde.pacs import audit_log
from stenograde.pacs.completeness import is_complete
from stenograde.pacs.database import Database
from stenograde.pacs.deliveries import deliveries_in, open_deliveries
from stenograde.pacs.grading_times import count_grading
from stenograde.pacs.jobs import Job, job_of
from stenograde.pacs.settings import GradingSettings, StudySettings
from stenograde.pacs.states import (
    Clock,
    DeliveryState,
    JobState,
    backoff,
    found,
    has_open_deliveries,
    locked,
    newest_of,
    system_clock,
    transition,
)
from stenograde.pacs.tables import instances, jobs

SERVICE: Final = "service"
"""Who acts in the audit log where it is no worker, sender or person."""

_NO_WORKER: Final = "{worker} is not at work on job {job} any more; its lease has ended, or it was cancelled"


class Queue:
    """The jobs of a database.

    Parameters
    ----------
    database : Database
    study : StudySettings
        When a study is complete.
    grading : GradingSettings
        How long a lease is, and how often a study is tried.
    clock : callable
        Gives the time.
    """

    def __init__(
        self,
        database: Database,
        study: StudySettings | None = None,
        grading: GradingSettings | None = None,
        *,
        clock: Clock = system_clock,
    ) -> None:
        self.database = database
        self.clock = clock
        self._study = study or StudySettings()
        self._grading = grading or GradingSettings()

    def touch(self, connection: Connection, study_uid: str) -> int:
        """Tell that an image has come, within the transaction that keeps it; return the version that it is of.

        That is the version that is RECEIVING; a new one where there is none.
        """
        now = self.clock()
        newest = newest_of(connection, study_uid)
        if newest is not None and newest["state"] == JobState.RECEIVING:
            connection.execute(update(jobs).where(jobs.c.id == newest["id"]).values(touched_at=now))
            return newest["version"]
        version = newest["version"] + 1 if newest is not None else 1
        connection.execute(
            insert(jobs).values(
                study_uid=study_uid,
                version=version,
                state=JobState.RECEIVING.value,
                reason="",
                attempts=0,
                not_before=now,
                created_at=now,
                touched_at=now,
                changed_at=now,
            )
        )
        return version

    def complete(self, study_uid: str, *, actor: str = SERVICE) -> int:
        """Make the version that is RECEIVING ready to be graded; return its number.

        Raises
        ------
        JobError
            If no version of the study is RECEIVING.
        """
        with self.database.writing() as connection:
            newest = newest_of(connection, study_uid)
            if newest is None or newest["state"] != JobState.RECEIVING:
                state = (
                    "is not known" if newest is None else f"has a newest version that is {newest['state']}"
                )
                msg = f"study must be one that images come of, got {study_uid}, which {state}"
                raise JobError(msg)
            self._complete(connection, newest, actor, "asked for")
            return newest["version"]

    def complete_quiet(self, heard_since: datetime | None = None) -> int:
        """Make the versions ready of which no image has come for the quiet time; return how many.

        Parameters
        ----------
        heard_since : datetime, optional
            Since when senders could reach us without a break. The quiet time is counted from there at the earliest:
            who could not send the rest of a study must not find it taken for complete.
        """
        now = self.clock()
        if heard_since is not None and heard_since > now - timedelta(seconds=self._study.quiet_s):
            return 0
        wanted = select(jobs).where(is_complete(self._study, now)).order_by(jobs.c.id)
        with self.database.reading() as connection:
            if connection.execute(wanted.limit(1)).first() is None:
                return 0
        with self.database.writing() as connection:
            rows = connection.execute(wanted).mappings().all()
            for row in rows:
                self._complete(connection, row, SERVICE, "no image came for the quiet time")
        return len(rows)

    def claim(self, worker: str) -> Job | None:
        """Return the job that is next, under a lease for a worker; None where none is due.

        Versions of a study are graded one after another, the oldest first, and never two at a time.
        """
        now = self.clock()
        other = jobs.alias("other")
        in_the_way = exists().where(
            other.c.study_uid == jobs.c.study_uid,
            or_(
                other.c.state == JobState.GRADING.value,
                and_(other.c.state == JobState.READY.value, other.c.version < jobs.c.version),
            ),
        )
        due = (
            select(jobs.c.id, jobs.c.attempts)
            .where(jobs.c.state == JobState.READY.value, jobs.c.not_before <= now, not_(in_the_way))
            .order_by(jobs.c.not_before, jobs.c.id)
            .limit(1)
        )
        with self.database.reading() as connection:  # (who finds nothing keeps nobody from writing)
            if connection.execute(due).first() is None:
                return None
        lease = now + timedelta(seconds=self._grading.lease_s)
        try:
            with self.database.claiming() as connection:
                job = connection.execute(due.with_for_update(skip_locked=True, of=jobs)).one_or_none()
                if job is None:
                    return None
                values = {"attempts": job.attempts + 1, "worker": worker, "lease_until": lease, "reason": ""}
                transition(connection, job.id, JobState.GRADING, now=now, **values)
                return job_of(found(connection, jobs, job.id))
        except IntegrityError:
            return None  # another worker has just claimed another version of the study

    def renew(self, job: Job) -> None:
        """Prolong the lease of a job.

        Raises
        ------
        JobError
            If the worker has lost it: nothing it makes of the study may be used.
        """
        with self.database.claiming() as connection:
            self._held(connection, job)
            lease = self.clock() + timedelta(seconds=self._grading.lease_s)
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(lease_until=lease))

    def graded(self, job: Job, destinations: Sequence[str] = (), *, reason: str = "") -> None:
        """Tell that a job's results are on disk; they are to be delivered to destinations.

        Parameters
        ----------
        job : Job
            As :meth:`claim` gave it.
        destinations : sequence of str
            Names of them; without any the job is DONE.
        reason : str
            Why the study could not be graded, where the results say that.

        Raises
        ------
        JobError
            If the worker has lost the job.
        """
        now = self.clock()
        with self.database.writing() as connection:
            self._held(connection, job)
            transition(connection, job.id, JobState.GRADED, now=now, reason=reason)
            count_grading(connection, now - job.changed_at)
            open_deliveries(connection, job.id, destinations, now)
            _tell(connection, "graded", now, job.worker or SERVICE, job, reason=reason)
            if not has_open_deliveries(connection, job.id):
                transition(connection, job.id, JobState.DONE, now=now)

    def failed(self, job: Job, reason: str, *, again: bool = True, is_counted: bool = True) -> None:
        """Tell that an attempt at a job has failed.

        Parameters
        ----------
        job : Job
            As :meth:`claim` gave it.
        reason : str
        again : bool
            Whether another attempt may do better.
        is_counted : bool
            Whether it costs an attempt; what says nothing of the study, such as a full disk, should not.

        Raises
        ------
        JobError
            If the worker has lost the job.
        """
        with self.database.writing() as connection:
            row = self._held(connection, job)
            wait_s = self._grading.backoff_s
            self._end_attempt(connection, row, reason, again=again, is_counted=is_counted, wait_s=wait_s)

    def overdue(self) -> frozenset[str]:
        """Return the workers that were not heard of within their lease."""
        with self.database.reading() as connection:
            return frozenset(connection.execute(select(jobs.c.worker).where(self._is_overdue())).scalars())

    def release_expired(self) -> int:
        """Take jobs from workers that were not heard of within their lease; return how many."""
        return self._release(
            self._is_overdue(), "the worker was not heard of within its lease", is_counted=True
        )

    def release_worker(self, worker: str, reason: str, *, is_counted: bool = True) -> int:
        """Take the job from a worker that is known to have ended; return how many.

        It costs an attempt unless it is not counted, as where the service itself ended the worker.
        """
        of_worker = and_(jobs.c.state == JobState.GRADING.value, jobs.c.worker == worker)
        return self._release(of_worker, reason, is_counted=is_counted)

    def retry(self, key: int, *, actor: str) -> None:
        """Make a job that FAILED or was CANCELLED ready again, or deliver again what could not be delivered.

        Raises
        ------
        JobError
            If there is no such job, or nothing of it has failed.
        """
        now = self.clock()
        with self.database.writing() as connection:
            row = locked(connection, jobs, key)
            dead = deliveries_in(connection, key, DeliveryState.FAILED)
            anew = {"attempts": 0, "not_before": now, "reason": ""}
            if row["state"] in {JobState.FAILED, JobState.CANCELLED}:
                transition(connection, key, JobState.READY, now=now, **anew)
            elif not dead:
                msg = f"job {key} must have failed or been cancelled to be tried again, got one that is {row['state']}"
                raise JobError(msg)
            for delivery in dead:
                transition(connection, delivery, DeliveryState.WAITING, now=now, **anew)
            _tell(connection, "retried", now, actor, job_of(row))

    def cancel(self, key: int, *, actor: str, reason: str = "cancelled by a person") -> None:
        """Cancel a job, and what of its results is not delivered yet; what a worker makes of it is not used.

        Raises
        ------
        JobError
            If there is no such job, or it is DONE or CANCELLED.
        """
        now = self.clock()
        with self.database.writing() as connection:
            row = transition(connection, key, JobState.CANCELLED, now=now, reason=reason)
            for state in (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.FAILED):
                for delivery in deliveries_in(connection, key, state):
                    transition(connection, delivery, DeliveryState.CANCELLED, now=now)
            _tell(connection, "cancelled", now, actor, job_of(row))

    def job(self, key: int) -> Job:
        """Return a job by its number.

        Raises
        ------
        JobError
            If there is none.
        """
        with self.database.reading() as connection:
            return job_of(found(connection, jobs, key))

    def listed(self, *states: JobState, limit: int = 1000) -> tuple[Job, ...]:
        """Return the newest jobs, the newest first; those in some states where these are given."""
        chosen = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if states:
            chosen = chosen.where(jobs.c.state.in_([state.value for state in states]))
        with self.database.reading() as connection:
            return tuple(map(job_of, connection.execute(chosen).mappings()))

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        counted = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self.database.reading() as connection:
            n_by_state = {row[0]: row[1] for row in connection.execute(counted)}
        return {state: n_by_state.get(state.value, 0) for state in JobState}

    def files(self, job: Job) -> tuple[Path, ...]:
        """Return the files of a version, relative to the store; of an instance that came twice the later one."""
        of_version = and_(instances.c.study_uid == job.study_uid, instances.c.version <= job.version)
        last = select(func.max(instances.c.id)).where(of_version).group_by(instances.c.sop_uid)
        paths = select(instances.c.path).where(instances.c.id.in_(last)).order_by(instances.c.id)
        with self.database.reading() as connection:
            return tuple(Path(path) for path in connection.execute(paths).scalars())

    def _complete(self, connection: Connection, row: RowMapping, actor: str, why: str) -> None:
        now = self.clock()
        transition(connection, row["id"], JobState.READY, now=now, not_before=now)
        _tell(connection, "complete", now, actor, job_of(row), reason=why)

    def _is_overdue(self) -> ColumnElement[bool]:
        return and_(jobs.c.state == JobState.GRADING.value, jobs.c.lease_until < self.clock())

    def _held(self, connection: Connection, job: Job) -> RowMapping:
        """Return the row of a job that is still its worker's."""
        row = locked(connection, jobs, job.id)
        if (row["state"], row["worker"], row["attempts"]) != (JobState.GRADING, job.worker, job.attempts):
            raise JobError(_NO_WORKER.format(worker=job.worker, job=job.id))
        return row

    def _release(self, which: Any, reason: str, *, is_counted: bool) -> int:
        wanted = select(jobs).where(which).order_by(jobs.c.id)
        with self.database.reading() as connection:
            if connection.execute(wanted.limit(1)).first() is None:
                return 0
        with self.database.writing() as connection:
            rows = connection.execute(wanted.with_for_update()).mappings().all()
            for row in rows:
                self._end_attempt(connection, row, reason, again=True, is_counted=is_counted)
        return len(rows)

    def _end_attempt(
        self,
        connection: Connection,
        row: RowMapping,
        reason: str,
        *,
        again: bool,
        is_counted: bool = True,
        wait_s: float = 0.0,
    ) -> None:
        now, attempts = self.clock(), row["attempts"]
        if not is_counted:
            due = now + timedelta(seconds=wait_s)
            values = {"attempts": attempts - 1, "not_before": due, "reason": reason}
            transition(connection, row["id"], JobState.READY, now=now, **values)
        elif again and attempts < self._grading.attempts:
            due = now + backoff(self._grading.backoff_s, attempts)
            transition(connection, row["id"], JobState.READY, now=now, not_before=due, reason=reason)
        else:
            transition(connection, row["id"], JobState.FAILED, now=now, reason=reason)
            _tell(connection, "failed", now, row["worker"], job_of(row), reason=reason, attempts=attempts)


def _tell(
    connection: Connection, event: str, now: datetime, actor: str, job: Job, **detail: str | int
) -> None:
    """Write what became of a job into the audit log."""
    audit_log.append(
        connection,
        event,
        at=now,
        actor=actor,
        study_uid=job.study_uid,
        **{"job": job.id, "version": job.version} | {name: one for name, one in detail.items() if one != ""},
    )
