"""When a study is complete: after a quiet time, and sooner when the series that are expected are there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, false, func, or_, select

from stenograde.pacs.settings import StudySettings
from stenograde.pacs.states import JobState
from stenograde.pacs.tables import instances, jobs

LEAST_SLICES: Final = 3
"""Fewest slices of a series that has a role, as ``MIN_SLICES`` of :mod:`stenograde.dicom.read.acquisitions`."""


def is_complete(study: StudySettings, now: datetime) -> ColumnElement[bool]:
    """Return what is so of the row of a job whose study was incomplete and is complete now."""

    def came_before(seconds: float) -> ColumnElement[bool]:
        return jobs.c.touched_at <= now - timedelta(seconds=seconds)

    is_long_ago = jobs.c.created_at <= now - timedelta(seconds=study.longest_s)
    is_there = (
        and_(came_before(study.expected_quiet_s), *_is_there(study))
        if study.expected_series or study.expected_roles
        else false()
    )
    is_receiving = jobs.c.state == JobState.RECEIVING.value
    return and_(is_receiving, or_(came_before(study.quiet_s), is_long_ago, is_there))


def _is_there(study: StudySettings) -> Iterator[ColumnElement[bool]]:
    """Give what is so when the expected series of a job's study are there."""
    of_study = and_(instances.c.study_uid == jobs.c.study_uid, instances.c.is_mr)
    n_series = select(func.count(instances.c.series_uid.distinct())).where(of_study)
    yield n_series.scalar_subquery() >= study.expected_series
    for role in study.expected_roles:
        # (a localizer has slices of several planes, or few)
        of_role = (
            select(instances.c.series_uid)
            .where(of_study)
            .group_by(instances.c.series_uid)
            .having(
                func.count() == func.sum(case((instances.c.role == role.value, 1), else_=0)),
                func.sum(instances.c.n_slices) >= LEAST_SLICES,
            )
        )
        yield of_role.exists()
