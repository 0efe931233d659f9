"""The database: migrations, what it refuses, who waits for whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from stenograde.errors import ConfigError
from stenograde.pacs.database import Database, _alembic, check_migrated, migrate
from stenograde.pacs.tables import instances, metadata


def test_tables_when_migrated_from_nothing_then_they_are_those_of_the_metadata(url: str) -> None:
    migrated = Database(url)
    with pytest.raises(ConfigError, match="must be of revision 0003, got none; run 'stenograde serve'"):
        check_migrated(migrated)
    migrate(migrated)
    migrate(migrated)  # which changes nothing
    check_migrated(migrated)
    try:
        with migrated.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
            created = _described(connection)
        with migrated.writing() as connection:
            metadata.drop_all(connection)
            metadata.create_all(connection)
        with migrated.reading() as connection:
            assert _described(connection) == created
    finally:
        migrated.close()


def _described(connection: object) -> dict[str, object]:
    """Everything that the database tells of its tables, in an order of its own."""
    found = inspect(connection)
    return {
        table: {
            "columns": [{**one, "type": repr(one["type"])} for one in found.get_columns(table)],
            "primary key": found.get_pk_constraint(table),
            "foreign keys": found.get_foreign_keys(table),
            "unique": sorted(found.get_unique_constraints(table), key=str),
            "indexes": sorted(
                str(
                    {**one, "dialect_options": {k: str(v) for k, v in one.get("dialect_options", {}).items()}}
                )
                for one in found.get_indexes(table)
            ),
        }
        for table in metadata.tables
    }


def test_tables_when_of_an_older_version_then_what_they_hold_is_kept(url: str) -> None:
    one = Database(url)
    names = "study_uid, series_uid, sop_uid, sop_class, is_mr, version, sha256, n_bytes, path, received_at, via, sender"
    row = "'1.2', '1.3', '1.4', '1.5', true, 1, 'ab', 9, 'images/a', 0, 'dicom', 'MR1'"
    try:
        with one.writing() as connection:
            command.upgrade(_alembic(connection), "0002")
            connection.execute(text(f"INSERT INTO instances ({names}) VALUES ({row})"))
        migrate(one)
        with one.reading() as connection:
            found = connection.execute(select(instances)).mappings().one()
    finally:
        one.close()
    assert (found["sop_uid"], found["is_mr"], found["role"], found["n_slices"]) == ("1.4", True, None, None)


def test_tables_when_of_a_newer_version_then_they_are_refused(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="known to this version, got newer ones"):
        migrate(database)
    with pytest.raises(ConfigError, match="must be of revision 0003, got 9999"):
        check_migrated(database)


@pytest.mark.parametrize(
    "url", ["", "nonsense secret", "sqlite://", "mysql://user:secret@host/db", "sqlite:///:memory:"]
)
def test_a_url_when_of_no_database_we_support_then_it_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(ConfigError, match="database must be") as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_a_server_when_it_is_not_there_then_that_is_said_without_its_address(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    database = Database(f"postgresql://user:secret@/db?host={tmp_path}")
    with pytest.raises(ConfigError, match="database must answer, got OperationalError") as caught:
        migrate(database)
    database.close()
    assert str(tmp_path) not in str(caught.value)


def test_what_is_committed_when_then_it_is_on_disk(database: Database) -> None:
    """Both databases promise durability at commit, whatever the server's own settings."""
    with database.writing() as connection:
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        else:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
