"""Peers of the DICOM port that say byte by byte what a test wants."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

HANGING_S = 120.0
"""A guard against hanging, s."""

ACCEPTED, REJECTED, DATA, RELEASED, ABORTED = 2, 3, 4, 6, 7
"""Types of PDUs."""


def associate_request(
    *,
    called: str = "STENOGRADE",
    calling: str = "SCANNER",
    sop_class: str = MRImageStorage,
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
) -> bytes:
    """The bytes of an A-ASSOCIATE-RQ with one context, whose number is 1."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    context = build_context(sop_class, list(syntaxes))
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    return A_ASSOCIATE_RQ(primitive).encode()


def store_request(
    data_set: bytes, *, sop_uid: str, sop_class: str = MRImageStorage, pdu_bytes: int = 16384
) -> bytes:
    """The bytes of the P-DATA-TF of a C-STORE."""
    primitive = C_STORE()
    primitive.MessageID = 1
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = sop_class, sop_uid
    primitive.Priority, primitive.DataSet = 2, BytesIO(data_set)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    message.context_id = 1
    return b"".join(P_DATA_TF(data).encode() for data in message.encode_msg(1, pdu_bytes))


def abort() -> bytes:
    pdu = A_ABORT_RQ()
    pdu.source, pdu.reason_diagnostic = 0, 0
    return pdu.encode()


class Peer:
    """A connection to the port."""

    def __init__(self, port: int, guard_s: float = HANGING_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=guard_s)

    def send(self, data: bytes) -> Peer:
        """Send what the port still takes; give itself."""
        with suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def pdu(self) -> bytes:
        """The next PDU; empty where the port has closed the connection."""
        try:
            head = self._exactly(6)
            return head and head + self._exactly(struct.unpack(">L", head[2:])[0])
        except ConnectionError:
            return b""

    def last_pdu(self) -> bytes:
        """The next PDU, with nothing further to be sent: the port need not wait."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        return self.pdu()

    def associated(self, **what: str) -> Peer:
        """Itself, with an association."""
        self.send(associate_request(**what))
        answer = self.pdu()
        assert answer[0] == ACCEPTED, f"an association must be accepted, got {answer!r}"
        return self

    def status(self) -> int:
        """The status of the next answer to a C-STORE."""
        message = DIMSEMessage()
        while True:
            answer = self.pdu()
            assert answer, "the port must answer, got a closed connection"
            assert answer[0] == DATA, answer
            pdu = P_DATA_TF()
            pdu.decode(answer)
            if message.decode_msg(pdu.to_primitive()):
                return int(message.command_set.Status)

    def wait_closed(self) -> None:
        """Read until the port closes the connection."""
        while self.pdu():
            pass

    def _exactly(self, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes:
            got = self.socket.recv(n_bytes - len(data))
            if not got:
                return b""
            data += got
        return data


@contextmanager
def peer(port: int, guard_s: float = HANGING_S) -> Iterator[Peer]:
    one = Peer(port, guard_s)
    with one.socket:
        yield one


def make_certificates(folder: Path) -> Path:
    """Write ``authority.pem``, and ``NAME.pem`` with ``NAME.key`` for a service, a client and a stranger."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    for name in ("authority", "stranger"):
        openssl("req", "-x509", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("service", "client"):
        openssl("req", *new[:-2], "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "30")
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, "-extfile", "names", "-out", f"{name}.pem")
    return folder
