"""The tables of the service; every change of them needs a migration beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Key: Final = BigInteger().with_variant(Integer, "sqlite")
"""Of rows: SQLite numbers a row by itself only where the type is INTEGER."""


class Moment(TypeDecorator[datetime]):
    """A time with its zone, stored as microseconds since 1970 in UTC: exact, and in order, in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return what is stored."""
        del dialect
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time of what is stored."""
        del dialect
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata: Final = MetaData()

instances: Final = Table(
    "instances",
    metadata,
    Column("id", Key, primary_key=True),
    Column("study_uid", String(64), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("sop_uid", String(64), nullable=False),
    Column("sop_class", String(64), nullable=False),
    # whether it is of a class that holds MR slices; others are kept, but no job is opened for them
    Column("is_mr", Boolean, nullable=False),
    # first version of the study that holds it; a later row of the same sop_uid takes its place from there on
    Column("version", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    # how it came (dicom, http, watch), and who sent it (an AE title, an address)
    Column("via", String(16), nullable=False),
    Column("sender", Text, nullable=False),
    # what it serves for, where its header tells; and how many slices it holds
    Column("role", String(32)),
    Column("n_slices", Integer),
    Index("instances_of_study", "study_uid", "version"),
    Index("instances_by_sop_uid", "sop_uid"),
)
"""What was received and is kept; a row is never changed."""


def _tried() -> list[Column[Any]]:
    """Return the columns of what is tried under a lease until it is done."""
    return [
        Column("state", String(16), nullable=False),
        Column("reason", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("not_before", Moment, nullable=False),
        Column("lease_until", Moment),
        Column("worker", String(64)),
        Column("changed_at", Moment, nullable=False),
    ]


jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Key, primary_key=True),
    Column("study_uid", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    # when the last image came
    Column("touched_at", Moment, nullable=False),
    *_tried(),
    UniqueConstraint("study_uid", "version", name="jobs_one_per_version"),
    Index("jobs_by_state", "state", "not_before"),
    # never two workers on one study, whatever else fails
    Index(
        "jobs_one_worker_per_study",
        "study_uid",
        unique=True,
        sqlite_where=text("state = 'grading'"),
        postgresql_where=text("state = 'grading'"),
    ),
)
"""One row for each study and version; see :mod:`stenograde.pacs.states` for what they go through."""

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("job_id", Key, ForeignKey("jobs.id"), nullable=False),
    Column("destination", String(40), nullable=False),
    Column("acknowledged_at", Moment),
    *_tried(),
    UniqueConstraint("job_id", "destination", name="deliveries_one_per_destination"),
    Index("deliveries_by_state", "state", "not_before"),
)
"""One row for each job that was graded and each destination of its results."""

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("event", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
"""Who sent, what was graded, where it went; each line holds the hash of the one before it."""

sent: Final = Table(
    "sent",
    metadata,
    Column("id", Key, primary_key=True),
    Column("delivery_id", Key, ForeignKey("deliveries.id"), nullable=False),
    Column("sop_uid", String(64), nullable=False),
    # of the file that was sent: another content of the same object is sent anew
    Column("sha256", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    # how often it was refused for what it is
    Column("refusals", Integer, nullable=False),
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("delivery_id", "sop_uid", name="sent_once_per_delivery"),
)
"""One row for each object of a delivery that its destination has answered to."""

grading_seconds: Final = Table(
    "grading_seconds",
    metadata,
    Column("at_most_s", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
    Column("total_s", Float, nullable=False),
)
"""How long gradings took since the tables were made: a row for each length, which holds what was longer than the row
before; a migration makes the rows."""

commitments: Final = Table(
    "commitments",
    metadata,
    Column("id", Key, primary_key=True),
    Column("transaction_uid", String(64), nullable=False, unique=True),
    Column("delivery_id", Key, ForeignKey("deliveries.id"), nullable=False),
    Column("asked_at", Moment, nullable=False),
    Index("commitments_of_delivery", "delivery_id"),
)
"""One row for each time that storage commitment was asked for."""
