"""The part of the service that takes studies in: the DICOM port, the HTTP port and the watched folder."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack

from stenograde.pacs.http import HttpParts, http_port
from stenograde.pacs.intake import LARGEST_BYTES
from stenograde.pacs.logs import told
from stenograde.pacs.metrics import CountedIntake, Metrics
from stenograde.pacs.opening import open_queue
from stenograde.pacs.scp import dicom_port
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.watch import watched

_log = logging.getLogger(__name__)


def run_ports(settings: ServeSettings, name: str, stop: threading.Event) -> None:
    """Listen and watch until told to stop (a part of the service).

    Raises
    ------
    ConfigError
        If a port cannot be opened, or a folder not be written to.
    """
    opened = open_queue(settings)
    metrics = Metrics(opened.queue, opened.store)
    largest = settings.dicom.largest_mb << 20 if settings.dicom else LARGEST_BYTES
    intake = CountedIntake(
        metrics,
        opened.store,
        opened.queue,
        largest_bytes=largest,
        most_instances=settings.study.most_instances,
    )
    with ExitStack() as open_ones:
        if settings.http is not None:
            parts = HttpParts(opened.database, opened.store, opened.queue, intake, metrics, largest)
            host, port = open_ones.enter_context(http_port(settings.http, parts))
            _log.info("listening", extra=told(worker=name, via="http", host=host, port=port))
        if settings.dicom is not None:
            listening = open_ones.enter_context(
                dicom_port(settings.dicom, intake, opened.store.root / "incoming")
            )
            _log.info(
                "listening", extra=told(worker=name, via="dicom", host=listening.host, port=listening.port)
            )
        if settings.watch is not None:
            open_ones.enter_context(watched(settings.watch.folder, intake))
        stop.wait()
