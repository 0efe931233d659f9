"""Retention: images and results of studies that are done with, and old enough, are removed from this machine.

A study goes as a whole, and only when every version of it is DONE or CANCELLED and every delivery is acknowledged
or cancelled. What was FAILED stays until a person has retried or cancelled it. Its jobs and the audit log stay.
Images that were never accepted, for the service was killed while they came, go after the same time.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, exists, func, select

from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.logs import told
from stenograde.pacs.queue import SERVICE
from stenograde.pacs.states import Clock, DeliveryState, JobState, system_clock
from stenograde.pacs.store import Store
from stenograde.pacs.tables import commitments, deliveries, instances, jobs, sent

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""Images that are looked up at once."""

_OVER: Final = (JobState.DONE.value, JobState.CANCELLED.value)
_CLOSED: Final = (DeliveryState.DELIVERED.value, DeliveryState.CANCELLED.value)


def remove_old(database: Database, store: Store, days: int, *, clock: Clock = system_clock) -> int:
    """Remove what was last changed so many days ago; return how many studies.

    Parameters
    ----------
    database : Database
    store : Store
    days : int
        0 keeps everything.
    clock : callable
        Gives the time.
    """
    if days == 0:
        return 0
    before = clock() - timedelta(days=days)
    with database.reading() as connection:
        studies = _studies(connection, before)
    _remove_forgotten(database, store, before)
    return sum(_remove(database, store, study_uid, before, clock()) for study_uid in studies)


def _studies(connection: Connection, before: datetime, study_uid: str | None = None) -> list[str]:
    """Return the studies that may go; of one alone where one is given."""
    open_job = exists().where(
        jobs.c.study_uid == instances.c.study_uid,
        jobs.c.state.not_in(_OVER) | (jobs.c.changed_at >= before),
    )
    open_delivery = exists().where(
        jobs.c.study_uid == instances.c.study_uid,
        deliveries.c.job_id == jobs.c.id,
        deliveries.c.state.not_in(_CLOSED),
    )
    wanted = (
        select(instances.c.study_uid)
        .where(~open_job, ~open_delivery)
        .group_by(instances.c.study_uid)
        .having(func.max(instances.c.received_at) < before)
        .order_by(func.max(instances.c.id))
    )
    if study_uid is not None:
        wanted = wanted.where(instances.c.study_uid == study_uid)
    return list(connection.execute(wanted).scalars())


def _remove(database: Database, store: Store, study_uid: str, before: datetime, now: datetime) -> bool:
    """Remove a study: its files first, so that none is left without a row; nothing if an image of it has just come."""
    with database.writing() as connection:
        if not _studies(connection, before, study_uid):
            return False
        of_study = instances.c.study_uid == study_uid
        paths = connection.execute(select(instances.c.path).where(of_study)).scalars().all()
        files = [store.root / path for path in dict.fromkeys(paths)]
        if any(_is_newer(file, before) for file in files):
            return False  # the same object is coming again: its file is there before its row
        versions = connection.execute(select(jobs.c.version).where(jobs.c.study_uid == study_uid)).scalars()
        for folder in [store.results(study_uid, version) for version in versions]:
            shutil.rmtree(folder, ignore_errors=True)
            _remove_empty([folder.parent])
        for file in files:
            file.unlink(missing_ok=True)
        _remove_empty(dict.fromkeys(file.parent for file in files))
        mine = select(deliveries.c.id).where(
            deliveries.c.job_id.in_(select(jobs.c.id).where(jobs.c.study_uid == study_uid))
        )
        for table in (sent, commitments):
            connection.execute(delete(table).where(table.c.delivery_id.in_(mine)))
        connection.execute(delete(instances).where(of_study))
        detail = {"n_instances": len(paths)}
        audit_log.append(connection, "removed", at=now, actor=SERVICE, study_uid=study_uid, **detail)
    _log.info("removed", extra=told(study_uid=study_uid, **detail))
    return True


def _remove_forgotten(database: Database, store: Store, before: datetime) -> None:
    """Remove old images without a row: of each the service was killed, or lost its database, before it was accepted."""
    old = [
        path.relative_to(store.root).as_posix()
        for path in (store.root / "images").glob("*/*")
        if not _is_newer(path, before)
    ]
    for start in range(0, len(old), _AT_ONCE):
        some = old[start : start + _AT_ONCE]
        with database.writing() as connection:
            known = connection.execute(select(instances.c.path).where(instances.c.path.in_(some))).scalars()
            forgotten = [store.root / path for path in set(some).difference(known)]
            # (one that is coming again just now is newer)
            for file in (file for file in forgotten if not _is_newer(file, before)):
                file.unlink(missing_ok=True)
        _remove_empty(dict.fromkeys(file.parent for file in forgotten))


def _is_newer(file: Path, before: datetime) -> bool:
    try:
        return file.stat().st_mtime >= before.timestamp()
    except FileNotFoundError:
        return False


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            continue  # something else lies there
