"""A job as it stands: what the queue gives and takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping

from stenograde.pacs.states import JobState


@dataclass(frozen=True)
class Job:
    """A version of a study and where it stands; see :class:`~stenograde.pacs.states.JobState`."""

    id: int
    study_uid: str
    version: int
    state: JobState
    reason: str
    """Why it failed, was cancelled, waits for another attempt or could not be graded; empty where there is none."""
    attempts: int
    not_before: datetime
    lease_until: datetime | None
    worker: str | None
    created_at: datetime
    touched_at: datetime
    """When the last image came."""
    changed_at: datetime


def job_of(row: RowMapping) -> Job:
    """Return the job of a row."""
    return Job(**(dict(row) | {"state": JobState(row["state"])}))
