"""STOW-RS against a server that answers as it is told, over real sockets."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from tests.archives import make_certificate, server_tls
from tests.result_files import FILES, uid_of
from tests.service.conftest import Clock
from tests.service.outboxes import STUDY, grade

from stenograde.pacs.send import Outbox, Sender
from stenograde.pacs.settings import Destination, Tls
from stenograde.pacs.states import DeliveryState

UIDS = [uid_of(STUDY, name) for name in FILES]


def stored(uid: str, warning: int | None = None) -> dict[str, Any]:
    """The body of an answer that an object was stored."""
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if warning is not None:
        item["00081196"] = {"vr": "US", "Value": [warning]}
    return {"00081199": {"vr": "SQ", "Value": [item]}}


def failed(uid: str, reason: int) -> dict[str, Any]:
    """The body of an answer that an object was not stored."""
    item = {"00081155": {"vr": "UI", "Value": [uid]}, "00081197": {"vr": "US", "Value": [reason]}}
    return {"00081198": {"vr": "SQ", "Value": [item]}}


@dataclass
class Web:
    """A DICOMweb server."""

    answer: Callable[[str], tuple[int, Any]] = lambda uid: (200, stored(uid))
    token: str = ""
    tls: ssl.SSLContext | None = None
    came: list[str] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def listening(self) -> Iterator[Web]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Authorization", "") != (f"Bearer {web.token}" if web.token else ""):
                    code, body = 401, None
                else:
                    code, body = web.answer(web.take(self.path, self.headers["Content-Type"], content))
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, *_: object) -> None:
                pass

        with Server(("127.0.0.1", 0), Handler) as server:
            if self.tls:
                server.socket = self.tls.wrap_socket(server.socket, server_side=True)
            self.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def take(self, path: str, content_type: str, content: bytes) -> str:
        """Take a request apart by Python's own parser of multiparts."""
        assert path == "/dicom-web/studies"
        message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + content)
        (part,) = message.get_payload()
        assert message.get_content_type() == "multipart/related"
        assert message.get_param("type") == part.get_content_type() == "application/dicom"
        boundary = str(message.get_param("boundary")).encode()
        raw = content.split(b"--" + boundary)[1].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        uid = str(dcmread(BytesIO(raw)).SOPInstanceUID)
        self.came.append(uid)
        return uid


def _sender(outbox: Outbox, web: Web, **changes: object) -> Sender:
    scheme = "https" if web.tls else "http"
    destination = Destination("stow", url=f"{scheme}://127.0.0.1:{web.port}/dicom-web/")
    return Sender("sender-1", "archive", replace(destination, **changes), outbox, answer_s=10)


def _stands(outbox: Outbox) -> tuple[DeliveryState, str]:
    delivery = outbox.deliveries.listed()[0]
    return delivery.state, delivery.reason


def test_results_when_all_are_named_as_stored_then_the_delivery_is_acknowledged(outbox: Outbox) -> None:
    grade(outbox)
    with Web().listening() as web:
        _sender(outbox, web).send_next()
    assert web.came == UIDS
    assert _stands(outbox) == (DeliveryState.DELIVERED, "")


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (lambda uid: (202, stored(uid, 0xB000)), DeliveryState.DELIVERED, ""),
        (lambda uid: (200, [stored(uid)]), DeliveryState.DELIVERED, ""),
        (
            lambda uid: (409, failed(uid, 0xA700)),
            DeliveryState.WAITING,
            "must store sc, got status 0xA700, which may pass",
        ),
        (lambda uid: (202, failed(uid, 0x0000)), DeliveryState.WAITING, "got status 0x0000, which may pass"),
        (
            lambda uid: (409, failed(uid, 0xC000)),
            DeliveryState.WAITING,
            "got status 0xC000 for sc, status 0xC000 for pdf",
        ),
        (
            lambda _uid: (200, stored("1.2.3")),
            DeliveryState.WAITING,
            "does not say what became of the object",
        ),
        (lambda _uid: (200, b""), DeliveryState.WAITING, "does not say what became of the object"),
        (lambda _uid: (200, b"<xml/>"), DeliveryState.WAITING, "does not say what became of the object"),
        (lambda _uid: (200, [1]), DeliveryState.WAITING, "does not say what became of the object"),
        (lambda _uid: (503, b""), DeliveryState.WAITING, "got HTTP 503, which may pass"),
        (lambda _uid: (302, b""), DeliveryState.WAITING, "got HTTP 302, which may pass"),
        (lambda _uid: (401, b""), DeliveryState.WAITING, "got HTTP 401, which may pass"),
        (lambda _uid: (415, b""), DeliveryState.WAITING, "got HTTP 415 for sc, HTTP 415 for pdf"),
    ],
)
def test_an_answer_when_given_then_only_what_it_names_as_stored_counts(
    outbox: Outbox, answer: Callable[[str], tuple[int, Any]], state: DeliveryState, reason: str
) -> None:
    grade(outbox)
    with Web(answer).listening() as web:
        _sender(outbox, web).send_next()
    got, said = _stands(outbox)
    assert got is state
    assert reason in said


def test_a_server_when_it_breaks_off_then_the_next_attempt_goes_on_where_it_broke(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)

    def breaks(uid: str) -> tuple[int, Any]:
        if uid == UIDS[2] and web.came.count(uid) == 1:
            raise ConnectionAbortedError
        return 200, stored(uid)

    with Web(breaks).listening() as web:
        sender = _sender(outbox, web)
        sender.send_next()
        state, reason = _stands(outbox)
        assert state is DeliveryState.WAITING
        assert reason.startswith("destination must answer over HTTP, got RemoteProtocolError")
        clock.go_on(10)
        sender.send_next()
    assert web.came == [*UIDS[:3], *UIDS[2:]]
    assert _stands(outbox)[0] is DeliveryState.DELIVERED


def test_a_token_when_it_is_that_of_the_file_then_results_go_and_it_is_told_to_nobody(
    outbox: Outbox, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grade(outbox)
    file = tmp_path / "token"
    file.write_text("wrong-secret\n", "ascii")
    with Web(token="right-secret").listening() as web:
        sender = _sender(outbox, web, token_file=file)
        sender.send_next()
        assert _stands(outbox) == (
            DeliveryState.WAITING,
            "destination must store sc, got HTTP 401, which may pass",
        )
        file.write_text("right-secret\n", "ascii")  # it is read anew for each attempt
        clock.go_on(10)
        sender.send_next()
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert "secret" not in caplog.text


def test_tls_when_certificates_are_those_of_the_site_then_results_go_else_they_wait(
    outbox: Outbox, clock: Clock, tmp_path: Path
) -> None:
    grade(outbox)
    ours, theirs, strange = (make_certificate(tmp_path, name) for name in ("ours", "theirs", "strange"))
    with Web(tls=server_tls(theirs, ours[0])).listening() as web:
        for tls in (None, Tls(*ours, authorities=strange[0]), Tls(*strange, authorities=theirs[0])):
            _sender(outbox, web, tls=tls).send_next()
            assert _stands(outbox)[0] is DeliveryState.WAITING
            clock.go_on(3600)
        assert not web.came
        _sender(outbox, web, tls=Tls(*ours, authorities=theirs[0])).send_next()
    assert _stands(outbox) == (DeliveryState.DELIVERED, "")
