"""Log lines for machines: one JSON object a line, with UIDs and numbers and nothing of a patient."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

_FIELDS: Final = "stenograde_fields"


def told(**fields: str | float) -> Mapping[str, Mapping[str, str | float]]:
    """Return fields as the ``extra`` of a log call; the message itself is the name of an event."""
    return {_FIELDS: fields}


class JsonLines(logging.Formatter):
    r"""Writes a record as a JSON object on a line.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "graded", "levelname": "INFO", "created": 0.0} | told(job=7))
    >>> JsonLines().format(record)
    '{"at": "1970-01-01T00:00:00+00:00", "level": "info", "event": "graded", "job": 7}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        line: dict[str, object] = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, _FIELDS, {})
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__name__  # (its text may quote a header)
        return json.dumps(line, ensure_ascii=True)


def log_to(stream: TextIO) -> None:
    """Send the log of the service to a stream, and nothing of any library."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("stenograde")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
