"""The audit log: a chain that breaks wherever a line is changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update
from tests.service.conftest import Clock

from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.tables import audit

LINES = 5


@pytest.fixture
def log(database: Database, clock: Clock) -> Database:
    """A log of five lines."""
    for number in range(1, LINES + 1):
        clock.go_on(1)
        with database.writing() as connection:
            audit_log.append(
                connection, "received", at=clock(), actor="MR1", study_uid=f"1.2.{number}", sop_uid="1.2.3"
            )
    return database


def test_a_log_when_as_written_then_all_its_lines_are_sound(log: Database) -> None:
    found = audit_log.verify(log)
    with log.reading() as connection:
        last = connection.execute(select(audit.c.hash).order_by(audit.c.id.desc())).scalars().first()
    assert (found.lines, found.last_hash, found.broken) == (LINES, last, None)


def test_a_log_when_empty_then_it_is_sound(database: Database) -> None:
    assert audit_log.verify(database) == audit_log.Verified(0, audit_log.FIRST)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("event", "graded"),
        ("actor", "MR2"),
        ("study_uid", "1.2.4"),
        ("detail", '{"sop_uid":"1.2.4"}'),
        ("previous_hash", "f" * 64),
        ("hash", "f" * 64),
        ("id", 99),
        ("at", None),
    ],
)
def test_a_log_when_a_column_of_a_line_is_changed_then_it_breaks_there(
    log: Database, clock: Clock, column: str, value: Any
) -> None:
    value = clock() + timedelta(microseconds=1) if column == "at" else value
    with log.writing() as connection:
        connection.execute(update(audit).where(audit.c.id == 3).values({column: value}))
    # (a line that has gone elsewhere is missed where it was)
    assert audit_log.verify(log).broken == (4 if column == "id" else 3)


def test_a_log_when_a_line_is_taken_out_or_rewritten_with_its_hash_then_it_breaks_after_it(
    log: Database,
) -> None:
    with log.writing() as connection:
        line = dict(connection.execute(select(audit).where(audit.c.id == 3)).mappings().one())
        line |= {"actor": "MR2"}
        forged = line | {"hash": audit_log._hash(line)}
        connection.execute(update(audit).where(audit.c.id == 3).values(forged))
    assert audit_log.verify(log).broken == 4
    with log.writing() as connection:
        connection.execute(delete(audit).where(audit.c.id == 3))
    assert audit_log.verify(log).broken == 4
    with log.writing() as connection:
        connection.execute(delete(audit).where(audit.c.id == 1))
    assert audit_log.verify(log).broken == 2


def test_a_log_when_a_line_is_put_before_the_first_then_it_breaks_there(log: Database) -> None:
    with log.writing() as connection:
        line = dict(connection.execute(select(audit).where(audit.c.id == 1)).mappings().one()) | {"id": 0}
        connection.execute(insert(audit).values(line | {"hash": audit_log._hash(line)}))
    assert audit_log.verify(log).broken == 0


def test_a_line_when_its_transaction_fails_then_it_was_never_written(log: Database, clock: Clock) -> None:
    def written_and_failed() -> None:
        with log.writing() as connection:
            audit_log.append(connection, "received", at=clock(), actor="MR1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        written_and_failed()
    with log.reading() as connection:
        assert connection.execute(select(func.count()).select_from(audit)).scalar() == LINES
    assert audit_log.verify(log).broken is None
