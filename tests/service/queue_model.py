"""What the queue should do, in plain Python and memory: the truth that the queue of a database is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

ATTEMPTS, BACKOFF_S, LEASE_S, QUIET_S, LONGEST_S = 3, 40, 100, 60, 300
SEND_BACKOFF_S, SEND_LEASE_S = 30, 70


def wait(first_s: float, attempts: int) -> timedelta:
    return timedelta(seconds=min(first_s * 2 ** (attempts - 1), 3600))


@dataclass
class Tried:
    """What is tried under a lease."""

    id: int
    state: str
    attempts: int
    not_before: datetime
    lease_until: datetime | None = None
    worker: str | None = None
    reason: str = ""

    def is_held(self, worker: str | None, attempts: int) -> bool:
        return self.state in {"grading", "sending"} and (self.worker, self.attempts) == (worker, attempts)

    def take(self, worker: str, now: datetime, lease_s: float, state: str) -> None:
        self.state, self.worker = state, worker
        self.attempts += 1
        self.lease_until = now + timedelta(seconds=lease_s)

    def become(self, state: str, **changes: object) -> None:
        self.state, self.lease_until, self.worker = state, None, None
        for name, value in changes.items():
            setattr(self, name, value)


@dataclass
class ModelDelivery(Tried):
    destination: str = ""


@dataclass
class ModelJob(Tried):
    study: str = ""
    version: int = 0
    touched: datetime = datetime.min
    created: datetime = datetime.min
    deliveries: dict[str, ModelDelivery] = field(default_factory=dict)


class Model:
    """Jobs and deliveries; a method that refuses returns False and changes nothing."""

    def __init__(self) -> None:
        self.jobs: list[ModelJob] = []
        self.n_deliveries = 0

    def newest(self, study: str) -> ModelJob | None:
        return next((job for job in reversed(self.jobs) if job.study == study), None)

    def touch(self, study: str, now: datetime) -> int:
        job = self.newest(study)
        if job is None or job.state != "receiving":
            version = job.version + 1 if job else 1
            job = ModelJob(len(self.jobs) + 1, "receiving", 0, now, study=study, version=version, created=now)
            self.jobs.append(job)
        job.touched = now
        return job.version

    def complete(self, study: str, now: datetime) -> bool:
        job = self.newest(study)
        if job is None or job.state != "receiving":
            return False
        job.become("ready", not_before=now)
        return True

    def complete_quiet(self, now: datetime) -> int:
        due = [
            job
            for job in self.jobs
            if job.state == "receiving"
            and (
                job.touched + timedelta(seconds=QUIET_S) <= now
                or job.created + timedelta(seconds=LONGEST_S) <= now
            )
        ]
        for job in due:
            job.become("ready", not_before=now)
        return len(due)

    def claim(self, worker: str, now: datetime) -> ModelJob | None:
        def is_due(job: ModelJob) -> bool:
            others = [other for other in self.jobs if other.study == job.study and other is not job]
            return (
                job.state == "ready"
                and job.not_before <= now
                and not any(other.state == "grading" for other in others)
                and not any(other.state == "ready" and other.version < job.version for other in others)
            )

        due = sorted(filter(is_due, self.jobs), key=lambda job: (job.not_before, job.id))
        if not due:
            return None
        due[0].take(worker, now, LEASE_S, "grading")
        due[0].reason = ""
        return due[0]

    def graded(self, job: ModelJob, destinations: list[str], now: datetime, reason: str) -> None:
        job.become("graded", reason=reason)
        for name in destinations:
            if name not in job.deliveries:
                self.n_deliveries += 1
                job.deliveries[name] = ModelDelivery(self.n_deliveries, "waiting", 0, now, destination=name)
            elif job.deliveries[name].state != "delivered":
                job.deliveries[name].become("waiting", attempts=0, not_before=now, reason="")
        self.done_if_nothing_is_open(job)

    def done_if_nothing_is_open(self, job: ModelJob) -> None:
        if all(one.state in {"delivered", "cancelled"} for one in job.deliveries.values()):
            job.become("done")

    def end_attempt(self, job: ModelJob, now: datetime, reason: str, *, again: bool) -> None:
        if again and job.attempts < ATTEMPTS:
            job.become("ready", not_before=now + wait(BACKOFF_S, job.attempts), reason=reason)
        else:
            job.become("failed", reason=reason)

    def give_back(self, job: ModelJob, now: datetime, reason: str) -> None:
        job.become("ready", attempts=job.attempts - 1, not_before=now, reason=reason)

    def retry(self, job: ModelJob, now: datetime) -> bool:
        if job.state in {"failed", "cancelled"}:
            job.become("ready", attempts=0, not_before=now, reason="")
            return True
        dead = [one for one in job.deliveries.values() if one.state == "failed"]
        if job.state != "graded" or not dead:
            return False
        for one in dead:
            one.become("waiting", attempts=0, not_before=now, reason="")
        return True

    def cancel(self, job: ModelJob, reason: str) -> bool:
        if job.state in {"done", "cancelled"}:
            return False
        job.become("cancelled", reason=reason)
        for one in job.deliveries.values():
            if one.state != "delivered":
                one.become("cancelled")
        return True

    def claim_delivery(
        self, worker: str, names: list[str], now: datetime
    ) -> tuple[ModelJob, ModelDelivery] | None:
        def is_behind(job: ModelJob, name: str) -> bool:
            return any(
                other.study == job.study
                and other.version < job.version
                and name in other.deliveries
                and other.deliveries[name].state in {"waiting", "sending"}
                for other in self.jobs
            )

        due = [
            (job, one)
            for job in self.jobs
            for one in job.deliveries.values()
            if one.destination in names
            and one.state == "waiting"
            and one.not_before <= now
            and not is_behind(job, one.destination)
        ]
        if not due:
            return None
        first = min(due, key=lambda pair: (pair[1].not_before, pair[1].id))
        first[1].take(worker, now, SEND_LEASE_S, "sending")
        return first

    def delivered(self, job: ModelJob, one: ModelDelivery) -> None:
        one.become("delivered", reason="")
        self.done_if_nothing_is_open(job)

    def end_sending(self, one: ModelDelivery, now: datetime, reason: str, *, again: bool) -> None:
        if again:
            one.become("waiting", not_before=now + wait(SEND_BACKOFF_S, one.attempts), reason=reason)
        else:
            one.become("failed", reason=reason)
