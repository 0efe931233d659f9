"""The database: SQLite in a file, or PostgreSQL; who may write when, and that what was committed is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from stenograde.errors import ConfigError, MissingDependencyError, installing

_BUSY_S: Final = 30
"""How long a transaction of SQLite waits for its turn, s."""

_CONNECT_S: Final = 10
"""How long a connection to PostgreSQL may take to be made, s."""

_LOCK: Final = 0x57E906ADE
"""Number of the advisory lock of PostgreSQL under which we write, and migrate."""

_BEGIN: Final = "stenograde_begin"
"""Option of a connection: how its transaction of SQLite begins."""

_DISK_FULL: Final = "53100"
"""SQLSTATE of PostgreSQL: disk_full."""

UNAVAILABLE: Final = (DBAPIError, PoolTimeoutError)
"""Raised while the database cannot be reached, is locked or has no room: what was not committed is not there."""


def is_full(error: BaseException) -> bool:
    """Tell whether a database did not write because its disk has no room."""
    cause = getattr(error, "orig", None)
    return (
        getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL"
        or getattr(cause, "sqlstate", "") == _DISK_FULL
    )


class Database:
    """A database and the three kinds of transactions on it.

    Parameters
    ----------
    url : str
        Of SQLAlchemy: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/NAME``.

    Raises
    ------
    ConfigError
        If the URL is of no database that is supported.
    MissingDependencyError
        If the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading, at one moment; it waits for nobody."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(**{_BEGIN: "BEGIN"})
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def claiming(self) -> Iterator[Connection]:
        """Give a connection in a transaction that changes single rows, which it locks itself."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction that writes alone: no other that writes runs until it ends.

        It is committed, and on disk, when the block ends; nothing of it is there when the block raises.
        """
        with self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        # (what was given may hold a password)
        msg = "database must be a URL such as postgresql://USER@HOST/NAME, got something else"
        raise ConfigError(msg) from exc
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return _sqlite(url, Path(str(parsed.database)))
    if backend == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False))
    msg = f"database must be a file of SQLite or a PostgreSQL server, got {backend or 'nothing'}"
    raise ConfigError(msg)


def _sqlite(url: str, file: Path) -> Engine:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"folder of the database must be one that can be made, got {exc.strerror}; choose another store"
        raise ConfigError(msg) from exc
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin as we say, below
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # a transaction that reads first and writes then would fail where another has written in between
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE"))

    return engine


def _postgresql(url: str) -> Engine:
    try:
        # (a server may be set to acknowledge what is not on disk yet)
        options = {"connect_timeout": _CONNECT_S, "options": "-c synchronous_commit=on"}
        return create_engine(url, pool_pre_ping=True, connect_args=options)
    except ModuleNotFoundError as exc:
        msg = f"PostgreSQL needs the package {exc.name}, which is not installed; {installing('postgresql')}"
        raise MissingDependencyError(msg) from exc


def migrate(database: Database) -> None:
    """Bring the tables to their newest form, from whatever they are.

    Raises
    ------
    ConfigError
        If the database cannot be reached, or its tables are of a newer version of the package.
    """
    from alembic import command  # noqa: PLC0415  (slow to import)
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        with database.writing() as connection:
            command.upgrade(_alembic(connection), "head")
    except CommandError as exc:
        msg = "tables of the database must be known to this version, got newer ones; install the newer stenograde"
        raise ConfigError(msg) from exc
    except SQLAlchemyError as exc:
        raise unreachable(exc) from exc


def check_migrated(database: Database) -> None:
    """Refuse a database whose tables are not in their newest form.

    Raises
    ------
    ConfigError
    """
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    try:
        with database.reading() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            newest = ScriptDirectory.from_config(_alembic(connection)).get_current_head()
    except SQLAlchemyError as exc:
        raise unreachable(exc) from exc
    if found != newest:
        msg = f"tables of the database must be of revision {newest}, got {found or 'none'}; run 'stenograde serve'"
        raise ConfigError(msg)


def unreachable(error: SQLAlchemyError) -> ConfigError:
    """Return what is said of a database that does not answer; its own text may hold an address or a value."""
    cause = getattr(error, "orig", None) or error
    return ConfigError(
        f"database must answer, got {type(cause).__name__}; check that it runs and that its URL is right"
    )


def _alembic(connection: Connection) -> Any:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
