"""A worker for tests of the service: quick, and killed by one study as by a decoder that crashes, or stuck in one."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from stenograde.pacs.opening import open_queue
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.worker import Worker

POISON = "1.2.1"
ENDLESS = "1.2.8"
"""Never ends, but lets other threads work."""
SEIZED = "1.2.9"
"""Never ends, and lets no other thread work, as a decoder that keeps the lock of the interpreter."""


def grade(files: Sequence[Path], folder: Path, study_uid: str) -> None:
    if study_uid == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    if study_uid == ENDLESS:
        threading.Event().wait()
    if study_uid == SEIZED:
        ctypes.PyDLL(None).sleep(100_000)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grades.json").write_text(study_uid)


def run(settings: ServeSettings, name: str, stop: threading.Event, _ready: Callable[[], None]) -> None:
    opened = open_queue(settings)
    told = settings.grading
    worker = Worker(name, opened.queue, opened.store, grade, lease_s=told.lease_s, longest_s=told.longest_s)
    worker.work(stop)
    opened.database.close()


def run_nothing(settings: ServeSettings, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """A part that ends at once."""


def run_late(settings: ServeSettings, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """A part that is at work only when there is a file ``go`` in its store."""
    while not (settings.store / "go").exists() and not stop.wait(0.01):
        pass
    ready()
    stop.wait()
