"""Log lines for machines: one JSON object a line, with UIDs and numbers and nothing of a patient."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

_log = logging.getLogger(__name__)

_FIELDS: Final = "stenograde_fields"

_OF_PEERS: Final = frozenset({"pynetdicom.dimse", "pynetdicom.dul", "pynetdicom.fsm", "pynetdicom.utils"})
"""Loggers whose exceptions are what peers do; the port tells of these itself."""


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
            frames = traceback.extract_tb(record.exc_info[2])
            line["at_line"] = [f"{Path(one.filename).name}:{one.lineno}" for one in frames[-3:]]
        return json.dumps(line, ensure_ascii=True)


class _Foreign(logging.Handler):
    """Tells that a library has met a fault, and nothing of what it says: that may quote a header."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell, where there is an exception that is not merely a message that cannot be read."""
        if record.exc_info and record.name not in _OF_PEERS:
            _log.error("fault", exc_info=record.exc_info, extra=told(library=record.name))


def log_to(stream: TextIO) -> None:
    """Send the log of the service to a stream, and of libraries and threads their faults, without their words."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("stenograde")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(logging.INFO)
    logging.getLogger().handlers = [_Foreign(logging.ERROR)]
    threading.excepthook = _tell_of_thread


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    fault = ended.exc_value
    _log.error("fault", exc_info=fault, extra=told(thread=ended.thread.name if ended.thread else ""))
