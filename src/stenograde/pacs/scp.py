"""The DICOM port: takes objects by C-STORE, answers C-ECHO, and tells success only of what is kept.

pynetdicom speaks the protocol; what it trusts of a peer is bounded here: how long a PDU is and may take to come, how
large a command and an object are, how many messages wait, how many connections there are.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socketserver import BaseServer
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from stenograde.errors import ConfigError
from stenograde.pacs.bodies import Body
from stenograde.pacs.bounds import BoundedMachine, BoundedStream, Messages
from stenograde.pacs.commitment import take_reports
from stenograde.pacs.intake import Intake, Refused
from stenograde.pacs.logs import told
from stenograde.pacs.sent import Sent
from stenograde.pacs.settings import DicomSettings
from stenograde.pacs.statuses import CLASS_NOT_SUPPORTED, NOT_UNDERSTOOD, STATUS, SUCCESS
from stenograde.pacs.tls import server_context

_log = logging.getLogger(__name__)

_NO_CALLED: Final = (0x01, 0x01, 0x07)
_NO_CALLING: Final = (0x01, 0x01, 0x03)
_NO_REASON: Final = (0x01, 0x01, 0x01)
"""Result, source, diagnostic of an A-ASSOCIATE-RJ (PS3.8 9.3.4), for good: unknown title, or no reason given."""

PATIENCE_S: Final = 60.0
"""How long a PDU may take to come, and an association be idle, s."""

_HANDSHAKE_S: Final = 10.0
"""How long a handshake of TLS may wait for its peer, s."""

_POLL_S: Final = 0.1
"""How often the port looks whether it is to stop, s."""

_PDU_BYTES: Final = 128 << 10
"""Longest P-DATA that peers are asked to send."""

_COMMENT_CHARACTERS: Final = 64
"""Longest ErrorComment (VR LO)."""


@dataclass(frozen=True)
class DicomPort:
    """A port that listens."""

    host: str
    port: int


@contextmanager
def dicom_port(
    settings: DicomSettings,
    intake: Intake,
    folder: Path,
    *,
    sent: Sent | None = None,
    patience_s: float = PATIENCE_S,
) -> Iterator[DicomPort]:
    """Listen for associations while the body runs; nothing of it is left afterwards.

    Parameters
    ----------
    settings : DicomSettings
        Port 0 takes one that is free.
    intake : Intake
    folder : Path
        Where large objects lie while they come; on the disk of the store.
    sent : Sent, optional
        Takes what archives report of their commitment to keep results.
    patience_s : float
        How long a PDU may take to come, and an association be idle, s.

    Raises
    ------
    ConfigError
        If the port cannot be opened, or its TLS files do not fit.
    """
    _config.LOG_HANDLER_LEVEL = (
        "none"  # (it would put every PDU into words, and fail over those that are odd)
    )
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_associations = settings.associations
    entity.maximum_pdu_size = _PDU_BYTES
    entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = patience_s
    scp = _Scp(settings, intake)
    handlers: list[Any] = [*scp.handlers, *([take_reports(entity, sent)] if sent is not None else [])]
    tls = server_context(settings.tls) if settings.tls else None
    try:
        server: Any = entity.make_server(
            (settings.host, settings.port),
            contexts=_Shared([*_contexts(), *entity.supported_contexts]),
            server_class=_Server,
            request_handler=partial(_Connection, folder=folder, largest_bytes=settings.largest_mb << 20),
            evt_handlers=handlers,
        )
    except OSError as exc:
        msg = f"[dicom] host and port must be free to listen on, got {settings.host}:{settings.port}, {exc.strerror}"
        raise ConfigError(msg) from exc
    server.patience_s = patience_s
    server.tls = tls
    server.connecting = threading.BoundedSemaphore(2 * settings.associations)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="dicom-port")
    thread.start()
    try:
        host, port = server.server_address[:2]
        yield DicomPort(str(host), int(port))
    finally:
        server.stop()
        thread.join()


class _Scp:
    """What is answered to whom."""

    def __init__(self, settings: DicomSettings, intake: Intake) -> None:
        self._intake = intake
        self._ae_title = settings.ae_title
        self._callers = [_caller(one) for one in settings.callers]
        self.handlers = [
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_CONN_CLOSE, _wake),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._store),
        ]

    def _admit(self, event: Any) -> None:
        """Reject an association that is for another, or from one who may not send."""
        peer, request = event.assoc.requestor, event.assoc.requestor.primitive
        calling = request.calling_ae_title.strip()
        if request.called_ae_title.strip() != self._ae_title:
            answer, reason = _NO_CALLED, "called AE title not recognised"
        elif not self._may_send(calling, peer.address_info.address):
            answer, reason = _NO_CALLING, "calling AE title not recognised"
        elif not all(one.transfer_syntax for one in request.presentation_context_definition_list):
            answer, reason = _NO_REASON, "a presentation context without a transfer syntax"
        else:
            return
        _log.warning("association rejected", extra=told(address=peer.address_info.address, reason=reason))
        event.assoc.acse.send_reject(*answer)
        event.assoc.is_rejected = True
        event.assoc.kill()

    def _may_send(self, title: str, address: str) -> bool:
        if not self._callers:
            return True
        return any(
            title == known and (not hosts or _plain(address) in hosts) for known, hosts in self._callers
        )

    def _rejected(self, event: Any) -> None:
        address = event.assoc.requestor.address_info.address
        _log.warning(
            "association rejected", extra=told(address=address, reason="too many associations at once")
        )

    def _aborted(self, event: Any) -> None:
        _log.warning("association aborted", extra=told(address=event.assoc.requestor.address_info.address))

    def _store(self, event: Any) -> Dataset | int:
        """Keep an object, and return the status of that."""
        request, body = event.request, event.request.DataSet
        if not isinstance(body, Body):
            return _status(NOT_UNDERSTOOD, "a C-STORE must carry a data set")
        sender = f"{event.assoc.requestor.ae_title}@{event.assoc.requestor.address_info.address}"
        with body:
            if body.refused is not None:
                self._intake.refuse(body.refused, via="dicom", sender=sender)
                return _status(STATUS[body.refused.why], body.refused.reason)
            if request.AffectedSOPClassUID != event.context.abstract_syntax:
                return _status(CLASS_NOT_SUPPORTED, "SOP class must be that of the presentation context")
            head = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
            outcome = self._intake.accept(
                body.whole(head),
                via="dicom",
                sender=sender,
                told_uids={
                    "sop_class": str(request.AffectedSOPClassUID),
                    "sop_uid": str(request.AffectedSOPInstanceUID),
                },
            )
        if isinstance(outcome, Refused):
            return _status(STATUS[outcome.why], outcome.reason)
        return SUCCESS


def _wake(event: Any) -> None:
    """End the wait for the request of an association whose connection has ended; it would last all its patience."""
    event.assoc.dul.to_user_queue.put(None)


class _Server(ThreadedAssociationServer):
    """Accepts connections without waiting for any of them: a handshake of TLS runs in the connection's thread."""

    patience_s: float
    tls: Any
    connecting: threading.BoundedSemaphore
    """As many connections as may be on their way to an association."""

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection."""
        connection, address = self.socket.accept()  # type: ignore[union-attr]
        connection.settimeout(min(self.patience_s, _HANDSHAKE_S))
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Tell whether there is room for a connection; it is closed otherwise."""
        del request, client_address
        if self.connecting.acquire(blocking=False):
            if len(self.active_associations) < 2 * self.ae.maximum_associations:
                return True
            self.connecting.release()
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Begin an association."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connecting.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin an association, after the handshake where there is TLS."""
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of a connection that came to nothing."""
        del request
        _log.warning("no association", extra=told(address=str(client_address[0])))

    def stop(self) -> None:
        """Accept no more, and end what is open."""
        BaseServer.shutdown(self)  # (pynetdicom's would take itself off a list that it is not on)
        self.server_close()
        left = self.active_associations
        for association in left:
            with suppress(OSError, AttributeError):  # (it may be closing just now)
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
        for association in left:
            association.join()
            association.dul.join()


class _Connection(RequestHandler):
    """Gives each association the bounds of this port."""

    def __init__(self, *args: Any, folder: Path, largest_bytes: int) -> None:
        self._folder, self._largest_bytes = folder, largest_bytes
        super().__init__(*args)

    def _create_association(self) -> Association:
        association: Any = super()._create_association()
        association.dimse = Messages(association, self._folder, self._largest_bytes)
        association.dul.state_machine = BoundedMachine(association.dul)
        stream = association.dul.socket
        # (the class above makes it and tells of it at once; only how it reads and closes is ours)
        stream.__class__ = BoundedStream
        stream.patience_s = association._server.patience_s
        return association


class _Shared(list[PresentationContext]):
    """Contexts that all associations read and none changes; pynetdicom would copy each of them for each."""

    def __deepcopy__(self, _memo: object) -> _Shared:
        return self


def _contexts() -> list[PresentationContext]:
    """Return what is taken: every storage class, in every transfer syntax, as it comes.

    Where a peer offers several transfer syntaxes for one context, the first of ours is chosen: it need not compress.
    """
    syntaxes: list[Any] = [
        ExplicitVRLittleEndian,
        *(one for one in ALL_TRANSFER_SYNTAXES if one != ExplicitVRLittleEndian),
    ]
    contexts = _Shared()
    for abstract_syntax in (Verification, *(one.abstract_syntax for one in AllStoragePresentationContexts)):
        context = PresentationContext()
        context.abstract_syntax = abstract_syntax
        context.transfer_syntax = syntaxes
        contexts.append(context)
    return contexts


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status = code
    status.ErrorComment = comment.encode("ascii", "replace").decode()[:_COMMENT_CHARACTERS].replace("\\", "/")
    return status


def _caller(caller: str) -> tuple[str, frozenset[str]]:
    """Return the title of one who may send, and the addresses that it may send from; none: any.

    Raises
    ------
    ConfigError
        If its host has no address.
    """
    title, _, host = caller.partition("@")
    if not host:
        return title, frozenset()
    try:
        return title, frozenset(_plain(str(found[4][0])) for found in socket.getaddrinfo(host, None))
    except OSError as exc:
        msg = f"callers must name hosts that have an address, got {host}; write the address itself"
        raise ConfigError(msg) from exc


def _plain(address: str) -> str:
    """Return an address in one form: that of IPv4 where it is one in the clothes of IPv6."""
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
