"""The first tables: instances, jobs, deliveries, audit."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _tried() -> list[sa.Column[Any]]:
    return [
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("worker", sa.String(64)),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    ]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "instances",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("sop_uid", sa.String(64), nullable=False),
        sa.Column("sop_class", sa.String(64), nullable=False),
        sa.Column("is_mr", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("n_bytes", sa.BigInteger, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("via", sa.String(16), nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
    )
    op.create_index("instances_of_study", "instances", ["study_uid", "version"])
    op.create_index("instances_by_sop_uid", "instances", ["sop_uid"])
    op.create_table(
        "jobs",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("touched_at", sa.BigInteger, nullable=False),
        *_tried(),
        sa.UniqueConstraint("study_uid", "version", name="jobs_one_per_version"),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "not_before"])
    op.create_index(
        "jobs_one_worker_per_study",
        "jobs",
        ["study_uid"],
        unique=True,
        sqlite_where=sa.text("state = 'grading'"),
        postgresql_where=sa.text("state = 'grading'"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("job_id", _KEY, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("destination", sa.String(40), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger),
        *_tried(),
        sa.UniqueConstraint("job_id", "destination", name="deliveries_one_per_destination"),
    )
    op.create_index("deliveries_by_state", "deliveries", ["state", "not_before"])
    op.create_table(
        "audit",
        sa.Column("id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
