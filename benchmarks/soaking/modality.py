"""Modalities: each sends studies over its own association, and sends again whatever was not acknowledged."""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.small_phantoms import SMALL

from stenograde.pacs.storing import end, hang_up
from stenograde.phantom import write_cohort

ROOT = "1.2.826.0.1.3680043.8.498.19"
_AGAIN_S = 1.0
"""How long a modality waits before it sends again, s."""
_PATIENCE_S = 10
"""How long it waits for an answer, s: less than the quiet time, after which the rest would be a new version."""


def templates(folder: Path, n: int, seed: int) -> tuple[tuple[Dataset, ...], ...]:
    """Return small phantom studies whose UIDs are to be replaced."""
    cohort = write_cohort(folder, patients=n, seed=seed, protocol=SMALL)
    return tuple(tuple(map(dcmread, sorted(study.folder.rglob("*.dcm")))) for study in cohort.studies)


def study_uid(seed: int, number: int) -> str:
    """Return the UID of a study of a run."""
    return f"{ROOT}.{seed}.{number + 1}"


def study(template: Sequence[Dataset], uid: str) -> list[Dataset]:
    """Return a template with the UIDs of a study of its own."""
    series: dict[str, str] = {}
    made = []
    for number, one in enumerate(template, start=1):
        new = copy.deepcopy(one)  # (a copy would share its elements with every other study)
        new.StudyInstanceUID = uid
        new.SeriesInstanceUID = series.setdefault(one.SeriesInstanceUID, f"{uid}.{len(series) + 1}")
        new.SOPInstanceUID = f"{new.SeriesInstanceUID}.{number}"
        new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
        made.append(new)
    return made


@dataclass
class Ledger:
    """What modalities have sent, and what they were told."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """The study of each object of which success was told."""
    studies: set[str] = field(default_factory=set)
    """Of which every object was acknowledged."""
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, answer: str) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[answer] += 1


@dataclass
class Modality:
    """Sends studies one after another.

    Parameters
    ----------
    title : str
        Its AE title.
    port : int
    ledger : Ledger
    next_study : callable
        Gives the UID of the next study and its template; None when there is none.
    stop : threading.Event
    """

    title: str
    port: int
    ledger: Ledger
    next_study: Callable[[], tuple[str, Sequence[Dataset]] | None]
    stop: threading.Event

    def work(self) -> None:
        """Send until there is nothing more."""
        entity = AE(ae_title=self.title)
        entity.add_requested_context(MRImageStorage)
        entity.connection_timeout = entity.acse_timeout = _PATIENCE_S
        entity.dimse_timeout = entity.network_timeout = _PATIENCE_S
        while not self.stop.is_set() and (following := self.next_study()) is not None:
            uid, template = following
            pending = study(template, uid)
            while pending and not self.stop.is_set():
                pending = self._sent(entity, uid, pending)
                if pending:
                    self.stop.wait(_AGAIN_S)
            if not pending:
                self.ledger.studies.add(uid)

    def _sent(self, entity: AE, uid: str, objects: Sequence[Dataset]) -> list[Dataset]:
        """Send objects; return those that were not acknowledged."""
        association = entity.associate("127.0.0.1", self.port, ae_title="STENOGRADE")
        if not association.is_established:
            hang_up(association)
            self.ledger.answered("no association")
            return list(objects)
        left = list(objects)
        try:
            for one in objects:
                try:
                    status = association.send_c_store(one)
                except (RuntimeError, OSError):  # the association has ended
                    self.ledger.answered("association ended")
                    break
                if "Status" not in status:
                    self.ledger.answered("no answer")
                    break
                self.ledger.answered(f"0x{status.Status:04X}")
                if status.Status == 0:
                    self.ledger.acknowledged[str(one.SOPInstanceUID)] = uid
                    left.remove(one)
                else:
                    self.stop.wait(_AGAIN_S / 4)
        finally:
            end(association, 10)
        return left


def modalities(
    n: int,
    port: int,
    ledger: Ledger,
    next_study: Callable[[], tuple[str, Sequence[Dataset]] | None],
    stop: threading.Event,
) -> list[threading.Thread]:
    """Start modalities; return their threads."""
    threads = []
    for number in range(1, n + 1):
        one = Modality(f"MR{number}", port, ledger, next_study, stop)
        threads.append(threading.Thread(target=one.work, name=one.title, daemon=True))
        threads[-1].start()
    return threads


def in_order(
    made: Sequence[Sequence[Dataset]],
    n_studies: int,
    seed: int,
    may_send: Callable[[], bool],
    stop: threading.Event,
) -> Callable[[], tuple[str, Sequence[Dataset]] | None]:
    """Return what gives modalities their next study, once it may be sent."""
    lock, numbers = threading.Lock(), iter(range(n_studies))

    def following() -> tuple[str, Sequence[Dataset]] | None:
        while not may_send() and not stop.is_set():
            time.sleep(0.2)
        with lock:
            number = next(numbers, None)
        return None if number is None else (study_uid(seed, number), made[number % len(made)])

    return following
