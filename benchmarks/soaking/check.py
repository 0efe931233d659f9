"""What became of every study that was sent: graded once, delivered once, nothing lost, nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soaking.modality import Ledger
from sqlalchemy import select

from stenograde.files import UNFINISHED
from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.jobs import Job
from stenograde.pacs.outgoing import outgoing
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.states import JobState
from stenograde.pacs.store import Store
from stenograde.pacs.tables import audit, instances


@dataclass
class Found:
    """What was found; everything in ``faults`` must be empty."""

    studies: int = 0
    objects_acknowledged: int = 0
    graded_once: int = 0
    delivered_once: int = 0
    results_received: int = 0
    """Objects at the archive, each counted once."""
    received_again: int = 0
    """The same object with the same content once more, after an answer that was lost."""
    left_over: int = 0
    """Unfinished files of processes that were killed."""
    audit_lines: int = 0
    attempts: Counter[int] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def as_json(self) -> dict[str, object]:
        """Return it for JSON."""
        return vars(self) | {"faults": dict(self.faults), "attempts": dict(self.attempts)}


def check(
    settings: ServeSettings, ledger: Ledger, received: Path, templates: Mapping[str, int], all_studies: int
) -> Found:
    """Compare what was acknowledged, what is kept, what was graded, and what the archive has.

    Parameters
    ----------
    settings : ServeSettings
    ledger : Ledger
    received : Path
        What the archive wrote down.
    templates : mapping of str to int
        The template of each study: what is sent from the same one must get the same grades.
    all_studies : int
        How many were to be sent.
    """
    found = Found(studies=len(ledger.studies), objects_acknowledged=len(ledger.acknowledged))
    if len(ledger.studies) != all_studies:
        found.faults["studies not sent whole"].append(str(all_studies - len(ledger.studies)))
    database, store = Database(settings.database_url), Store(settings.store)
    try:
        _check_kept(found, database, store, ledger)
        by_study: dict[str, list[Job]] = defaultdict(list)
        for job in Queue(database).listed(limit=10 * all_studies):
            by_study[job.study_uid].append(job)
        at_archive = _received(found, received)
        graded = _events(database, "graded")
        delivered = _events(database, "delivered")
        grades: dict[int, dict[str, object]] = {}
        for uid in sorted(ledger.studies):
            jobs = by_study[uid]
            is_once = _check_graded(found, uid, jobs, graded[uid], store)
            found.graded_once += is_once
            if is_once:
                _check_same(found, grades, templates[uid], store.results(uid, 1) / "grades.json")
                found.delivered_once += _check_delivered(
                    found, uid, delivered[uid], store, settings, at_archive.pop(uid, {})
                )
        for uid in at_archive:
            found.faults["at the archive, though of no study"].append(uid)
        verified = audit_log.verify(database)
        found.audit_lines = verified.lines
        if verified.broken is not None:
            found.faults["audit chain broken at line"].append(str(verified.broken))
        found.left_over = sum(1 for _ in store.root.rglob(UNFINISHED))
    finally:
        database.close()
    return found


def _check_kept(found: Found, database: Database, store: Store, ledger: Ledger) -> None:
    with database.reading() as connection:
        rows = {row.sop_uid: row for row in connection.execute(select(instances))}
    for sop_uid, uid in ledger.acknowledged.items():
        row = rows.get(sop_uid)
        if row is None or row.study_uid != uid:
            found.faults["acknowledged, and no row"].append(sop_uid)
        elif not (store.root / row.path).is_file():
            found.faults["acknowledged, and no file"].append(sop_uid)
        elif hashlib.sha256((store.root / row.path).read_bytes()).hexdigest() != row.sha256:
            found.faults["acknowledged, and another content"].append(sop_uid)


def _check_graded(found: Found, uid: str, jobs: Sequence[Job], n_graded: int, store: Store) -> bool:
    """Tell whether a study has one version, which was graded once and whose results are there."""
    folders = sorted(path.name for path in store.results(uid, 1).parent.glob("*"))
    if len(jobs) != 1 or folders != ["v1"] or n_graded > 1:
        kind = "lost: not graded" if not jobs or n_graded == 0 else "twice: more than one version"
        states = [f"v{job.version} {job.state} {job.reason}" for job in jobs]
        found.faults[kind].append(f"{uid}: {states}, {folders}, graded {n_graded} times")
        return False
    job = jobs[0]
    found.attempts[job.attempts] += 1
    if job.state != JobState.DONE or job.reason or not (store.results(uid, 1) / "grades.json").is_file():
        found.faults[f"lost: {job.state}"].append(f"{uid}: {job.reason}")
        return False
    return True


def _check_same(found: Found, grades: dict[int, dict[str, object]], template: int, path: Path) -> None:
    """Check that two studies of the same pixels have the same grades."""
    text = path.read_text()
    # (a study's own UID begins those of all it holds)
    told = json.loads(text.replace(json.loads(text)["study_uid"], "STUDY"))
    before = grades.setdefault(template, told)
    other = [name for name in told if name not in _OWN and told[name] != before[name]]
    if other:
        found.faults["graded otherwise than the same pixels before"].append(
            f"{path.parent.parent.name}: {', '.join(other)}"
        )


_OWN = frozenset({"seconds"})
"""What is another for each study."""


def _check_delivered(
    found: Found,
    uid: str,
    n_delivered: int,
    store: Store,
    settings: ServeSettings,
    received: Mapping[str, set[str]],
) -> bool:
    """Tell whether the archive has the results of a study, and nothing else of it."""
    wanted = {one.sop_uid for one in outgoing(store.results(uid, 1), settings.grading.results)}
    if not wanted or wanted - received.keys():
        found.faults["lost: not at the archive"].append(uid)
    elif received.keys() - wanted:
        found.faults["twice: other results at the archive"].append(uid)
    elif any(len(contents) > 1 for contents in received.values()):
        found.faults["twice: the same object with another content"].append(uid)
    elif n_delivered != 1:
        found.faults["delivered other than once, by the audit log"].append(f"{uid}: {n_delivered}")
    else:
        return True
    return False


def _received(found: Found, path: Path) -> dict[str, dict[str, set[str]]]:
    """Return the contents of each object of each study at the archive."""
    by_study: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    n_lines = 0
    for line in path.read_text().splitlines():
        uid, sop_uid, content, _ = line.split()
        by_study[uid][sop_uid].add(content)
        n_lines += 1
    found.results_received = sum(map(len, by_study.values()))
    found.received_again = n_lines - found.results_received
    return dict(by_study)


def _events(database: Database, event: str) -> Counter[str]:
    with database.reading() as connection:
        chosen = select(audit.c.study_uid).where(audit.c.event == event)
        return Counter(connection.execute(chosen).scalars())
