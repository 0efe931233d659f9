"""A worker: takes a study that is ready, grades it, and writes the results; it may die at any moment.

Its lease is what the others see of it: a worker that dies, or that is stuck longer than a study may take, costs its
study an attempt and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from stenograde.errors import JobError, StudyError, line_of
from stenograde.files import UNFINISHED
from stenograde.pacs.database import UNAVAILABLE
from stenograde.pacs.jobs import Job
from stenograde.pacs.logs import told
from stenograde.pacs.opening import open_queue
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import GradingSettings, ServeSettings
from stenograde.pacs.store import NoRoomError, Store, is_no_room
from stenograde.study import Study
from stenograde.workers import share_cores

_log = logging.getLogger(__name__)

STUCK: Final = 75
"""Exit code of a worker that ended itself because a study took too long (EX_TEMPFAIL of sysexits.h)."""

IDLE_S: Final = 1.0
"""How long a worker that finds nothing to do waits before it looks again, s."""

_RENEWALS: Final = 3
"""How often a lease is renewed within its length."""


class Grade(Protocol):
    """Grades the files of a study into a folder."""

    def __call__(self, files: Sequence[Path], folder: Path, study_uid: str) -> None:
        """Write the results, all or none.

        Raises
        ------
        StudyError
            If the study cannot be graded as given, which another attempt will not change.
        """
        ...


@dataclass(frozen=True)
class Worker:
    """One worker of the service.

    Parameters
    ----------
    name : str
        Of this worker alone, also among those that ran before it.
    queue : Queue
    store : Store
    grade : Grade
    destinations : sequence of str
        Where results are to be delivered.
    lease_s, longest_s : float
        See :class:`~stenograde.pacs.settings.GradingSettings`.
    """

    name: str
    queue: Queue
    store: Store
    grade: Grade
    destinations: Sequence[str] = ()
    lease_s: float = 120.0
    longest_s: float = 1800.0

    def work(self, stop: threading.Event) -> None:
        """Grade what is ready until told to stop; a study that is under way is finished first."""
        while not stop.is_set():
            job = None
            try:
                self.store.check_room()  # (results could not be kept)
                job = self.queue.claim(self.name)
            except NoRoomError as exc:
                _log.warning("no room", extra=told(worker=self.name, reason=str(exc.strerror)))
            except UNAVAILABLE as exc:
                _log.warning("no database", extra=told(worker=self.name, reason=type(exc).__name__))
            if job is None:
                stop.wait(IDLE_S)
            else:
                self.attempt(job, stop)

    def attempt(self, job: Job, stop: threading.Event | None = None) -> None:
        """Grade a job that this worker has claimed, and tell the queue what became of it."""
        _log.info("grading", extra=told(**_fields(job), attempt=job.attempts))
        with _renewed(self, job):
            tell = self._graded(job)
        # the database may be away for a while; the results are on disk, and the lease says how long it is worth waiting
        for _ in range(max(int(self.lease_s), 1)):
            try:
                tell()
            except UNAVAILABLE:
                (stop or threading.Event()).wait(1.0)
            except JobError as exc:
                _log.warning("lost", extra=told(**_fields(job), reason=str(exc)))
                return
            else:
                return

    def _graded(self, job: Job) -> Callable[[], None]:
        """Grade; return what is to be told to the queue."""
        try:
            self.store.check_room()
            files = [self.store.root / path for path in self.queue.files(job)]
            folder = self.store.results(job.study_uid, job.version)
            _remove_unfinished(folder)
            self.grade(files, folder, job.study_uid)
        except StudyError as exc:
            reason = f"not graded: {line_of(exc)[0]}"
            _log.info("not graded", extra=told(**_fields(job), reason=reason))
            return lambda: self.queue.graded(job, self.destinations, reason=reason)
        except Exception as exc:  # noqa: BLE001  whatever a study does, the next one is to be graded
            reason = str(exc.strerror) if isinstance(exc, NoRoomError) else line_of(exc)[0]
            _log.warning("failed", extra=told(**_fields(job), reason=reason))
            is_counted = not is_no_room(exc)
            return lambda: self.queue.failed(job, reason, is_counted=is_counted)
        _log.info("graded", extra=told(**_fields(job)))
        return lambda: self.queue.graded(job, self.destinations)


@contextmanager
def _renewed(worker: Worker, job: Job) -> Iterator[None]:
    """Renew a lease while the body works; end the process when that takes longer than a study may."""
    over = threading.Event()

    def renew() -> None:
        every_s = min(worker.lease_s / _RENEWALS, worker.longest_s)
        renewals = max(int(worker.longest_s / every_s), 1)
        for _ in range(renewals):
            if over.wait(every_s):
                return
            try:
                worker.queue.renew(job)
            except JobError:
                return  # cancelled, or taken away: what is made of it will be refused
            except UNAVAILABLE as exc:
                _log.warning("not renewed", extra=told(**_fields(job), reason=type(exc).__name__))
        if over.wait(0):
            return
        reason = f"a study must be graded within {worker.longest_s:g} s, took longer"
        _log.error("stuck", extra=told(**_fields(job), reason=reason))
        with suppress(JobError, *UNAVAILABLE):
            worker.queue.failed(job, reason)
        os._exit(STUCK)  # (the thread that is stuck may be in a decoder, where nothing else ends it)

    thread = threading.Thread(target=renew, name=f"lease of job {job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _remove_unfinished(folder: Path) -> None:
    """Remove what a worker that was killed at the same study has left."""
    for path in folder.glob(UNFINISHED):
        path.unlink(missing_ok=True)


def _fields(job: Job) -> dict[str, str | int]:
    return {"study_uid": job.study_uid, "version": job.version, "job": job.id, "worker": job.worker or ""}


def run_worker(settings: ServeSettings, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Grade what is ready (a part of the service)."""
    opened = open_queue(settings)
    grading = settings.grading
    share_cores(grading.workers)
    worker = Worker(
        name,
        opened.queue,
        opened.store,
        grade_with(grading),
        tuple(settings.destinations),
        lease_s=grading.lease_s,
        longest_s=grading.longest_s,
    )
    ready()
    worker.work(stop)


def grade_with(settings: GradingSettings) -> Grade:
    """Return what grades studies with the bundle of the settings.

    Raises
    ------
    BundleError
        If its pieces do not fit together.
    """
    from stenograde.dicom.read.studies import read_study  # noqa: PLC0415  (networks are slow to import)
    from stenograde.dicom.write.kinds import ResultKind  # noqa: PLC0415
    from stenograde.grading.study import Grading, grade_into, tell_why_not  # noqa: PLC0415
    from stenograde.predict.bundle import bundle_at  # noqa: PLC0415

    grading = Grading(
        bundle_at(settings.bundle),
        demographics=settings.demographics,
        dicom=tuple(map(ResultKind, settings.results)),
    )

    def grade(files: Sequence[Path], folder: Path, study_uid: str) -> None:
        where: Study | Path = files[0].parent  # all of a study lie there
        try:
            where = study = read_study(files, study_uid=study_uid)
            grade_into(folder, study, grading, source=folder)
        except StudyError as exc:
            tell_why_not(lambda _: folder, line_of(exc)[0], where, grading, uid=study_uid)
            raise

    return grade
