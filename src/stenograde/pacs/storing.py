"""Sends objects by C-STORE."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from stenograde.errors import DeliveryError
from stenograde.pacs.answers import Answer, Verdict, judged
from stenograde.pacs.outgoing import Outgoing
from stenograde.pacs.settings import Destination
from stenograde.pacs.tls import client_context

CONNECT_S: Final = 30.0
"""Longest wait for a connection and for an association, s."""

ANSWER_S: Final = 120.0
"""Longest wait for the answer to one object, s."""


class DicomPeer:
    """A DICOM destination that objects are sent to in one association.

    Parameters
    ----------
    destination : Destination
        Of kind dicom.
    calling : str
        Our own AE title.
    objects : iterable of Outgoing
        What is to be sent.
    answer_s : float
    """

    def __init__(
        self,
        destination: Destination,
        calling: str,
        objects: Iterable[Outgoing],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._association = associated(destination, calling, _contexts(objects), answer_s=answer_s)
        self._sent = 0

    def __enter__(self) -> Self:
        self._open = self._association.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._association.__exit__(kind, error, trace)

    def store(self, one: Outgoing) -> Answer:
        """Send an object; see :class:`~stenograde.pacs.answers.Peer`."""
        if not any(_fits(one, context) for context in self._open.accepted_contexts):
            return Answer(Verdict.REFUSED, f"no presentation context for {UID(one.sop_class).name}")
        self._sent += 1
        try:
            status = self._open.send_c_store(one.path, msg_id=self._sent % 0xFFFF + 1)
        except RuntimeError as exc:  # the association ended since the last object
            raise _broken() from exc
        if "Status" not in status:
            raise _broken()
        return judged(status.Status)


@contextmanager
def associated(
    destination: Destination,
    calling: str,
    contexts: list[PresentationContext],
    *,
    answer_s: float = ANSWER_S,
    handlers: list[Any] | None = None,
) -> Iterator[Association]:
    """Give an association with a destination.

    Raises
    ------
    DeliveryError
        If it cannot be reached, or does not accept.
    ConfigError
        If a file of TLS is none.
    """
    entity = AE(ae_title=calling)
    entity.connection_timeout = entity.acse_timeout = CONNECT_S
    entity.dimse_timeout = entity.network_timeout = answer_s
    association = entity.associate(
        destination.host,
        destination.port,
        contexts=contexts,
        ae_title=destination.ae_title,
        tls_args=_tls(destination),
        evt_handlers=handlers,
    )
    if not association.is_established:
        reason = _refused(association)
        hang_up(association)
        raise DeliveryError(reason)
    try:
        yield association
    finally:
        end(association, CONNECT_S)


def end(association: Association, patience_s: float) -> None:
    """Release an association that we have asked for, where it still stands, and close its connection.

    Parameters
    ----------
    association : Association
    patience_s : float
        Longest wait for its thread, s.
    """
    if association.is_established:
        association.release()
    # (a peer that neither answers nor hangs up would keep the thread of the association)
    association.kill()
    association.join(patience_s)
    hang_up(association)


def hang_up(association: Association) -> None:
    """Close the connection of an association; pynetdicom leaves one that its peer has left to the garbage collector."""
    stream = association.dul.socket
    connection = None if stream is None else stream.socket
    if connection is not None:
        connection.close()


def _tls(destination: Destination) -> tuple[ssl.SSLContext, str] | None:
    if destination.tls is None:
        return None
    context = client_context(destination.tls)
    # certificates of DICOM nodes are made for their site's authority and seldom name the host; no profile of PS3.15
    # asks for that, but anyone may have one that an authority of the system has signed
    context.check_hostname = destination.tls.authorities is None
    return context, destination.host


def _contexts(objects: Iterable[Outgoing]) -> list[PresentationContext]:
    """Return a context for each class and, where its objects are compressed, transfer syntax."""
    wanted = dict.fromkeys((one.sop_class, _syntaxes(one.transfer_syntax)) for one in objects)
    return [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in wanted]


def _fits(one: Outgoing, context: PresentationContext) -> bool:
    """Tell whether an object can be sent in a context that was accepted."""
    return context.abstract_syntax == one.sop_class and context.transfer_syntax[0] in _syntaxes(
        one.transfer_syntax
    )


def _syntaxes(own: str) -> tuple[str, ...]:
    if UID(own).is_compressed:
        return (own,)
    return (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def _refused(association: Association) -> str:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"destination must accept an association, got rejected: {answer.reason_str.lower()}"
    if answer is None:
        return "destination must accept an association, got no answer; check host, port and TLS of both sides"
    return "destination must accept an association, got aborted, or no object's class accepted"


def _broken() -> DeliveryError:
    return DeliveryError("destination must answer to an object, got an association that ended or no answer")
