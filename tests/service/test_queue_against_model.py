"""The queue does, step by step and whatever is asked of it in whatever order, what a plain model does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.databases import Server
from tests.service.conftest import Clock
from tests.service.queue_model import (
    ATTEMPTS,
    BACKOFF_S,
    LEASE_S,
    LONGEST_S,
    QUIET_S,
    SEND_BACKOFF_S,
    SEND_LEASE_S,
    Model,
    ModelDelivery,
    ModelJob,
)

from stenograde.errors import JobError
from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.deliveries import Deliveries, Delivery
from stenograde.pacs.jobs import Job
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import GradingSettings, SendSettings, StudySettings
from stenograde.pacs.states import DeliveryState, JobState
from stenograde.pacs.tables import metadata

STUDIES = st.sampled_from(["1.2.1", "1.2.2"])
WORKERS = st.sampled_from(["first", "second"])
PLACES = ["archive", "viewer"]
DESTINATIONS = st.lists(st.sampled_from(PLACES), unique=True)
REASONS = st.sampled_from(["the decoder crashed", "memory was short"])
NUMBERS = st.integers(0, 2)
"""From the newest back."""
MakeDatabase = Callable[[], Any]


class QueueBesideModel(RuleBasedStateMachine):
    """Asks the same of both, and compares everything that they hold after each step."""

    make: MakeDatabase
    seen: set[str]

    @initialize()
    def start(self) -> None:
        self.opened = self.make()
        self.database: Database = self.opened.__enter__()
        self.clock = Clock()
        self.queue = Queue(
            self.database,
            StudySettings(quiet_s=QUIET_S, longest_s=LONGEST_S),
            GradingSettings(attempts=ATTEMPTS, backoff_s=BACKOFF_S, lease_s=LEASE_S),
            clock=self.clock,
        )
        sending = SendSettings(lease_s=SEND_LEASE_S, backoff_s=SEND_BACKOFF_S)
        self.deliveries = Deliveries(self.database, sending, clock=self.clock)
        self.model = Model()
        self.claims: list[tuple[Job, ModelJob]] = []
        self.sendings: list[tuple[Delivery, ModelJob, ModelDelivery]] = []

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            try:
                assert audit_log.verify(self.database).broken is None
            finally:
                self.opened.__exit__(None, None, None)

    @rule(seconds=st.sampled_from([1, 29, 30, 40, 59, 60, 71, 101, 300, 3601]))
    def time_passes(self, seconds: int) -> None:
        self.clock.go_on(seconds)

    @rule(study=STUDIES)
    def an_image_comes(self, study: str) -> None:
        with self.database.writing() as connection:
            version = self.queue.touch(connection, study)
        assert version == self.model.touch(study, self.clock())

    @rule(study=STUDIES, which=NUMBERS)
    def a_version_is_sent_whole(self, study: str, which: int) -> None:
        for _ in range(which):
            self.an_image_comes(study)
            self.it_is_told_complete(study)

    @rule(worker=WORKERS, reason=REASONS, seconds=st.sampled_from([1, 40, 80]))
    def a_worker_claims_and_fails(self, worker: str, reason: str, seconds: int) -> None:
        n_claims = len(self.claims)
        self.a_worker_claims(worker)
        if len(self.claims) > n_claims:
            self.a_worker_has_failed(0, again=True, reason=reason)
            self.time_passes(seconds)

    @rule(study=STUDIES, worker=WORKERS, destinations=DESTINATIONS)
    def a_version_is_graded(self, study: str, worker: str, destinations: list[str]) -> None:
        n_claims = len(self.claims)
        self.a_version_is_sent_whole(study, 1)
        self.a_worker_claims(worker)
        if len(self.claims) > n_claims:
            self.a_worker_has_graded(0, destinations, "")

    @rule(worker=WORKERS, names=DESTINATIONS, again=st.booleans(), is_taken=st.booleans())
    def a_result_is_sent(self, worker: str, names: list[str], *, again: bool, is_taken: bool) -> None:
        n_sendings = len(self.sendings)
        self.a_sender_claims(worker, names)
        if len(self.sendings) > n_sendings and is_taken:
            self.a_destination_acknowledges(0)
        elif len(self.sendings) > n_sendings:
            self.a_destination_fails(0, again, "the peer was away")

    @rule(study=STUDIES, next_worker=WORKERS)
    def a_worker_that_was_given_up_comes_back(self, study: str, next_worker: str) -> None:
        n_claims = len(self.claims)
        self.a_version_is_sent_whole(study, 1)
        self.a_worker_claims("first")
        if len(self.claims) > n_claims:
            self.time_passes(LEASE_S + 1)
            self.leases_expire()
            self.time_passes(300)
            self.a_worker_claims(next_worker)
            self.a_worker_has_graded(1, PLACES, "")

    @rule(study=STUDIES, names=DESTINATIONS, next_worker=WORKERS)
    def a_sender_that_was_given_up_comes_back(self, study: str, names: list[str], next_worker: str) -> None:
        self.a_version_is_graded(study, "first", names)
        n_sendings = len(self.sendings)
        self.a_sender_claims("first", names)
        if len(self.sendings) > n_sendings:
            self.time_passes(SEND_LEASE_S + 1)
            self.leases_expire()
            self.time_passes(300)
            self.a_sender_claims(next_worker, names)
            self.a_destination_acknowledges(1)

    @rule(study=STUDIES)
    def it_is_told_complete(self, study: str) -> None:
        _same(lambda: self.queue.complete(study), self.model.complete(study, self.clock()))

    @rule()
    def quiet_studies_are_complete(self) -> None:
        assert self.queue.complete_quiet() == self.model.complete_quiet(self.clock())

    @rule(worker=WORKERS)
    def a_worker_claims(self, worker: str) -> None:
        got, expected = self.queue.claim(worker), self.model.claim(worker, self.clock())
        assert (got and got.id) == (expected and expected.id)
        if got and expected:
            assert got.state == "grading"
            self.claims.append((got, expected))

    @precondition(lambda self: self.claims)
    @rule(which=NUMBERS, destinations=DESTINATIONS, reason=st.just("") | REASONS)
    def a_worker_has_graded(self, which: int, destinations: list[str], reason: str) -> None:
        job, expected = self._claimed(which)
        held = expected.is_held(job.worker, job.attempts)
        if held:
            self.model.graded(expected, destinations, self.clock(), reason)
        _same(lambda: self.queue.graded(job, destinations, reason=reason), held)

    @precondition(lambda self: self.claims)
    @rule(which=NUMBERS, again=st.booleans(), reason=REASONS)
    def a_worker_has_failed(self, which: int, again: bool, reason: str) -> None:
        job, expected = self._claimed(which)
        held = expected.is_held(job.worker, job.attempts)
        if held:
            self.model.end_attempt(expected, self.clock(), reason, again=again)
        _same(lambda: self.queue.failed(job, reason, again=again), held)

    @precondition(lambda self: self.claims)
    @rule(which=NUMBERS)
    def a_worker_renews(self, which: int) -> None:
        job, expected = self._claimed(which)
        held = expected.is_held(job.worker, job.attempts)
        _same(lambda: self.queue.renew(job), held)
        if held:
            expected.lease_until = self.queue.job(job.id).lease_until
            assert (expected.lease_until - self.clock()).total_seconds() == LEASE_S

    @rule()
    def leases_expire(self) -> None:
        now = self.clock()
        jobs = [job for job in self.model.jobs if job.state == "grading" and job.lease_until < now]
        for job in jobs:
            self.model.end_attempt(job, now, "the worker was not heard of within its lease", again=True)
        assert self.queue.release_expired() == len(jobs)
        sent = [
            one
            for job in self.model.jobs
            for one in job.deliveries.values()
            if one.state == "sending" and one.lease_until < now
        ]
        for one in sent:
            self.model.end_sending(one, now, "the sender was not heard of within its lease", again=True)
        assert self.deliveries.release_expired() == len(sent)

    @rule(worker=WORKERS, is_counted=st.booleans())
    def a_worker_is_gone(self, worker: str, is_counted: bool) -> None:
        jobs = [job for job in self.model.jobs if job.state == "grading" and job.worker == worker]
        for job in jobs:
            if is_counted:
                self.model.end_attempt(job, self.clock(), "gone", again=True)
            else:
                self.model.give_back(job, self.clock(), "gone")
        assert self.queue.release_worker(worker, "gone", is_counted=is_counted) == len(jobs)
        sent = [
            one
            for job in self.model.jobs
            for one in job.deliveries.values()
            if (one.state, one.worker) == ("sending", worker)
        ]
        for one in sent:
            self.model.end_sending(one, self.clock(), "gone", again=True)
        assert self.deliveries.release_worker(worker, "gone") == len(sent)

    @precondition(lambda self: self.model.jobs)
    @rule(which=NUMBERS)
    def a_person_retries(self, which: int) -> None:
        job = self.model.jobs[-1 - which % len(self.model.jobs)]
        _same(lambda: self.queue.retry(job.id, actor="somebody"), self.model.retry(job, self.clock()))

    @precondition(lambda self: self.model.jobs)
    @rule(which=NUMBERS)
    def a_person_cancels(self, which: int) -> None:
        job = self.model.jobs[-1 - which % len(self.model.jobs)]
        _same(
            lambda: self.queue.cancel(job.id, actor="somebody", reason="why"), self.model.cancel(job, "why")
        )

    @rule(worker=WORKERS, names=DESTINATIONS)
    def a_sender_claims(self, worker: str, names: list[str]) -> None:
        got = self.deliveries.claim(worker, names)
        expected = self.model.claim_delivery(worker, names, self.clock())
        assert (got and got.id) == (expected and expected[1].id)
        if got and expected:
            assert (got.study_uid, got.version, got.job_id) == (
                expected[0].study,
                expected[0].version,
                expected[0].id,
            )
            self.sendings.append((got, *expected))

    @precondition(lambda self: self.sendings)
    @rule(which=NUMBERS)
    def a_destination_acknowledges(self, which: int) -> None:
        delivery, job, expected = self.sendings[-1 - which % len(self.sendings)]
        held = expected.is_held(delivery.worker, delivery.attempts)
        if held:
            self.model.delivered(job, expected)
        _same(lambda: self.deliveries.delivered(delivery, objects=4), held)

    @precondition(lambda self: self.sendings)
    @rule(which=NUMBERS, again=st.booleans(), reason=REASONS)
    def a_destination_fails(self, which: int, again: bool, reason: str) -> None:
        delivery, _, expected = self.sendings[-1 - which % len(self.sendings)]
        held = expected.is_held(delivery.worker, delivery.attempts)
        if held:
            self.model.end_sending(expected, self.clock(), reason, again=again)
        _same(lambda: self.deliveries.failed(delivery, reason, again=again), held)

    @invariant()
    def they_hold_the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        listed = {job.id: job for job in self.queue.listed()}
        grading = [job.study_uid for job in listed.values() if job.state == "grading"]
        assert len(grading) == len(set(grading))  # never two workers on one study
        assert len(listed) == len(self.model.jobs)
        for job in self.model.jobs:
            got = listed[job.id]
            assert (got.study_uid, got.version, got.touched_at, got.created_at) == (
                job.study,
                job.version,
                job.touched,
                job.created,
            )
            _same_row(got, job)
            self.seen.add(f"job {got.state}")
        sent = {one.id: one for one in self.deliveries.listed()}
        expected = [one for job in self.model.jobs for one in job.deliveries.values()]
        assert len(sent) == len(expected)
        for one in expected:
            assert sent[one.id].destination == one.destination
            assert (sent[one.id].acknowledged_at is not None) == (one.state == "delivered")
            _same_row(sent[one.id], one)
            self.seen.add(f"delivery {one.state}")

    def _claimed(self, which: int) -> tuple[Job, ModelJob]:
        return self.claims[-1 - which % len(self.claims)]


def _same(ask: Callable[[], object], is_allowed: bool) -> None:
    """Ask the queue for what the model has allowed or refused."""
    if is_allowed:
        ask()
    else:
        with pytest.raises(JobError):
            ask()


def _same_row(got: Job | Delivery, expected: ModelJob | ModelDelivery) -> None:
    columns = ("state", "attempts", "not_before", "lease_until", "worker", "reason")
    assert {name: getattr(got, name) for name in columns} == {
        name: getattr(expected, name) for name in columns
    }


@contextmanager
def _sqlite() -> Iterator[Database]:
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:  # (nothing crashes here)
        database = Database(f"sqlite:///{Path(folder) / 'test.sqlite'}")
        with database.writing() as connection:
            metadata.create_all(connection)
        yield database
        database.close()


def _machine(make: MakeDatabase) -> QueueBesideModel:
    kind = type("Machine", (QueueBesideModel,), {"make": staticmethod(make), "seen": set()})
    return kind()


def _run(make: MakeDatabase, examples: int) -> set[str]:
    """Run both, and return every state that was met on the way."""
    seen: set[str] = set()
    machine = type("Machine", (QueueBesideModel,), {"make": staticmethod(make), "seen": seen})
    few = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=few)
    return seen


def test_a_queue_when_it_is_compared_then_every_state_is_among_what_is_compared() -> None:
    machine = _machine(_sqlite)
    machine.start()
    try:
        for study, names, again, is_taken in (
            ("1.2.1", PLACES[:1], True, True),  # done
            ("1.2.1", PLACES, False, False),  # a delivery fails
            ("1.2.2", PLACES, True, False),  # deliveries wait
        ):
            machine.a_version_is_graded(study, "first", names)
            machine.they_hold_the_same()
            machine.a_sender_claims("second", names)
            machine.they_hold_the_same()
            if is_taken:
                machine.a_destination_acknowledges(0)
            else:
                machine.a_destination_fails(0, again, "the peer was away")
            machine.they_hold_the_same()
        machine.a_person_cancels(0)
        machine.an_image_comes("1.2.2")
        machine.they_hold_the_same()
        machine.it_is_told_complete("1.2.2")
        machine.they_hold_the_same()
        machine.a_worker_claims("first")
        machine.they_hold_the_same()
        machine.a_worker_has_failed(0, False, "memory was short")
        machine.they_hold_the_same()
    finally:
        machine.teardown()
    assert machine.seen == {
        *(f"job {state}" for state in JobState),
        *(f"delivery {state}" for state in DeliveryState),
    }


@pytest.mark.parametrize("next_worker", ["first", "second"])
def test_a_queue_when_it_is_compared_then_who_was_given_up_is_refused(next_worker: str) -> None:
    for come_back in (
        lambda machine: machine.a_worker_that_was_given_up_comes_back("1.2.1", next_worker),
        lambda machine: machine.a_sender_that_was_given_up_comes_back("1.2.1", PLACES[:1], next_worker),
    ):
        machine = _machine(_sqlite)
        machine.start()
        try:
            come_back(machine)
            machine.they_hold_the_same()
        finally:
            machine.teardown()
        assert machine.seen & {"job grading", "delivery sending"}


def test_a_queue_of_sqlite_when_anything_is_asked_of_it_then_it_does_what_the_model_does() -> None:
    assert _run(_sqlite, 40) >= {"job ready", "job grading"}


def test_a_queue_of_postgresql_when_anything_is_asked_of_it_then_it_does_what_the_model_does(
    server: Server,
) -> None:
    url = server.new_url()
    database = Database(url)
    with database.writing() as connection:
        metadata.create_all(connection)

    @contextmanager
    def emptied() -> Iterator[Database]:
        with database.writing() as connection:
            connection.exec_driver_sql("TRUNCATE instances, jobs, deliveries, audit RESTART IDENTITY CASCADE")
        yield database

    try:
        assert _run(emptied, 15) >= {"job ready", "job grading"}
    finally:
        database.close()
