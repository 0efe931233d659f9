"""An outbox with a study whose results wait to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.result_files import write_results
from tests.service.conftest import Clock

from stenograde.pacs.database import Database
from stenograde.pacs.deliveries import Deliveries
from stenograde.pacs.jobs import Job
from stenograde.pacs.queue import Queue
from stenograde.pacs.send import Outbox
from stenograde.pacs.sent import Sent
from stenograde.pacs.settings import SendSettings
from stenograde.pacs.store import Store

STUDY = "1.2.826.0.1.3680043.8.498.1"


def make_outbox(database: Database, folder: Path, clock: Clock) -> Outbox:
    store = Store(folder / "store")
    settings = SendSettings(lease_s=300, backoff_s=10)
    return Outbox(database, store, Deliveries(database, settings, clock=clock), Sent(database, clock=clock))


def grade(outbox: Outbox, *, study_uid: str = STUDY, to: Sequence[str] = ("archive",), text: str = "") -> Job:
    """Bring a study to where its results are on disk and wait to be sent."""
    queue = Queue(outbox.database, clock=outbox.deliveries.clock)
    with outbox.database.writing() as connection:
        version = queue.touch(connection, study_uid)
    queue.complete(study_uid)
    job = queue.claim("worker-1")
    assert job is not None
    write_results(outbox.store.results(study_uid, version), study_uid, version=version, text=text)
    queue.graded(job, to)
    return job
