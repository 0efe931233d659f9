"""The HTTP port over real sockets: STOW-RS and its answers, tokens, readiness, metrics, jobs."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import MRImageStorage
from sqlalchemy import text
from tests.dicom_files import STUDY, mr_dataset, picture, save, write_study
from tests.dicom_peers import HANGING_S, make_certificates
from tests.receiving import Receiving, mr_file, open_files, receiving

from stenograde.errors import ConfigError
from stenograde.pacs.http import HEADER_S, PATIENCE_S, HttpParts, http_port, read_tokens
from stenograde.pacs.metrics import CountedIntake, Metrics
from stenograde.pacs.settings import HttpSettings, Tls

TOKEN = "a-token-of-some-length-17"
STUDIES = "/dicom-web/studies"
HEADERS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=XX'}

Listen = Callable[..., httpx.Client]


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client_of(
    opened: ExitStack,
    kept: Receiving,
    *,
    verify: object = True,
    largest_bytes: int = 1 << 30,
    patience_s: float = PATIENCE_S,
    header_s: float = HEADER_S,
    **settings: object,
) -> httpx.Client:
    """A client of a port that has been opened."""
    metrics = Metrics(kept.queue, kept.store)
    intake = CountedIntake(metrics, kept.store, kept.queue, largest_bytes=largest_bytes)
    parts = HttpParts(kept.database, kept.store, kept.queue, intake, metrics, largest_bytes)
    told = HttpSettings(**({"port": 0} | settings))
    host, port = opened.enter_context(http_port(told, parts, patience_s=patience_s, header_s=header_s))
    kind = "https" if told.tls else "http"
    client = httpx.Client(base_url=f"{kind}://{host}:{port}", verify=verify, timeout=120, trust_env=False)
    return opened.enter_context(client)


@pytest.fixture
def client(opened: ExitStack, kept: Receiving) -> httpx.Client:
    return client_of(opened, kept)


def multipart(*parts: bytes, boundary: bytes = b"XX") -> bytes:
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def uids(answer: httpx.Response, sequence: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get(sequence, {}).get("Value", [])]


def reasons(answer: httpx.Response, sequence: str) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json().get(sequence, {}).get("Value", [])]


def test_study_when_stored_by_a_dicomweb_client_is_kept(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    datasets = [dcmread(path) for path in write_study(tmp_path / "study").rglob("*.dcm")]
    peer = DICOMwebClient(str(client.base_url.join("/dicom-web")))
    answer = peer.store_instances(datasets)
    stored = sorted(str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence)
    assert stored == sorted(str(ds.SOPInstanceUID) for ds in datasets) == sorted(kept.sop_uids())
    assert "FailedSOPSequence" not in answer
    completed = client.post(f"/studies/{STUDY}/complete")
    assert completed.json() == {"study_uid": STUDY, "version": 1}
    assert client.post(f"/studies/{STUDY}/complete").status_code == 409
    (job,) = client.get("/jobs").json()
    assert (job["study_uid"], job["state"]) == (STUDY, "ready")


def test_answer_names_what_is_kept_and_what_is_not(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    good = mr_file(tmp_path).read_bytes()
    body = multipart(good, b"no DICOM", good)
    answer = client.post(STUDIES, content=body, headers=HEADERS)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/dicom+json"
    assert uids(answer, "00081199") == [f"{STUDY}.1.1"] * 2
    assert answer.json()["00081199"]["Value"][0]["00081150"]["Value"] == [MRImageStorage]
    assert reasons(answer, "0008119A") == [0xC000]
    assert len(kept.rows()) == 1
    assert client.post(STUDIES, content=multipart(good), headers=HEADERS).status_code == 200


def test_object_of_another_study_than_its_address_is_refused(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    body = multipart(mr_file(tmp_path).read_bytes())
    answer = client.post(f"{STUDIES}/1.2.3", content=body, headers=HEADERS)
    assert answer.status_code == 409
    assert (uids(answer, "00081198"), reasons(answer, "00081198")) == ([f"{STUDY}.1.1"], [0xA900])
    assert kept.rows() == []
    assert client.post(f"{STUDIES}/{STUDY}", content=body, headers=HEADERS).status_code == 200


def test_part_that_is_too_large_is_refused(opened: ExitStack, kept: Receiving, tmp_path: Path) -> None:
    client = client_of(opened, kept, largest_bytes=4000)
    large, small = mr_file(tmp_path / "large", size=128).read_bytes(), mr_file(tmp_path).read_bytes()
    alone = client.post(STUDIES, content=multipart(large), headers=HEADERS)
    assert (alone.status_code, reasons(alone, "0008119A")) == (413, [0xA700])
    assert client.post(STUDIES, content=multipart(large, small), headers=HEADERS).status_code == 202
    assert len(kept.rows()) == 1


def test_disk_without_room_and_database_away_are_told_to_try_again(
    opened: ExitStack, kept: Receiving, tmp_path: Path
) -> None:
    body = multipart(mr_file(tmp_path).read_bytes())
    with receiving(tmp_path / "full", free_bytes=1 << 60) as full:
        with ExitStack() as other:
            client = client_of(other, full)
            answer = client.post(STUDIES, content=body, headers=HEADERS)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["room"]) == (503, False)
        full.check_whole()
    client = client_of(opened, kept)
    assert client.get("/ready").json() == {"database": True, "store": True, "room": True}
    with kept.database.writing() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO away"))
        connection.execute(text("ALTER TABLE alembic_version RENAME TO away_too"))
    assert client.post(STUDIES, content=body, headers=HEADERS).status_code == 503
    assert client.get("/ready").json() == {"database": False, "store": True, "room": True}
    assert client.get("/jobs").status_code == client.post("/studies/1.2/complete").status_code == 503
    assert "stenograde_database_up 0.0" in client.get("/metrics").text
    assert client.get("/health").status_code == 200
    with kept.database.writing() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO jobs"))
    assert client.post(STUDIES, content=body, headers=HEADERS).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/dicom", b"", 415),
        ("application/dicom+json", b"[]", 415),
        ('multipart/related; type="application/dicom+json"; boundary=XX', multipart(b""), 415),
        (
            HEADERS["Content-Type"],
            multipart(b"x").replace(b"application/dicom", b"text/plain"),
            415,
        ),
        ("multipart/related", multipart(b""), 400),
        ("multipart/related; boundary=" + "X" * 71, multipart(b""), 400),
        (HEADERS["Content-Type"], b"", 400),
        (HEADERS["Content-Type"], b"--XX--\r\n", 400),
        (HEADERS["Content-Type"], b"no multipart at all", 400),
        (HEADERS["Content-Type"], multipart(b"x")[:-8], 400),
        (HEADERS["Content-Type"], b"--XX\r\nA: " + b"x" * 9000 + b"\r\n\r\nx\r\n--XX--\r\n", 400),
        (HEADERS["Content-Type"], b"--XX\r\n" + b"A: x\r\n" * 99 + b"\r\nx\r\n--XX--\r\n", 400),
    ],
)
def test_request_that_is_no_multipart_of_dicom_is_refused(
    kept: Receiving, client: httpx.Client, kind: str, body: bytes, status: int
) -> None:
    answer = client.post(STUDIES, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert kept.rows() == []


def test_parts_that_are_no_objects_are_not_looked_at_for_ever(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    good = mr_file(tmp_path).read_bytes()
    answer = client.post(STUDIES, content=multipart(good, *[b""] * 20_050), headers=HEADERS)
    assert (answer.status_code, len(kept.rows())) == (400, 1)
    line = 'stenograde_refused_total{reason="not understood",via="http"} 200.0'
    assert line in client.get("/metrics").text


def test_what_came_before_a_request_broke_off_is_kept_and_the_rest_is_not(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    body = multipart(mr_file(tmp_path).read_bytes(), mr_file(tmp_path, number=2).read_bytes())[:-600]
    assert client.post(STUDIES, content=body, headers=HEADERS).status_code == 400
    assert kept.sop_uids() == [f"{STUDY}.1.1"]
    head = f"POST {STUDIES} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n"
    head += f"Content-Type: {HEADERS['Content-Type']}\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as half:
        half.sendall(head.encode() + body[:900])
    assert client.get("/health").status_code == 200


def test_only_requests_with_a_token_are_answered(opened: ExitStack, kept: Receiving, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"another-token-of-this-site\n{TOKEN}\n")
    client = client_of(opened, kept, tokens_file=tokens)
    body = multipart(mr_file(tmp_path).read_bytes())
    for authorization in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer \xff"):
        headers = HEADERS | {"Authorization": authorization.encode("latin-1")}
        answer = client.post(STUDIES, content=body, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert kept.rows() == []
    assert {client.get(path).status_code for path in ("/jobs", "/metrics", "/")} == {401}
    assert {client.get(path).status_code for path in ("/health", "/ready")} == {200}
    known = {"Authorization": f"Bearer {TOKEN}"}
    assert client.post(STUDIES, content=body, headers=HEADERS | known).status_code == 200
    assert client.get("/metrics", headers=known).status_code == 200


@pytest.mark.parametrize("content", ["", "short\n", "ä" * 20])
def test_tokens_that_can_be_guessed_are_refused_at_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(ConfigError, match="tokens_file must"):
        read_tokens(tmp_path / "tokens")
    with pytest.raises(ConfigError, match="No such file"):
        read_tokens(tmp_path / "none")


def test_metrics_count_what_was_received_and_refused(
    kept: Receiving, client: httpx.Client, tmp_path: Path
) -> None:
    good = mr_file(tmp_path).read_bytes()
    client.post(STUDIES, content=multipart(good, good, b"no DICOM"), headers=HEADERS)
    told = client.get("/metrics").text
    for line in (
        'stenograde_received_total{is_new="true",via="http"} 1.0',
        'stenograde_received_total{is_new="false",via="http"} 1.0',
        'stenograde_refused_total{reason="not understood",via="http"} 1.0',
        'stenograde_jobs{state="receiving"} 1.0',
        "stenograde_database_up 1.0",
    ):
        assert line in told
    assert f"{STUDY}" not in told
    assert len(kept.rows()) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_takes_only_who_has_a_certificate_of_ours(
    opened: ExitStack, kept: Receiving, tmp_path: Path
) -> None:
    made = make_certificates(tmp_path)
    ours = Tls(made / "service.pem", made / "service.key", made / "authority.pem")
    known = ssl.create_default_context(cafile=str(made / "authority.pem"))
    known.load_cert_chain(made / "client.pem", made / "client.key")
    client = client_of(opened, kept, tls=ours, verify=known)
    assert client.get("/health").json() == {"status": "up"}
    nobody = ssl.create_default_context(cafile=str(made / "authority.pem"))
    other = httpx.Client(base_url=client.base_url, verify=nobody, trust_env=False)
    with other, pytest.raises(httpx.TransportError):
        other.get("/health")


def test_port_in_use_is_refused_at_the_start(opened: ExitStack, kept: Receiving) -> None:
    client = client_of(opened, kept)
    with pytest.raises(ConfigError, match="free to listen on"):
        client_of(opened, kept, port=client.base_url.port)


def test_log_and_answers_name_no_patient(
    kept: Receiving, client: httpx.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ds = mr_dataset(picture(16, 16), PatientName="Doe^Jane", PatientID="secret-17")
    data = save(ds, tmp_path / "one.dcm").read_bytes()
    caplog.set_level("DEBUG", logger="stenograde")
    answer = client.post(STUDIES, content=multipart(data, data[:-9]), headers=HEADERS)
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    told += json.dumps(answer.json()) + client.get("/jobs").text
    assert f"{STUDY}.1.1" in told
    assert "Doe" not in told
    assert "secret-17" not in told
    assert len(kept.rows()) == 1


def dripped(client: httpx.Client, head: bytes, drip: bytes) -> bytes:
    """Send a head and then byte after byte for as long as the port takes them; return what it says meanwhile."""
    answer = b""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as half:
        half.sendall(head)
        half.settimeout(0.05)
        deadline = time.monotonic() + HANGING_S
        while time.monotonic() < deadline:
            try:
                half.sendall(drip)
                got = half.recv(1 << 16)
            except TimeoutError:
                continue
            except ConnectionError:
                return answer
            if not got:
                return answer
            answer += got
    pytest.fail("a connection that drips must be closed")


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_header_that_drips_is_not_waited_for(opened: ExitStack, kept: Receiving, before: bytes) -> None:
    client = client_of(opened, kept, header_s=0.5)
    answer = dripped(client, before + b"GET /health HTTP/1.1\r\nA: ", b"x")
    assert answer.count(b"HTTP/1.1 200") == bool(before)


def test_body_that_drips_is_refused_and_its_connection_closed(opened: ExitStack, kept: Receiving) -> None:
    client = client_of(opened, kept, header_s=0.5, patience_s=0.5)
    head = f"POST {STUDIES} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n"
    head += f"Content-Type: {HEADERS['Content-Type']}\r\n\r\n--XX\r\nContent-Type: application/dicom\r\n\r\n"
    assert b" 408 " in dripped(client, head.encode(), b"x")


def test_body_that_no_one_asked_for_is_not_waited_for(opened: ExitStack, kept: Receiving) -> None:
    client = client_of(opened, kept, header_s=0.5)
    head = b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"
    assert b" 200 " in dripped(client, head, b"x")


def test_connections_beyond_a_number_are_closed_and_others_still_answered(
    opened: ExitStack, kept: Receiving
) -> None:
    client = client_of(opened, kept)
    address = (client.base_url.host, client.base_url.port)
    assert client.get("/health").status_code == 200
    before = open_files()
    many = [opened.enter_context(socket.create_connection(address)) for _ in range(200)]
    many[-1].settimeout(HANGING_S)
    assert many[-1].recv(1) == b""
    assert open_files() - before - len(many) <= 128
    for one in many:
        one.close()
    deadline = time.monotonic() + HANGING_S
    while time.monotonic() < deadline:  # (until the port has seen that they are closed)
        with suppress(httpx.TransportError):
            if client.get("/health").status_code == 200:
                return
    pytest.fail("a connection must be taken once others have ended")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends such connections")
def test_answers_that_no_one_takes_are_given_up(opened: ExitStack, kept: Receiving) -> None:
    client = client_of(opened, kept, patience_s=0.5)
    many = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((client.base_url.host, client.base_url.port))
        deaf.settimeout(0.05)
        deadline = time.monotonic() + HANGING_S
        while time.monotonic() < deadline:
            try:
                deaf.sendall(many)
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("a connection whose answers are not taken must be closed")
