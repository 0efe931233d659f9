"""The audit log: who sent, what was graded, where it went; a line that is changed later breaks the chain of hashes.

Each line holds the SHA-256 of its own content together with the hash of the line before it, so a line cannot be
changed, put in or taken out without changing every hash after it. Lines taken away from the end leave a chain that is
whole: who wants to know of that keeps the last number and hash elsewhere (``stenograde audit verify`` prints them).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, insert, select

from stenograde.pacs.database import Database
from stenograde.pacs.tables import audit

FIRST: Final = "0" * 64
"""What the first line has in place of the hash of the line before it."""


@dataclass(frozen=True)
class Verified:
    """What a check of the log found."""

    lines: int
    """Lines before the first that is broken; all of them where none is."""
    last_hash: str
    """Of the last of these."""
    broken: int | None = None
    """Number of the first line that is not as it was written, or does not follow on the one before it."""


def append(
    connection: Connection,
    event: str,
    *,
    at: datetime,
    actor: str,
    study_uid: str = "",
    **detail: str | int,
) -> None:
    """Write a line in a transaction that writes alone; it is there if and when that is committed.

    Parameters
    ----------
    connection : Connection
        Of :meth:`~stenograde.pacs.database.Database.writing`.
    event : str
        What happened, such as ``received``.
    at : datetime
    actor : str
        Who did it: an AE title, a destination, a worker, a user of this machine.
    study_uid : str
        StudyInstanceUID that it is about.
    **detail
        UIDs, numbers and reasons; never names or identifiers of patients.
    """
    last = connection.execute(
        select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)
    ).one_or_none()
    key, previous = (last.id + 1, last.hash) if last else (1, FIRST)
    line = {
        "id": key,
        "at": at,
        "event": event,
        "actor": actor,
        "study_uid": study_uid,
        "detail": _canonical(detail),
        "previous_hash": previous,
    }
    connection.execute(insert(audit).values(**line, hash=_hash(line)))


def verify(database: Database) -> Verified:
    """Check every line, in order, up to the first that is broken."""
    number, previous = 0, FIRST
    lines = select(audit).order_by(audit.c.id)
    with (
        database.reading() as connection,
        connection.execution_options(yield_per=1000).execute(lines) as rows,
    ):
        for row in rows.mappings():
            follows = row["id"] == number + 1 and row["previous_hash"] == previous
            if not follows or row["hash"] != _hash(row):
                return Verified(number, previous, row["id"])
            number, previous = row["id"], row["hash"]
    return Verified(number, previous)


def _hash(line: Mapping[str, Any] | RowMapping) -> str:
    content = {name: line[name] for name in ("id", "event", "actor", "study_uid", "detail", "previous_hash")}
    return hashlib.sha256(_canonical(content | {"at": line["at"].isoformat()}).encode()).hexdigest()


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
