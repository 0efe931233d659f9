"""Workers of a cohort that end as they are told to, and otherwise record what they were given."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stenograde.batch.manifest import Entry
from stenograde.batch.records import Record, not_graded
from stenograde.batch.worker import Worker, WorkerSettings
from stenograde.errors import BundleError
from stenograde.grading.study import NotGraded


class DyingWorker(Worker):
    """Ends its process at studies called ``kills``, once at those called ``once`` (which leave a file)."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings

    def grade(self, entry: Entry) -> Record:
        """Record a study as one that could not be graded."""
        if entry.name == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if entry.name == "once" and not Path(entry.source).exists():
            Path(entry.source).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if entry.name == "stops":
            msg = "a bundle must work, got one that does not"
            raise BundleError(msg)
        return not_graded(entry, NotGraded(entry.name, f"looked at {entry.name}", is_our_fault=False))


class StillbornWorker(Worker):
    """Ends its process before it has begun."""

    def __init__(self, settings: WorkerSettings) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
