"""Opens what every part of the service works with."""

from __future__ import annotations

from dataclasses import dataclass

from stenograde.pacs.database import Database
from stenograde.pacs.deliveries import Deliveries
from stenograde.pacs.intake import LARGEST_BYTES, Intake
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.store import Store


@dataclass(frozen=True)
class Opened:
    """What a part works with."""

    database: Database
    store: Store
    queue: Queue
    deliveries: Deliveries
    intake: Intake


def open_queue(settings: ServeSettings) -> Opened:
    """Open the store and the database of a service, whose tables must have been made.

    Raises
    ------
    ConfigError
        If the database is of a kind that is not supported.
    """
    database = Database(settings.database_url)
    store = Store(settings.store, free_bytes=settings.free_mb << 20)
    queue = Queue(database, settings.study, settings.grading)
    largest = settings.dicom.largest_mb << 20 if settings.dicom else LARGEST_BYTES
    intake = Intake(store, queue, largest_bytes=largest, most_instances=settings.study.most_instances)
    return Opened(database, store, queue, Deliveries(database, settings.send), intake)
