"""The service: real processes that die and are started again, and a whole study through all of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from sqlalchemy.exc import OperationalError
from tests.service.conftest import Clock
from tests.service.service_parts import ENDLESS, POISON, SEIZED, run, run_late, run_nothing

from stenograde.pacs.database import migrate
from stenograde.pacs.intake import Accepted
from stenograde.pacs.opening import Opened, open_queue
from stenograde.pacs.parts import Part, parts_of
from stenograde.pacs.queue import Queue
from stenograde.pacs.service import Supervisor, _signals_set
from stenograde.pacs.settings import GradingSettings, ServeSettings, StudySettings
from stenograde.pacs.states import JobState
from stenograde.pacs.store import Store

_HANGING_S = 600.0
"""A guard against hanging, s."""


def until(is_so: Callable[[], bool], step: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + _HANGING_S
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail("the service must get there")
        step()
        time.sleep(0.02)


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(
        store=tmp_path / "store",
        free_mb=0,
        study=StudySettings(quiet_s=0),
        grading=GradingSettings(attempts=2, backoff_s=0),
    )


def opened_with(settings: ServeSettings, *studies: str) -> Opened:
    opened = open_queue(settings)
    migrate(opened.database)
    for study in studies:
        with opened.database.writing() as connection:
            opened.queue.touch(connection, study)
    return opened


def test_a_service_when_a_study_kills_its_workers_then_it_is_put_aside_and_all_others_are_graded(
    settings: ServeSettings,
) -> None:
    opened = opened_with(settings, POISON, "1.2.2", "1.2.3")
    supervisor = Supervisor(settings, (Part("worker-1", run),), opened)
    supervisor.start()
    try:
        first_pid = supervisor.pids()["worker-1"]
        ends = {JobState.DONE, JobState.FAILED}
        until(lambda: {job.state for job in opened.queue.listed()} <= ends, supervisor.tick)
        poisoned = opened.queue.job(1)
        assert (poisoned.state, poisoned.attempts) == (JobState.FAILED, 2)
        assert poisoned.reason == "its worker was ended by signal 9"
        assert opened.queue.counts()[JobState.DONE] == 2
        until(lambda: supervisor.pids()["worker-1"] is not None, supervisor.tick)
        assert supervisor.pids()["worker-1"] != first_pid
    finally:
        supervisor.stop()
        opened.database.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("study", "longest_s", "reason"),
    [
        (ENDLESS, 1.0, "a study must be graded within 1 s, took longer"),
        (SEIZED, 600.0, "the worker was not heard of within its lease"),
    ],
)
def test_a_worker_when_stuck_in_a_study_then_it_is_ended_at_the_cost_of_an_attempt(
    settings: ServeSettings, study: str, longest_s: float, reason: str
) -> None:
    grading = GradingSettings(attempts=2, backoff_s=0, lease_s=2, longest_s=longest_s)
    settings = replace(settings, grading=grading)
    opened = opened_with(settings, study)
    supervisor = Supervisor(settings, (Part("worker-1", run),), opened)
    supervisor.start()
    try:
        until(lambda: opened.queue.job(1).state == JobState.FAILED, supervisor.tick)
        job = opened.queue.job(1)
        assert (job.reason, job.attempts) == (reason, 2)
        with opened.database.writing() as connection:
            opened.queue.touch(connection, "1.2.2")
        until(lambda: opened.queue.job(2).state == JobState.DONE, supervisor.tick)
    finally:
        supervisor.stop(0.0)
        opened.database.close()


def test_a_part_when_it_ends_again_and_again_then_it_is_started_after_ever_longer_pauses(
    settings: ServeSettings,
) -> None:
    opened = opened_with(settings)
    now = [0.0]
    supervisor = Supervisor(settings, (Part("receiver", run_nothing),), opened, monotonic=lambda: now[0])
    supervisor.start()
    try:
        for pause_s in (0.0, 1.0, 3.0):
            (one,) = supervisor._running
            one.process.join(_HANGING_S)
            ended = one.process.pid
            for wait_s in (0.0, pause_s / 2) if pause_s else ():
                now[0] += wait_s
                supervisor.tick()
                assert supervisor.pids() == {"receiver": None}
            now[0] += pause_s / 2
            supervisor.tick()
            assert supervisor.pids()["receiver"] not in {None, ended}
    finally:
        supervisor.stop()
        opened.database.close()


def test_a_signal_when_it_comes_while_another_is_heard_then_neither_waits_for_the_other() -> None:
    class Stop(threading.Event):
        """Hears a second signal while it is set for the first."""

        threads: ClassVar[list[threading.Thread]] = []

        def set(self) -> None:
            self.threads.append(threading.current_thread())
            if len(self.threads) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            super().set()

    stop = Stop()
    with _signals_set(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(_HANGING_S)
    assert threading.main_thread() not in stop.threads


def test_log_tells_of_the_faults_of_libraries_and_threads_and_not_their_words() -> None:
    words = [sys.executable, "-c", _FAULTS]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["event"], line.get("library"), line.get("thread")) for line in lines] == [
        ("fault", "uvicorn.error", None),
        ("fault", None, "one"),
    ]
    assert [line["fault"] for line in lines] == ["ValueError", "ValueError"]
    assert all(line["at_line"][-1].startswith("<string>:") for line in lines)
    assert "Doe" not in ran.stderr


_FAULTS = """
import logging, sys, threading
from stenograde.pacs.logs import log_to

