"""What was sent to whom, object by object, and what storage commitment was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sent",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("delivery_id", _KEY, sa.ForeignKey("deliveries.id"), nullable=False),
        sa.Column("sop_uid", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("delivery_id", "sop_uid", name="sent_once_per_delivery"),
    )
    op.create_table(
        "commitments",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("transaction_uid", sa.String(64), nullable=False, unique=True),
        sa.Column("delivery_id", _KEY, sa.ForeignKey("deliveries.id"), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Index("commitments_of_delivery", "delivery_id"),
    )
