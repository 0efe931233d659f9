"""Takes objects in: whoever sent one is told that it was accepted only when it can no longer be lost."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, RowMapping, func, insert, select

from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.instance_roles import instance_role
from stenograde.dicom.read.instances import Instance, walk_header
from stenograde.dicom.read.opening import read_instance
from stenograde.dicom.read.screening import reason_by_class
from stenograde.errors import UnreadableInstanceError
from stenograde.pacs import audit_log
from stenograde.pacs.database import UNAVAILABLE, is_full
from stenograde.pacs.logs import told
from stenograde.pacs.queue import Queue
from stenograde.pacs.store import Incoming, NoRoomError, Store, TooLargeError
from stenograde.pacs.tables import instances, jobs

_log = logging.getLogger(__name__)

_UID: Final = re.compile(r"[0-9.]{1,64}")
"""A UID (PS3.5 9.1), with zeros before a component as some write them; a name of a patient does not fit in."""

LARGEST_BYTES: Final = 1024 << 20

_NOTHING: Final[Mapping[str, str]] = {}


class Refusal(StrEnum):
    """Why an object is not taken; a receiver answers with the status code of its protocol."""

    NOT_UNDERSTOOD = "not understood"
    """It cannot be parsed, is truncated, or lacks a UID: it will never be taken."""
    TOO_LARGE = "too large"
    NO_ROOM = "no room"
    """The disk is full, or will be soon: it may be taken later."""
    NOT_AS_TOLD = "not as told"
    """It has other UIDs than its sender told: another study, class or instance."""
    UNAVAILABLE = "unavailable"
    """The database does not answer, or the disk fails: it may be taken later."""


@dataclass(frozen=True)
class Accepted:
    """An object that is kept: it survives whatever happens to this process or machine."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    version: int
    """Of the study, that it is of."""
    is_new: bool
    """False when the very same object was there already; nothing has changed then."""


@dataclass(frozen=True)
class Refused:
    """An object that is not kept."""

    why: Refusal
    reason: str
    """One line, without anything of a patient."""
    sop_class: str = ""
    """Empty where it could not be told; so is the next."""
    sop_uid: str = ""