log_to(sys.stderr)

def fail():
    raise ValueError("Doe^Jane")

library = logging.getLogger("uvicorn.error")
library.warning("Doe^Jane")
try:
    fail()
except ValueError:
    library.exception("Doe^Jane")
thread = threading.Thread(target=fail, name="one")
thread.start()
thread.join()
"""


QUIET_S = 60.0


@pytest.fixture
def receiving(settings: ServeSettings, clock: Clock) -> Iterator[Opened]:
    """A service with a study whose images come."""
    opened = opened_with(settings)
    queue = Queue(opened.database, StudySettings(quiet_s=QUIET_S), clock=clock)
    with opened.database.writing() as connection:
        queue.touch(connection, "1.2.1")
    yield replace(opened, queue=queue)
    opened.database.close()


def is_quiet_only_after_its_time(supervisor: Supervisor, queue: Queue, clock: Clock) -> None:
    """Senders could not reach us until now, and can from now on."""
    clock.go_on(QUIET_S - 1)
    supervisor.tick()
    assert queue.job(1).state == JobState.RECEIVING
    clock.go_on(1)
    supervisor.tick()
    assert queue.job(1).state == JobState.READY


def test_a_study_when_the_service_was_killed_then_it_is_not_complete_for_that(
    settings: ServeSettings, receiving: Opened, clock: Clock
) -> None:
    supervisor = Supervisor(settings, (), receiving)
    clock.go_on(2 * QUIET_S)
    supervisor.start()
    is_quiet_only_after_its_time(supervisor, receiving.queue, clock)


def test_a_study_when_the_disk_was_full_then_it_is_not_complete_for_that(
    settings: ServeSettings, receiving: Opened, clock: Clock
) -> None:
    supervisor = Supervisor(settings, (), receiving)
    supervisor.start()
    supervisor.opened = replace(receiving, store=Store(settings.store, free_bytes=1 << 60))
    clock.go_on(2 * QUIET_S)
    supervisor.tick()
    assert receiving.queue.job(1).state == JobState.RECEIVING
    supervisor.opened = receiving
    is_quiet_only_after_its_time(supervisor, receiving.queue, clock)


def test_a_study_when_the_database_was_away_then_it_is_not_complete_for_that(
    settings: ServeSettings, receiving: Opened, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(settings, (), receiving)
    supervisor.start()

    def away(*_: object) -> int:
        raise OperationalError(None, None, Exception())

    clock.go_on(2 * QUIET_S)
    with monkeypatch.context() as patched:
        patched.setattr(receiving.queue, "complete_quiet", away)
        supervisor.tick()
    is_quiet_only_after_its_time(supervisor, receiving.queue, clock)


def test_a_study_when_the_receivers_died_then_it_is_not_complete_for_that(
    settings: ServeSettings, receiving: Opened, clock: Clock
) -> None:
    now = [0.0]
    part = Part("receivers", run_nothing, takes_in=True)
    supervisor = Supervisor(settings, (part,), receiving, monotonic=lambda: now[0])
    supervisor.start()
    try:
        for pause_s in (0.0, 1.0):
            clock.go_on(2 * QUIET_S)
            supervisor._running[0].process.join(_HANGING_S)
            supervisor.tick()
            now[0] += pause_s / 2
            clock.go_on(QUIET_S - 1)
            if pause_s:
                clock.go_on(1)
                supervisor.tick()  # (they are still to be started again)
                assert supervisor.pids() == {"receivers": None}
            assert receiving.queue.job(1).state == JobState.RECEIVING
    finally:
        supervisor.stop()


def test_a_study_when_the_receivers_take_long_to_start_then_it_is_not_complete_for_that(
    settings: ServeSettings, receiving: Opened, clock: Clock
) -> None:
    supervisor = Supervisor(settings, (Part("receivers", run_late, takes_in=True),), receiving)
    supervisor.start()
    try:
        for _ in range(3):
            clock.go_on(QUIET_S)
            supervisor.tick()
            assert receiving.queue.job(1).state == JobState.RECEIVING
        (settings.store / "go").touch()
        until(lambda: supervisor._running[0].is_ready)
        is_quiet_only_after_its_time(supervisor, receiving.queue, clock)
    finally:
        supervisor.stop()


def test_parts_when_workers_are_asked_for_then_there_are_so_many() -> None:
    parts = parts_of(ServeSettings(grading=GradingSettings(workers=3)))
    assert [part.name for part in parts] == ["receivers", "worker-1", "worker-2", "worker-3", "sender"]
    deaf = parts_of(ServeSettings(dicom=None, http=None))
    assert [part.name for part in deaf] == ["worker-1", "sender"]


@pytest.mark.slow
def test_a_study_when_it_comes_to_a_service_that_is_killed_and_started_again_then_it_is_graded(
    settings: ServeSettings, phantom_study: Path, tmp_path: Path
) -> None:
    config = tmp_path / "serve.toml"
    text = f'store = "{settings.store}"\nfree_mb = 0\n[study]\nquiet_s = 0\n[grading]\nbackoff_s = 0\n'
    text += "[dicom]\nport = 0\n[http]\nport = 0\n"
    config.write_text(text, encoding="utf-8")
    opened = opened_with(settings)
    for path in sorted(phantom_study.rglob("*.dcm")):
        assert isinstance(opened.intake.accept(path.read_bytes(), via="watch", sender="test"), Accepted)
    words = [sys.executable, "-m", "stenograde", "serve", "--config", str(config)]
    with (tmp_path / "log").open("ab") as log:
        service = subprocess.Popen(words, stderr=log, stdout=log)
        until(lambda: opened.queue.job(1).state == JobState.GRADING or service.poll() is not None)
        service.kill()
        service.wait()
        # its workers end with it; what they were at is taken from them when their lease has ended
        (job,) = opened.queue.listed(JobState.GRADING)
        assert opened.queue.release_worker(str(job.worker), "the service was killed") == 1
        service = subprocess.Popen(words, stderr=log, stdout=log)
        until(lambda: opened.queue.job(1).state == JobState.DONE or service.poll() is not None)
        service.send_signal(signal.SIGTERM)
        assert service.wait(_HANGING_S) == 0, (tmp_path / "log").read_text()
    folder = opened.store.results(job.study_uid, 1)
    assert json.loads((folder / "grades.json").read_text())["study_uid"] == job.study_uid
    assert (folder / "report.html").is_file()
    opened.database.close()
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert {"service started", "part started", "grading", "graded", "service stopped"} <= set(events)
    assert list((settings.store / "incoming").iterdir()) == []
