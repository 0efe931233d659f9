"""What tests of the service share: databases of both kinds, a clock that is set by hand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.databases import Server, postgresql

from stenograde.pacs.database import Database, migrate

if TYPE_CHECKING:
    from tests.receiving import Receiving

    from stenograde.pacs.send import Outbox


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def sockets_collected() -> Iterator[None]:
    """What pynetdicom has dropped is collected here, where its warning is known, and not in another test."""
    yield
    gc.collect()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server; a test that stops it starts it again."""
    with postgresql() as one:
        yield one


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database' / 'test.sqlite'}"
    return request.getfixturevalue("server").new_url()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database of each kind with its tables, empty."""
    one = Database(url)
    migrate(one)
    yield one
    one.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Receiving]:
    """A store, its database on SQLite and their intake, empty; in the end every row has its file."""
    from tests.receiving import receiving

    with receiving(tmp_path) as one:
        yield one
        one.check_whole()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Iterator[Outbox]:
    """An outbox on SQLite, empty."""
    from tests.service.outboxes import make_outbox

    database = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    migrate(database)
    yield make_outbox(database, tmp_path, clock)
    database.close()
