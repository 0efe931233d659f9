"""Storage commitment (PS3.4 annex J): a destination is asked to take on to keep what it has stored.

It is asked by N-ACTION. The answer, N-EVENT-REPORT, comes on the same association, or minutes later on one that the
destination makes to our DICOM port: the port takes it by :func:`take_reports`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from stenograde.errors import DeliveryError
from stenograde.pacs.database import UNAVAILABLE
from stenograde.pacs.logs import told
from stenograde.pacs.outgoing import Outgoing
from stenograde.pacs.sent import Sent
from stenograde.pacs.settings import Destination
from stenograde.pacs.storing import ANSWER_S, associated

_log = logging.getLogger(__name__)

SAME_ASSOCIATION_S: Final = 3.0
"""How long an answer on the same association is waited for, s; later ones come on another."""

_REQUEST: Final = 1
"""Action type of a request (PS3.4 table J.3-1)."""
_COMPLETE, _WITH_FAILURES = 1, 2
"""Event types of an answer (PS3.4 table J.3-2)."""

_DONE: Final = 0x0000
_NO_SUCH_EVENT: Final = 0x0113
_NOT_UNDERSTOOD: Final = 0x0115
_LATER: Final = 0x0110


def ask(
    destination: Destination,
    calling: str,
    delivery: int,
    objects: Sequence[Outgoing],
    sent: Sent,
    *,
    answer_s: float = ANSWER_S,
    wait_s: float = SAME_ASSOCIATION_S,
) -> None:
    """Ask a destination to take on to keep objects; keep its answer if it comes at once.

    Parameters
    ----------
    destination : Destination
    calling : str
        Our own AE title: the destination reports to the port that it knows by it.
    delivery : int
    objects : sequence of Outgoing
    sent : Sent
    answer_s, wait_s : float
        Longest wait for the response to the request, and for the report on the same association, s.

    Raises
    ------
    DeliveryError
        If it cannot be reached, or does not take the request.
    """
    uid = generate_uid(prefix=None)
    sent.asked(delivery, uid)  # (before it is asked for: the answer may come first)
    came = threading.Event()

    def report(event: evt.Event) -> tuple[int, Dataset | None]:
        answer = _reported(event, sent)
        came.set()
        return answer

    with associated(
        destination,
        calling,
        [build_context(StorageCommitmentPushModel)],
        answer_s=answer_s,
        handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    ) as association:
        try:
            status, _ = association.send_n_action(
                _request(uid, objects),
                _REQUEST,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
        except (RuntimeError, ValueError) as exc:
            msg = "destination must offer storage commitment, got none; set commitment = false, or set it up there"
            raise DeliveryError(msg) from exc
        code = status.get("Status")
        if code != _DONE:
            got = "no answer" if code is None else f"status 0x{code:04X}"
            msg = f"destination must take a request for storage commitment, got {got}"
            raise DeliveryError(msg)
        came.wait(wait_s)


def take_reports(entity: AE, sent: Sent) -> tuple[evt.EventType, Callable[[evt.Event], Any]]:
    """Let an application entity take reports of commitment; return the handler that its server needs.

    Parameters
    ----------
    entity : AE
        That listens at our DICOM port.
    sent : Sent
    """
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    return (evt.EVT_N_EVENT_REPORT, lambda event: _reported(event, sent))


def _request(uid: str, objects: Sequence[Outgoing]) -> Dataset:
    """Return the information of a request (PS3.4 table J.3-1)."""
    request = Dataset()
    request.TransactionUID = uid
    request.ReferencedSOPSequence = [_reference(one) for one in objects]
    return request


def _reference(one: Outgoing) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.sop_class
    item.ReferencedSOPInstanceUID = one.sop_uid
    return item


def _reported(event: evt.Event, sent: Sent) -> tuple[int, Dataset | None]:
    """Keep a report (PS3.4 table J.3-2); return the status that it is answered with."""
    if event.event_type not in {_COMPLETE, _WITH_FAILURES}:
        return _NO_SUCH_EVENT, None
    try:
        report = event.event_information
        transaction = str(report.TransactionUID)
        committed = _uids(report, "ReferencedSOPSequence")
        failed = _uids(report, "FailedSOPSequence")
    except Exception as exc:  # noqa: BLE001  what the other side sent may be anything
        _log.warning("commitment not understood", extra=told(reason=type(exc).__name__))
        return _NOT_UNDERSTOOD, None
    try:
        delivery = sent.reported(transaction, committed, failed)
    except UNAVAILABLE as exc:
        _log.warning("no database", extra=told(reason=type(exc).__name__))
        return _LATER, None
    if delivery is None:
        _log.warning("commitment that nobody asked for", extra=told())
        return _NOT_UNDERSTOOD, None
    fields = told(delivery=delivery, committed=len(committed), failed=len(failed))
    _log.log(logging.WARNING if failed else logging.INFO, "commitment", extra=fields)
    return _DONE, None


def _uids(report: Dataset, sequence: str) -> frozenset[str]:
    return frozenset(str(item.ReferencedSOPInstanceUID) for item in report.get(sequence) or ())
