"""Peers over real sockets that fail in every way, and certificates for them."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

Status = Callable[[str], int]


@dataclass
class Peer:
    """A destination that stores what comes in memory, and answers as it is told."""

    title: str = "ARCHIVE"
    status: Status = lambda _uid: 0x0000
    contexts: Sequence[PresentationContext] = ()
    abort_after: int | None = None
    """How many objects it takes before it aborts."""
    slow_s: float = 0.0
    callers: Sequence[str] = ()
    tls: ssl.SSLContext | None = None
    port: int = 0
    commitment: str = ""
    """How it answers to a request: "same" or "new" association, "never", "refused"; "" does not know of it."""
    report_to: tuple[str, int] | None = None
    lost: frozenset[str] = frozenset()
    """What it says it does not have when it is asked to commit."""
    asked: list[str] = field(default_factory=list)
    came: Counter[str] = field(default_factory=Counter)
    """How often each object came."""
    held: dict[str, Dataset] = field(default_factory=dict)
    before_answer: Callable[[str], None] = lambda _uid: None
    threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[Peer]:
        """Listen; at the same port again when it is started a second time."""
        entity = AE(ae_title=self.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(self.callers)
        entity.supported_contexts = list(self.contexts or AllStoragePresentationContexts)
        if self.commitment:
            entity.add_supported_context(StorageCommitmentPushModel)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit)]
        server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=self.tls
        )
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            for thread in self.threads:
                thread.join()
            server.shutdown()

    def _store(self, event: evt.Event) -> int:
        if self.abort_after is not None and self.came.total() >= self.abort_after:
            self.abort_after = None
            event.assoc.abort()
            return 0xA700
        time.sleep(self.slow_s)
        uid = str(event.request.AffectedSOPInstanceUID)
        self.came[uid] += 1
        status = self.status(uid)
        if status == 0 or 0xB000 <= status <= 0xBFFF:
            self.held[uid] = event.dataset
        self.before_answer(uid)
        return status

    def _commit(self, event: evt.Event) -> tuple[int, Dataset | None]:
        request = event.action_information
        self.asked.append(str(request.TransactionUID))
        if self.commitment == "refused":
            return 0x0110, None
        if self.commitment != "never":
            report = self._report(request)
            thread = threading.Thread(target=self._tell, args=(event.assoc, report))
            self.threads.append(thread)
            thread.start()
        return 0x0000, None

    def _report(self, request: Dataset) -> Dataset:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        uids = {item.ReferencedSOPInstanceUID: item for item in request.ReferencedSOPSequence}
        missing = [uid for uid in uids if uid in self.lost or uid not in self.held]
        report.ReferencedSOPSequence = [item for uid, item in uids.items() if uid not in missing]
        if missing:
            report.FailedSOPSequence = [uids[uid] for uid in missing]
            for item in report.FailedSOPSequence:
                item.FailureReason = 0x0112
        return report

    def _tell(self, association: Any, report: Dataset) -> None:
        if self.commitment == "same":
            time.sleep(0.2)  # the response goes first
            send_report(association, report)
            return
        while association.is_established:
            time.sleep(0.01)
        assert self.report_to is not None
        report_on_new_association(self.report_to, report)


def report_on_new_association(address: tuple[str, int], report: Dataset, *, title: str = "STENOGRADE") -> int:
    """Report as an archive does later; return the status that it is answered with."""
    from pynetdicom import build_role

    entity = AE(ae_title="ARCHIVE")
    association = entity.associate(
        *address,
        contexts=[build_context(StorageCommitmentPushModel)],
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        ae_title=title,
    )
    assert association.is_established
    try:
        return send_report(association, report)
    finally:
        association.release()


def send_report(association: Any, report: Dataset) -> int:
    """Send a report of storage commitment; return the status that it is answered with."""
    kind = 2 if "FailedSOPSequence" in report else 1
    status, _ = association.send_n_event_report(
        report, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    return status.Status


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, for this machine; return its file and its key's."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    words += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


def server_tls(own: tuple[Path, Path], authority: Path) -> ssl.SSLContext:
    """Return what a server needs that asks for a certificate of an authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*own)
    return context
