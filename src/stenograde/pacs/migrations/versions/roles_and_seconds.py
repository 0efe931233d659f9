"""What instances serve for, and how long gradings take."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AT_MOST_S = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 2**31 - 1)


def upgrade() -> None:
    """Add the columns, and make the table with its rows."""
    with op.batch_alter_table("instances") as changed:
        changed.add_column(sa.Column("role", sa.String(32)))
        changed.add_column(sa.Column("n_slices", sa.Integer))
    made = op.create_table(
        "grading_seconds",
        sa.Column("at_most_s", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("total_s", sa.Float, nullable=False),
    )
    op.bulk_insert(made, [{"at_most_s": one, "n": 0, "total_s": 0.0} for one in _AT_MOST_S])
