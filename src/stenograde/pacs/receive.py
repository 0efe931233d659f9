"""Everything that takes objects in, together: the DICOM port, the HTTP port, the watched folder; whichever are set.

They share a process, so that the metrics of the HTTP port count what came by each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from stenograde.pacs.database import Database
from stenograde.pacs.http import HttpParts, http_port
from stenograde.pacs.logs import told
from stenograde.pacs.metrics import CountedIntake, Metrics
from stenograde.pacs.opening import open_queue
from stenograde.pacs.queue import Queue
from stenograde.pacs.scp import dicom_port
from stenograde.pacs.sent import Sent
from stenograde.pacs.settings import DicomSettings, ServeSettings
from stenograde.pacs.store import Store
from stenograde.pacs.watch import watched

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ports:
    """Where is listened; None where it is not."""

    dicom: int | None
    http: int | None


@contextmanager
def receivers(settings: ServeSettings, database: Database, store: Store, queue: Queue) -> Iterator[Ports]:
    """Take objects in while the body runs.

    Parameters
    ----------
    settings : ServeSettings
    database, store, queue
        Of these settings.

    Raises
    ------
    ConfigError
        If a port or the folder cannot be opened, or TLS or tokens cannot be used.
    """
    largest_bytes = (settings.dicom or DicomSettings()).largest_mb << 20
    metrics = Metrics(queue, store, alarm_after_s=settings.send.alarm_after_s)
    intake = CountedIntake(
        metrics,
        store,
        queue,
        largest_bytes=largest_bytes,
        most_instances=settings.study.most_instances,
    )
    with ExitStack() as opened:
        dicom = http = None
        if settings.dicom is not None:
            port = dicom_port(settings.dicom, intake, store.root / "incoming", sent=Sent(database))
            dicom = opened.enter_context(port).port
            _log.info("listening", extra=told(what="dicom", host=settings.dicom.host, port=dicom))
        if settings.http is not None:
            parts = HttpParts(database, store, queue, intake, metrics, largest_bytes)
            http = opened.enter_context(http_port(settings.http, parts))[1]
            _log.info("listening", extra=told(what="http", host=settings.http.host, port=http))
        if settings.watch is not None:
            opened.enter_context(watched(settings.watch.folder, intake))
        yield Ports(dicom, http)


def run_receivers(
    settings: ServeSettings, _name: str, stop: threading.Event, ready: Callable[[], None]
) -> None:
    """Take objects in until told to stop (a part of the service)."""
    opened = open_queue(settings)
    opened.store.sweep()
    try:
        with receivers(settings, opened.database, opened.store, opened.queue):
            ready()
            stop.wait()
    finally:
        opened.database.close()
