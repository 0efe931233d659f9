"""Processes that are killed at any moment, databases that go away: nothing is lost, nothing done twice."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from tests.databases import Server
from tests.dicom_files import STUDY, mr_dataset, picture, save
from tests.service.conftest import Clock
from tests.service.killed import n_calls, run_killed, was_killed

from stenograde.errors import NoStudyError
from stenograde.pacs import audit_log
from stenograde.pacs.database import UNAVAILABLE, Database, migrate
from stenograde.pacs.deliveries import Deliveries
from stenograde.pacs.intake import Accepted, Intake, Refusal, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import GradingSettings
from stenograde.pacs.states import JobState
from stenograde.pacs.store import Store
from stenograde.pacs.tables import instances
from stenograde.pacs.worker import Worker

OBJECTS = 3
GRADING = GradingSettings(attempts=3, backoff_s=30, lease_s=120)
KILLS = {"sqlite": 24, "postgresql": 12}


@pytest.fixture
def objects(tmp_path: Path) -> list[bytes]:
    made = []
    for number in range(1, OBJECTS + 1):
        path = save(mr_dataset(picture(seed=number), number=number), tmp_path / "objects" / f"{number}.dcm")
        made.append(path.read_bytes())
    return made


def test_intake_when_killed_at_any_call_then_what_was_acknowledged_is_there_and_nothing_is_half(
    url: str, tmp_path: Path, objects: list[bytes]
) -> None:
    rng = np.random.default_rng(5)
    database = Database(url)
    migrate(database)
    acknowledged = tmp_path / "acknowledged"
    store_folder = tmp_path / "store"

    def send(seed: int) -> None:
        """What a receiver does: take objects in, and acknowledge each; of a study for every attempt."""
        with acknowledged.open("ab", buffering=0) as told:
            opened = Database(url)
            intake = Intake(Store(store_folder), Queue(opened))
            for data in objects:
                other = data.replace(STUDY.encode(), f"{STUDY[:-5]}{seed:05d}".encode())
                got = intake.accept(other, via="dicom", sender="MR1")
                assert isinstance(got, Accepted), got
                told.write(f"{got.sop_uid} {hashlib.sha256(other).hexdigest()}\n".encode())
            opened.close()

    total = n_calls(lambda: send(0))
    n_killed = 0
    # (the first calls open the database; most of the kills fall into the transactions)
    for seed, at_call in enumerate(rng.integers(1, total, KILLS[database.engine.dialect.name]), start=1):
        status = run_killed(lambda seed=seed: send(seed), int(at_call))
        n_killed += was_killed(status)
        _check_kept(database, Store(store_folder), acknowledged)
        assert run_killed(lambda seed=seed: send(seed), None) == 0  # the sender sends all again
    assert n_killed >= KILLS[database.engine.dialect.name] // 2
    kept = _check_kept(database, Store(store_folder), acknowledged)
    assert len(kept) == len({uid for uid, _ in kept}) == OBJECTS * (1 + KILLS[database.engine.dialect.name])
    Store(store_folder).sweep()
    assert list((store_folder / "incoming").iterdir()) == []
    assert all(
        job.version == 1 for job in Queue(database).listed()
    )  # nothing that came twice opened a version
    database.close()


def _check_kept(database: Database, store: Store, acknowledged: Path) -> list[tuple[str, str]]:
    """Check that rows, files, jobs and the audit log agree, and hold all that was acknowledged; return the rows."""
    with database.reading() as connection:
        rows = connection.execute(select(instances)).all()
    for row in rows:
        assert hashlib.sha256((store.root / row.path).read_bytes()).hexdigest() == row.sha256
    for path in (store.root / "images").rglob("*.dcm"):  # one without a row is whole, too
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.partition("-")[2]
    kept = [(row.sop_uid, row.sha256) for row in rows]
    told = [tuple(line.split()) for line in acknowledged.read_text().splitlines()]
    assert set(told) <= set(kept)
    assert {row.study_uid for row in rows} == {job.study_uid for job in Queue(database).listed()}
    found = audit_log.verify(database)
    assert (found.broken, found.lines) == (None, len(rows))
    return kept


def _fill(database: Database, studies: int, clock: Clock) -> Queue:
    queue = Queue(database, grading=GRADING, clock=clock)
    for number in range(1, studies + 1):
        with database.writing() as connection:
            queue.touch(connection, f"1.2.{number}")
        queue.complete(f"1.2.{number}")
    return queue


def _write(files: Sequence[Path], folder: Path, study_uid: str) -> None:
    """Stands for grading: a result of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grades.json").write_text(f"{study_uid} {len(files)}")


def test_a_worker_when_killed_at_any_call_then_its_study_is_graded_later_once(
    url: str, tmp_path: Path, clock: Clock
) -> None:
    database = Database(url)
    migrate(database)
    kills = KILLS[database.engine.dialect.name] // 2
    queue = _fill(database, kills + 1, clock)
    store = Store(tmp_path / "store")

    def work() -> None:
        """Grade the next study, in a process of its own."""
        own = Database(url)
        own_queue = Queue(own, grading=GRADING, clock=clock)
        job = own_queue.claim(f"worker-{os.getpid()}")
        assert job is not None
        Worker("w", own_queue, store, _write, ("archive",)).attempt(job)
        own.close()

    total = n_calls(work)
    n_killed = 0
    for at_call in np.random.default_rng(3).integers(1, total, kills):
        n_killed += was_killed(run_killed(work, int(at_call)))
        clock.go_on(GRADING.lease_s + 1)
        queue.release_expired()
        clock.go_on(GRADING.backoff_s * 2)
    assert n_killed >= kills // 2
    while (job := queue.claim("last")) is not None:
        Worker("last", queue, store, _write, ("archive",)).attempt(job)
    jobs = queue.listed()
    assert {job.state for job in jobs} == {JobState.GRADED}
    assert all((store.results(job.study_uid, 1) / "grades.json").is_file() for job in jobs)
    assert sorted(one.job_id for one in Deliveries(database).listed()) == sorted(job.id for job in jobs)
    graded = [job for job in jobs if job.attempts > 1]
    assert len(graded) <= n_killed
    assert audit_log.verify(database).broken is None
    database.close()


