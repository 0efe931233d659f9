"""A disk that is full: nothing is acknowledged that is not kept, and no study is put aside for it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from tests.dicom_files import mr_dataset, picture, save
from tests.receiving import Receiving, receiving
from tests.service.conftest import Clock

from stenograde.errors import ConfigError
from stenograde.pacs.database import Database, is_full
from stenograde.pacs.intake import Accepted, Refusal, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import GradingSettings
from stenograde.pacs.states import JobState
from stenograde.pacs.statuses import OUT_OF_RESOURCES, STATUS
from stenograde.pacs.store import Store
from stenograde.pacs.worker import Worker

GRADING = GradingSettings(attempts=2, backoff_s=30)
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _object(folder: Path, number: int) -> bytes:
    return save(mr_dataset(picture(seed=number), number=number), folder / "object.dcm").read_bytes()


def _full_from_now_on(database: Database) -> None:
    """Let SQLite say that its disk is full once it needs another page, as it does when that is so."""
    with database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    @event.listens_for(database.engine, "connect")
    def _bound(connection: object, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

    database.engine.dispose()


def test_intake_when_the_disk_of_sqlite_is_full_then_it_says_so_and_acknowledges_only_what_is_kept(
    tmp_path: Path,
) -> None:
    with receiving(tmp_path) as kept:
        _full_from_now_on(kept.database)
        told = [_taken(kept, _object(tmp_path, number)) for number in range(1, 60)]
        refused = [one for one in told if isinstance(one, Refused)]
        assert refused
        assert {one.why for one in refused} == {Refusal.NO_ROOM}
        assert STATUS[Refusal.NO_ROOM] == OUT_OF_RESOURCES
        assert refused[0].reason == "the disk of the database must have room, got a full one"
        accepted = [one.sop_uid for one in told if isinstance(one, Accepted)]
        assert kept.sop_uids() == accepted
        assert [job.version for job in kept.queue.listed()] == [1]


def _taken(kept: Receiving, data: bytes) -> Accepted | Refused:
    return kept.intake.accept(data, via="dicom", sender="MR1")


@pytest.mark.parametrize(
    ("cause", "wanted"), [(psycopg.errors.DiskFull(), True), (psycopg.errors.LockNotAvailable(), False)]
)
def test_is_full_of_postgresql_goes_by_its_sqlstate(cause: psycopg.Error, *, wanted: bool) -> None:
    assert is_full(OperationalError("INSERT", {}, cause)) is wanted


def _queue(database: Database, clock: Clock) -> Queue:
    queue = Queue(database, grading=GRADING, clock=clock)
    with database.writing() as connection:
        queue.touch(connection, "1.2.1")
    queue.complete("1.2.1")
    return queue


@pytest.mark.parametrize("is_told_by_another", [False, True])
def test_a_study_when_its_results_find_no_room_then_that_costs_no_attempt(
    database: Database, clock: Clock, tmp_path: Path, *, is_told_by_another: bool
) -> None:
    queue = _queue(database, clock)

    def find_no_room(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        if is_told_by_another:
            msg = "grades.json must be writable, got no space left on device"
            raise ConfigError(msg) from FULL
        raise FULL

    for _ in range(2 * GRADING.attempts):
        job = queue.claim("worker")
        assert job is not None, "the study must be tried again"
        Worker("worker", queue, Store(tmp_path / "store"), find_no_room).attempt(job)
        assert (queue.job(1).state, queue.job(1).attempts) == (JobState.READY, 0)
        assert queue.claim("too early") is None
        clock.go_on(GRADING.backoff_s)


def test_a_worker_when_there_is_no_room_then_it_takes_nothing_until_there_is(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    queue = _queue(database, clock)

    class Stop(threading.Event):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            if self.waits == 3:
                self.set()
            return self.is_set()

    def must_not(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        pytest.fail("nothing must be graded")

    before = queue.job(1)
    clock.go_on(1)
    Worker("worker", queue, Store(tmp_path / "store", free_bytes=1 << 60), must_not).work(Stop())
    assert queue.job(1) == before


def test_a_worker_when_another_was_killed_at_its_study_then_what_that_left_is_removed(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    queue, store = _queue(database, clock), Store(tmp_path / "store")
    left = store.results("1.2.1", 1) / ".writing-grades.json-1"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    job = queue.claim("worker")
    assert job is not None
    Worker("worker", queue, store, lambda files, folder, study_uid: None).attempt(job)
    assert not left.exists()
    assert queue.job(1).state == JobState.DONE