class Intake:
    """Where all receivers hand over what they receive; safe to be called by several threads and processes.

    Parameters
    ----------
    store : Store
    queue : Queue
    largest_bytes : int
        Largest object that is taken.
    most_instances : int
        Most objects of a study that are taken.
    """

    def __init__(
        self,
        store: Store,
        queue: Queue,
        *,
        largest_bytes: int = LARGEST_BYTES,
        most_instances: int = 20_000,
    ) -> None:
        self._store = store
        self._queue = queue
        self._largest_bytes = largest_bytes
        self._most_instances = most_instances

    def accept(
        self, source: bytes | BinaryIO, *, via: str, sender: str, told_uids: Mapping[str, str] = _NOTHING
    ) -> Accepted | Refused:
        """Keep an object: its file is on disk, and its row, its job and its line in the audit log are committed.

        The same object again is accepted and changes nothing. Another object of the same SOPInstanceUID takes the
        place of the first, in the version that is RECEIVING or in a new one. What holds no MR slices, such as a
        report that comes back to us, is kept but opens no version.

        Parameters
        ----------
        source : bytes or binary file
            A DICOM file with its file meta information, as in PS3.10.
        via : str
            How it came: dicom, http or watch.
        sender : str
            Who sent it, such as an AE title and an address.
        told_uids : mapping of str to str
            What the sender told of it, which must be so: ``study_uid``, ``sop_class`` and ``sop_uid``, or some of them.
        """
        outcome = self._accept(source, via, sender, told_uids)
        match outcome:
            case Accepted(is_new=True):
                _log.info("received", extra=told(via=via, sender=sender, **_uids(outcome)))
            case Accepted():
                _log.info("received again", extra=told(via=via, sender=sender, **_uids(outcome)))
            case Refused(why, reason):
                _log.warning("refused", extra=told(via=via, sender=sender, why=why.value, reason=reason))
        return outcome

    def refuse(self, refused: Refused, *, via: str, sender: str) -> Refused:
        """Tell of an object that a receiver has refused while it came; return that."""
        told_of = told(via=via, sender=sender, why=refused.why.value, reason=refused.reason)
        _log.warning("refused", extra=told_of)
        return refused

    def _accept(
        self, source: bytes | BinaryIO, via: str, sender: str, told_uids: Mapping[str, str]
    ) -> Accepted | Refused:
        uids: dict[str, str] = {}

        def refused(why: Refusal, reason: str | None) -> Refused:
            return Refused(why, str(reason), uids.get("sop_class", ""), uids.get("sop_uid", ""))

        try:
            with self._store.received(source, at_most=self._largest_bytes) as incoming:
                instance = _instance(incoming)
                uids |= _checked_uids(instance)
                for name in (name for name, uid in told_uids.items() if uids[name] != uid):
                    return refused(
                        Refusal.NOT_AS_TOLD, f"{_KEYWORD[name]} must be as its sender tells, got another"
                    )
                place = self._store.place(incoming, uids["study_uid"], uids["sop_uid"])
                is_mr = not reason_by_class(instance)
                role, n_slices = instance_role(instance) if is_mr else (None, 0)
                facts = {"is_mr": is_mr, "role": role, "n_slices": n_slices, "via": via, "sender": sender}
                kept = self._keep(incoming, place, uids, facts)
                return refused(kept.why, kept.reason) if isinstance(kept, Refused) else kept
        except UnreadableInstanceError as exc:
            return refused(Refusal.NOT_UNDERSTOOD, str(exc))
        except TooLargeError as exc:
            return refused(Refusal.TOO_LARGE, exc.strerror)
        except NoRoomError as exc:
            return refused(Refusal.NO_ROOM, exc.strerror)
        except OSError as exc:
            return refused(
                Refusal.UNAVAILABLE, f"the store must be writable, got {exc.strerror or type(exc).__name__}"
            )
        except UNAVAILABLE as exc:
            if is_full(exc):
                return refused(Refusal.NO_ROOM, "the disk of the database must have room, got a full one")
            return refused(Refusal.UNAVAILABLE, f"the database must answer, got {type(exc).__name__}")

    def _keep(
        self,
        incoming: Incoming,
        place: Path,
        uids: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> Accepted | Refused:
        """Write the row of an object whose file lies at its place; all that belongs to it, or nothing."""
        now = self._queue.clock()
        with self._queue.database.writing() as connection:
            study_uid = uids["study_uid"]
            if not (self._store.root / place).exists():
                return Refused(Refusal.UNAVAILABLE, "the same object was just removed as old; send it again")
            known = _known(connection, study_uid, uids["sop_uid"])
            if known is not None and known["sha256"] == incoming.sha256:
                return Accepted(**uids, version=known["version"], is_new=False)
            n = connection.execute(_n_instances(study_uid)).scalar_one()
            if n >= self._most_instances:
                of_file = instances.c.study_uid == study_uid, instances.c.path == place.as_posix()
                if connection.execute(select(instances.c.id).where(*of_file)).first() is None:
                    (self._store.root / place).unlink()
                reason = f"a study must hold at most {self._most_instances} objects, got more"
                return Refused(Refusal.TOO_LARGE, reason)
            version = (
                self._queue.touch(connection, study_uid)
                if facts["is_mr"]
                else _next_version(connection, study_uid)
            )
            connection.execute(
                insert(instances).values(
                    **uids,
                    **facts,
                    version=version,
                    sha256=incoming.sha256,
                    n_bytes=incoming.n_bytes,
                    path=place.as_posix(),
                    received_at=now,
                )
            )
            audit_log.append(
                connection,
                "received",
                at=now,
                actor=facts["sender"],
                study_uid=study_uid,
                via=facts["via"],
                sop_uid=uids["sop_uid"],
                sha256=incoming.sha256,
                version=version,
            )
        return Accepted(**uids, version=version, is_new=True)


def _instance(incoming: Incoming) -> Instance:
    """Read the header of what was received; slices must be whole, of what holds none the header is enough.

    Raises
    ------
    UnreadableInstanceError
    """
    file = StudyFile(str(incoming.path), "the object")
    walked = walk_header(file)
    return walked if walked is not None and reason_by_class(walked) else read_instance(file)


def _checked_uids(instance: Instance) -> dict[str, str]:
    """Return the UIDs of an object.

    Raises
    ------
    UnreadableInstanceError
        If one is missing or is none; its text is not told, for it may be anything.
    """
    uids = {
        "study_uid": instance.study_uid,
        "series_uid": instance.series_uid,
        "sop_uid": instance.sop_instance_uid,
        "sop_class": instance.text("SOPClassUID") or instance.text("MediaStorageSOPClassUID"),
    }
    for name, uid in uids.items():
        if not _UID.fullmatch(uid):
            got = "another text" if uid else "none"
            msg = f"{_KEYWORD[name]} must be a UID of at most 64 digits and points, got {got}"
            raise UnreadableInstanceError(msg)
    return uids


_KEYWORD: Final = {
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "sop_uid": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
}


def _known(connection: Connection, study_uid: str, sop_uid: str) -> RowMapping | None:
    """Return the newest row of an instance of a study."""
    of_instance = select(instances).where(instances.c.sop_uid == sop_uid, instances.c.study_uid == study_uid)
    return connection.execute(of_instance.order_by(instances.c.id.desc()).limit(1)).mappings().one_or_none()


def _n_instances(study_uid: str) -> Any:
    return select(func.count()).select_from(instances).where(instances.c.study_uid == study_uid)


def _next_version(connection: Connection, study_uid: str) -> int:
    """Return the version that is RECEIVING, else the one that would be opened next."""
    newest = select(jobs.c.version, jobs.c.state).where(jobs.c.study_uid == study_uid)
    row = connection.execute(newest.order_by(jobs.c.version.desc()).limit(1)).one_or_none()
    if row is None:
        return 1
    return row.version if row.state == "receiving" else row.version + 1


def _uids(accepted: Accepted) -> dict[str, str | int]:
    return {
        "study_uid": accepted.study_uid,
        "series_uid": accepted.series_uid,
        "sop_uid": accepted.sop_uid,
        "version": accepted.version,
    }
