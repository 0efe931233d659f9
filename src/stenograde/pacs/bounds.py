"""What pynetdicom trusts of a peer, bounded: PDUs, commands, objects, and messages that wait for their answer."""

from __future__ import annotations

import errno
import logging
import socket
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.fsm import StateMachine
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from stenograde.pacs.bodies import Body
from stenograde.pacs.logs import told

_log = logging.getLogger(__name__)

_LONGEST_PDU_BYTES: Final = 1 << 20
"""Longest PDU that is read: the largest association request has 128 contexts, some kB each."""

_COMMAND_BYTES: Final = 64 << 10
_WAITING: Final = 8
"""Most messages that wait for their answer: a peer that did not negotiate more sends one at a time."""


class Messages(DIMSEServiceProvider):
    """Puts messages together from P-DATA, within bounds."""

    def __init__(self, association: Association, folder: Path, largest_bytes: int) -> None:
        super().__init__(association)
        self._folder, self._largest_bytes = folder, largest_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take a P-DATA; a peer that does not keep to the protocol is aborted."""
        try:
            if self.message is None:
                self.message = DIMSEMessage()
                self.message.encoded_command_set = _Command()
                self.message.data_set = Body(self._folder, self._largest_bytes)
            body = self.message.data_set
            super().receive_primitive(primitive)
            if body.n_bytes > 2 * self._largest_bytes or self.msg_queue.qsize() > _WAITING:  # type: ignore[union-attr]
                self._abort()
        except Exception as exc:  # noqa: BLE001  whatever a peer sends must not end the thread that reads it
            _log.warning("message not understood", extra=told(fault=type(exc).__name__))
            self._abort()

    def _abort(self) -> None:
        self.message = None
        self.dul.event_queue.put("Evt19")


class _Command(BytesIO):
    """The bytes of a command; there are never many."""

    def write(self, data: Any, /) -> int:
        """Add bytes.

        Raises
        ------
        ValueError
            If there are too many.
        """
        if self.tell() + len(data) > _COMMAND_BYTES:
            msg = f"a command must hold at most {_COMMAND_BYTES} bytes, got more"
            raise ValueError(msg)
        return super().write(data)


class BoundedMachine(StateMachine):
    """Ends a connection in which something comes out of turn, or that is asked for in a way that cannot be answered.

    Such as our answer to a peer that we have aborted, or a presentation context of an even number; pynetdicom would
    raise in the thread that reads the connection, and leave it open.
    """

    def do_action(self, event: str) -> None:
        """Take an event."""
        try:
            super().do_action(event)
        except Exception as exc:  # noqa: BLE001  whatever a peer sends must not end the thread that reads it
            _log.warning("association not understood", extra=told(kind=type(exc).__name__))
            if self.dul.socket is not None:
                self.dul.socket.close()
            self.dul.kill_dul()


class BoundedStream(AssociationSocket):
    """Reads a connection within bounds, and closes it whatever its peer has done."""

    patience_s: float

    def recv(self, nr_bytes: int) -> bytearray:
        """Return bytes of the connection; fewer where it ends.

        Raises
        ------
        OSError
            If there would be too many, or they do not all come in time.
        """
        if nr_bytes > _LONGEST_PDU_BYTES:
            raise OSError(errno.EMSGSIZE, f"a PDU must hold at most {_LONGEST_PDU_BYTES} bytes, got more")
        buffer, n_read, deadline = bytearray(nr_bytes), 0, time.monotonic() + self.patience_s
        connection: Any = self.socket
        with memoryview(buffer) as view:
            while n_read < nr_bytes:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                got = connection.recv_into(view[n_read:])
                if not got:
                    break
                n_read += got
        return buffer[:n_read]

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is not None:
            with suppress(OSError):  # (it fails where the peer is gone already)
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
