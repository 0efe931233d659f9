"""A worker for tests of the service: quick, and killed by one study as by a decoder that crashes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from stenograde.pacs.opening import open_queue
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.worker import Worker

POISON = "1.2.1"


def grade(files: Sequence[Path], folder: Path, study_uid: str) -> None:
    if study_uid == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grades.json").write_text(study_uid)


def run(settings: ServeSettings, name: str, stop: threading.Event) -> None:
    opened = open_queue(settings)
    Worker(name, opened.queue, opened.store, grade).work(stop)
    opened.database.close()


def run_nothing(settings: ServeSettings, name: str, stop: threading.Event) -> None:
    """A part that ends at once."""
