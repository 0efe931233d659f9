"""How long gradings took: counted by length in the database, for workers are processes that come and go."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, func, select, update

from stenograde.pacs.tables import grading_seconds


def count_grading(connection: Connection, took: timedelta) -> None:
    """Count a grading, within the transaction that tells of its end."""
    seconds = max(took.total_seconds(), 0.0)
    fits = select(func.min(grading_seconds.c.at_most_s)).where(grading_seconds.c.at_most_s >= seconds)
    of_length = grading_seconds.c.at_most_s == fits.scalar_subquery()
    longer = {"n": grading_seconds.c.n + 1, "total_s": grading_seconds.c.total_s + seconds}
    connection.execute(update(grading_seconds).where(of_length).values(longer))


def counted_gradings(connection: Connection) -> tuple[list[tuple[str, float]], float]:
    """Return how many gradings took at most so many seconds, as Prometheus has it, and the seconds of all."""
    rows = connection.execute(select(grading_seconds).order_by(grading_seconds.c.at_most_s)).all()
    n, buckets = 0, []
    for row in rows:
        n += row.n
        buckets.append((f"{float(row.at_most_s)}", float(n)))
    return [*buckets[:-1], ("+Inf", float(n))], sum(row.total_s for row in rows)