def test_a_study_when_it_kills_every_worker_then_it_is_put_aside_with_the_reason_and_others_go_on(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    queue = _fill(database, 2, clock)
    store = Store(tmp_path / "store")
    waits = []
    for _ in range(GRADING.attempts):
        job = queue.claim("doomed")
        assert (job and job.study_uid) == "1.2.1"
        assert queue.release_worker("doomed", "its worker was ended by signal 9") == 1
        waits.append((queue.job(1).not_before - clock()).total_seconds())
        if len(waits) == 1:
            other = queue.claim("other")
            assert (other and other.study_uid) == "1.2.2"
            Worker("other", queue, store, _write).attempt(other)
        assert queue.claim("too early") is None
        clock.go_on(waits[-1])
    assert waits[:2] == [30, 60]
    first, second = queue.job(1), queue.job(2)
    assert (first.state, first.attempts, first.reason) == (
        JobState.FAILED,
        GRADING.attempts,
        "its worker was ended by signal 9",
    )
    assert second.state == JobState.DONE


def test_claims_when_of_several_processes_at_once_then_each_job_is_claimed_once(
    url: str, tmp_path: Path, clock: Clock
) -> None:
    database = Database(url)
    migrate(database)
    studies, processes = 40, 3
    queue = _fill(database, studies, clock)
    with database.writing() as connection:  # second versions, which wait for the first
        for number in range(1, 11):
            queue.touch(connection, f"1.2.{number}")
    for number in range(1, 11):
        queue.complete(f"1.2.{number}")
    go, release = os.pipe()

    def claim(name: str) -> None:
        own = Database(url)
        own_queue = Queue(own, grading=GRADING, clock=clock)
        os.read(go, 1)
        with (tmp_path / name).open("w") as told:
            idle = 0
            while idle < 20:
                job = own_queue.claim(name)
                idle = 0 if job else idle + 1
                if job:
                    told.write(f"{job.id} {job.study_uid} {job.version}\n")
                    own_queue.graded(job)
        own.close()

    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                claim(f"claimed-{number}")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.write(release, b"x" * processes)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
    os.close(go)
    os.close(release)
    claimed = [
        line.split()
        for number in range(processes)
        for line in (tmp_path / f"claimed-{number}").read_text().splitlines()
    ]
    assert sorted(int(one[0]) for one in claimed) == list(range(1, studies + 11))
    assert queue.counts()[JobState.DONE] == studies + 10
    assert all(job.attempts == 1 for job in queue.listed())
    database.close()


def test_a_worker_when_its_study_cannot_be_graded_or_fails_then_that_is_told(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    queue = _fill(database, 2, clock)
    store = Store(tmp_path / "store")

    def refuse(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        if study_uid == "1.2.1":
            raise NoStudyError(study_uid)
        words = ("DOE^JOHN", study_uid)
        raise ValueError(*words)

    for _ in range(2):
        job = queue.claim("worker")
        assert job is not None
        Worker("worker", queue, store, refuse, ("archive",)).attempt(job)
    first, second = queue.job(1), queue.job(2)
    assert (first.state, first.reason) == (
        JobState.GRADED,
        "not graded: 1.2.1",
    )
    assert [one.job_id for one in Deliveries(database).listed()] == [1]
    assert (second.state, second.attempts) == (JobState.READY, 1)
    assert "a fault of ours: ValueError" in second.reason
    assert "DOE" not in second.reason


def test_a_worker_when_its_job_was_taken_away_then_what_it_made_is_not_used(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    queue = _fill(database, 1, clock)
    store = Store(tmp_path / "store")

    def cancelled_meanwhile(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        queue.cancel(1, actor="somebody")

    job = queue.claim("worker")
    assert job is not None
    Worker("worker", queue, store, cancelled_meanwhile, ("archive",)).attempt(job)
    assert queue.job(1).state == JobState.CANCELLED
    assert Deliveries(database).listed() == ()


class _Waking(threading.Event):
    """An event that nobody sets; who waits for it starts a server."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        if self.waits == 2:
            self._server.start()
        return False


def test_postgresql_when_it_crashes_under_the_service_then_what_is_asked_is_refused_until_it_is_back(
    server: Server, clock: Clock, tmp_path: Path, objects: list[bytes]
) -> None:
    database = Database(server.new_url())
    migrate(database)
    queue = _fill(database, 1, clock)
    store = Store(tmp_path / "store")
    intake = Intake(store, queue)
    assert isinstance(intake.accept(objects[0], via="dicom", sender="MR1"), Accepted)
    job = queue.claim("worker")
    assert job is not None

    def crash(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        server.stop()
        got = intake.accept(objects[1], via="dicom", sender="MR1")
        assert isinstance(got, Refused)
        assert (got.why, got.reason) == (
            Refusal.UNAVAILABLE,
            "the database must answer, got OperationalError",
        )
        with pytest.raises(UNAVAILABLE):
            queue.claim("other")

    waking = _Waking(server)
    Worker("worker", queue, store, crash, ("archive",)).attempt(job, waking)
    assert waking.waits >= 2
    assert queue.job(1).state == JobState.GRADED
    assert isinstance(intake.accept(objects[1], via="dicom", sender="MR1"), Accepted)
    assert audit_log.verify(database).broken is None
    database.close()
