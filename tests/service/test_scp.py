"""The DICOM port over real sockets: what is kept, and what each sender is told."""

from __future__ import annotations

import gc
import shutil
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, Association
from pynetdicom.dul import DULServiceProvider
from sqlalchemy import text
from tests.dicom_files import LOSSLESS, LOSSY, NATIVE, STUDY, mr_dataset, picture, save, write_study
from tests.dicom_peers import (
    ABORTED,
    ACCEPTED,
    HANGING_S,
    REJECTED,
    RELEASED,
    Peer,
    abort,
    associate_request,
    make_certificates,
    peer,
    store_request,
)
from tests.receiving import Receiving, mr_file, open_files, pixels_of, receiving, stripped, threads

from stenograde.errors import ConfigError
from stenograde.pacs.intake import Accepted, Intake, Refused
from stenograde.pacs.scp import dicom_port
from stenograde.pacs.settings import DicomSettings, Tls
from stenograde.pacs.storing import end

# (pynetdicom brings programs of the same names)
STORESCU, ECHOSCU = (shutil.which(name, path="/usr/bin:/usr/local/bin") for name in ("storescu", "echoscu"))

Listen = Callable[..., int]


@pytest.fixture
def listen(kept: Receiving) -> Iterator[Listen]:
    """Opens a port with settings, and gives its number."""
    with ExitStack() as opened:

        def listen(*, patience_s: float = 60.0, intake: object = None, **settings: object) -> int:
            told = DicomSettings(**({"port": 0} | settings))
            port = dicom_port(told, intake or kept.intake, kept.incoming, patience_s=patience_s)
            return opened.enter_context(port).port

        yield listen


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def associated(port: int, path: Path, *, calling: str = "SCANNER", tls: object = None) -> Association:
    """An association of pynetdicom for the object in a file."""
    ds = dcmread(path)
    entity = AE(ae_title=calling)
    entity.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    return entity.associate("127.0.0.1", port, ae_title="STENOGRADE", tls_args=tls)


def sent(port: int, *paths: Path, **who: object) -> list[int]:
    """The status of each file that is sent."""
    association = associated(port, paths[0], **who)
    assert association.is_established
    try:
        return [int(association.send_c_store(path).Status) for path in paths]
    finally:
        end(association, HANGING_S)


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *LOSSY])
def test_object_when_sent_in_any_transfer_syntax_is_kept_byte_by_byte(
    kept: Receiving, listen: Listen, tmp_path: Path, syntax: str
) -> None:
    pixels = picture(16, 16, top=255 if syntax in LOSSY else 4095)
    ds = mr_dataset(pixels.astype(np.uint8) if syntax in LOSSY[:1] else pixels)
    path = save(ds, tmp_path / "one.dcm", syntax)
    assert sent(listen(), path) == [0x0000]
    (row,) = kept.rows()
    there = kept.root / str(row["path"])
    assert dcmread(there).file_meta.TransferSyntaxUID == syntax
    assert stripped(there) == stripped(path)
    assert row["sender"] == "SCANNER@127.0.0.1"


@pytest.mark.skipif(STORESCU is None, reason="dcmtk is not installed")
def test_study_when_sent_by_dcmtk_is_kept(kept: Receiving, listen: Listen, tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    words = [str(STORESCU), "-aec", "STENOGRADE", "+sd", "+r", "127.0.0.1", str(listen()), str(folder)]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    files = {dcmread(path).SOPInstanceUID: path for path in folder.rglob("*.dcm")}
    assert sorted(kept.sop_uids()) == sorted(files)
    for row in kept.rows():
        np.testing.assert_array_equal(
            pixels_of(kept.root, row), dcmread(files[str(row["sop_uid"])]).pixel_array
        )
    assert kept.queue.complete(STUDY) == 1


@pytest.mark.skipif(ECHOSCU is None, reason="dcmtk is not installed")
@pytest.mark.parametrize(("called", "code"), [("STENOGRADE", 0), ("ANOTHER", 1)])
def test_echo_is_answered_where_the_called_title_is_ours(listen: Listen, called: str, code: int) -> None:
    words = [str(ECHOSCU), "-aec", called, "127.0.0.1", str(listen())]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode != 0) == bool(code)
    assert (b"Called AE Title Not Recognized" in done.stderr) == bool(code)


def test_same_object_when_sent_again_is_acknowledged_and_changes_nothing(
    kept: Receiving, listen: Listen, tmp_path: Path
) -> None:
    path = mr_file(tmp_path)
    assert sent(listen(), path, path) == [0, 0]
    assert len(kept.rows()) == 1


@pytest.mark.parametrize(
    ("callers", "is_taken"),
    [
        (("SCANNER",), True),
        (("OTHER", "SCANNER@127.0.0.1"), True),
        (("SCANNER@localhost",), True),
        (("SCANNER@10.1.2.3",), False),
        (("OTHER",), False),
        (("SCANNE",), False),
    ],
)
def test_caller_that_is_not_on_the_list_is_rejected(
    listen: Listen, callers: tuple[str, ...], *, is_taken: bool
) -> None:
    with peer(listen(callers=callers)) as one:
        one.send(associate_request())
        answer = one.pdu()
    assert answer[0] == (ACCEPTED if is_taken else REJECTED)
    if not is_taken:
        assert answer[7:10] == bytes([1, 1, 3])  # permanent, calling AE title not recognised (PS3.8 9.3.4)


def test_host_of_a_caller_that_has_no_address_is_refused_at_the_start(listen: Listen) -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.invalid"):
        listen(callers=("SCANNER@no.such.invalid",))


def test_port_in_use_is_refused_at_the_start(listen: Listen) -> None:
    port = listen()
    with pytest.raises(ConfigError, match="free to listen on"):
        listen(port=port)


def test_association_too_many_is_rejected_until_another_ends(listen: Listen) -> None:
    port = listen(associations=1)
    with peer(port) as first:
        first.associated()
        with peer(port) as second:
            second.send(associate_request())
            assert second.pdu()[7:10] == bytes([2, 3, 2])  # transient, local limit exceeded
        first.send(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        assert first.pdu()[0] == RELEASED  # (the port now waits for us to close)
    answer = b""
    while answer[:1] != bytes([ACCEPTED]):  # (the thread of the first may still be ending)
        with peer(port) as third:
            third.send(associate_request())
            answer = third.pdu()


def test_object_that_is_too_large_is_refused_and_the_next_is_taken(
    kept: Receiving, listen: Listen, tmp_path: Path
) -> None:
    large, small = mr_file(tmp_path / "large", number=1, size=800), mr_file(tmp_path, number=2)
    assert large.stat().st_size > 1 << 20
    assert sent(listen(largest_mb=1), large, small) == [0xA700, 0]
    assert len(kept.rows()) == 1


def test_peer_that_does_not_stop_is_aborted(kept: Receiving, listen: Listen) -> None:
    data = store_request(bytes(3 << 20), sop_uid="1.2.3")
    with peer(listen(largest_mb=1)) as one:
        one.associated().send(data)
        assert one.pdu()[:1] in {bytes([ABORTED]), b""}  # (what it still sends may overtake the abort)
    assert kept.rows() == []


def test_object_above_what_lies_in_memory_is_kept(kept: Receiving, listen: Listen, tmp_path: Path) -> None:
    path = mr_file(tmp_path, size=1200)
    assert path.stat().st_size > 2 << 20
    assert sent(listen(), path) == [0]
    (row,) = kept.rows()
    assert stripped(kept.root / str(row["path"])) == stripped(path)


def test_disk_without_room_refuses(tmp_path: Path) -> None:
    with receiving(tmp_path, free_bytes=1 << 60) as kept:
        with dicom_port(DicomSettings(port=0), kept.intake, kept.incoming) as port:
            assert sent(port.port, mr_file(tmp_path)) == [0xA700]
        kept.check_whole()


def test_database_that_does_not_answer_refuses(tmp_path: Path) -> None:
    with receiving(tmp_path) as kept:
        with kept.database.writing() as connection:
            connection.execute(text("ALTER TABLE jobs RENAME TO away"))
        with dicom_port(DicomSettings(port=0), kept.intake, kept.incoming) as port:
            path = mr_file(tmp_path)
            assert sent(port.port, path) == [0xA700]
            with kept.database.writing() as connection:
                connection.execute(text("ALTER TABLE away RENAME TO jobs"))
            assert sent(port.port, path) == [0]
        kept.check_whole()


@pytest.mark.parametrize(
    ("told_class", "told_uid", "status"),
    [
        (MRImageStorage, f"{STUDY}.1.1", 0),
        (MRImageStorage, "1.2.3.4", 0xA900),
        (CTImageStorage, f"{STUDY}.1.1", 0x0122),
    ],
)
def test_object_other_than_its_sender_tells_is_refused(
    listen: Listen, tmp_path: Path, told_class: str, told_uid: str, status: int
) -> None:
    with peer(listen()) as one:
        one.associated()
        one.send(store_request(stripped(mr_file(tmp_path)), sop_uid=told_uid, sop_class=told_class))
        assert one.status() == status


def test_data_set_of_another_class_than_its_context_is_refused(listen: Listen, tmp_path: Path) -> None:
    with peer(listen()) as one:
        one.associated(sop_class=CTImageStorage)
        data = store_request(stripped(mr_file(tmp_path)), sop_uid=f"{STUDY}.1.1", sop_class=CTImageStorage)
        one.send(data)
        assert one.status() == 0xA900


@pytest.mark.parametrize("what", ["a byte", "noise", "truncated", "hostile study", "no study"])
def test_what_is_not_understood_is_refused(
    kept: Receiving, listen: Listen, tmp_path: Path, what: str
) -> None:
    if what == "hostile study":
        with pytest.warns(UserWarning, match="Invalid value for VR UI"):
            path = mr_file(tmp_path, study="../../../etc/passwd")
    else:
        path = mr_file(tmp_path, study="" if what == "no study" else STUDY)
    data = stripped(path)
    data = {"a byte": b"\0", "noise": bytes(range(256)) * 4, "truncated": data[:-100]}.get(what, data)
    with peer(listen()) as one:
        one.associated().send(store_request(data, sop_uid=f"{STUDY}.1.1"))
        assert one.status() == 0xC000
        one.send(store_request(stripped(mr_file(tmp_path)), sop_uid=f"{STUDY}.1.1"))
        assert one.status() == 0x0000  # the association goes on
    assert len(kept.rows()) == 1


def _halves(tmp_path: Path) -> tuple[bytes, bytes]:
    data = store_request(stripped(mr_file(tmp_path, size=128)), sop_uid=f"{STUDY}.1.1")
    return data[: len(data) // 2], data[len(data) // 2 :]


@pytest.mark.parametrize("how", ["abort", "close", "half a study"])
def test_association_that_ends_in_the_middle_keeps_what_was_acknowledged(
    kept: Receiving, listen: Listen, tmp_path: Path, how: str
) -> None:
    with peer(listen()) as one:
        one.associated()
        one.send(store_request(stripped(mr_file(tmp_path, number=2)), sop_uid=f"{STUDY}.1.2"))
        assert one.status() == 0
        if how != "half a study":
            one.send(_halves(tmp_path)[0])
        if how == "abort":
            one.send(abort())
    assert kept.sop_uids() == [f"{STUDY}.1.2"]
    assert sent(listen(), mr_file(tmp_path)) == [0]
    assert sorted(kept.sop_uids()) == [f"{STUDY}.1.1", f"{STUDY}.1.2"]


def _even_context() -> bytes:
    """An association request whose presentation context has a number that it may not have."""
    request = bytearray(associate_request())
    request[request.index(b"\x20\x00", 74) + 4] = 2
    return bytes(request)


def _no_syntax() -> bytes:
    """An association request whose presentation context offers no transfer syntax."""
    request = bytearray(associate_request())
    context, syntax = request.index(b"\x20\x00", 74), request.index(b"\x40\x00", 74)
    end = syntax + 4 + int.from_bytes(request[syntax + 2 : syntax + 4], "big")
    n_bytes = end - syntax
    for at, size in ((2, 4), (context + 2, 2)):
        length = int.from_bytes(request[at : at + size], "big") - n_bytes
        request[at : at + size] = length.to_bytes(size, "big")
    del request[syntax:end]
    return bytes(request)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x01\x00\x00\x00\x00\x08" + bytes(8),
        b"\x04\x00\x00\x00\x00\x04" + bytes(4),
        b"\x09\x00\x00\x00\x00\x04" + bytes(4),
        associate_request()[:40],
        associate_request().replace(b"SCANNER", b"SC\xff\x00NER"),
        _even_context(),
        _no_syntax(),
    ],
    ids=[
        "http",
        "4 GB",
        "empty request",
        "data first",
        "unknown",
        "half a request",
        "title",
        "even context",
        "no syntax",
    ],
)
def test_malformed_association_is_ended_and_the_next_is_taken(
    kept: Receiving, listen: Listen, tmp_path: Path, data: bytes
) -> None:
    port = listen(patience_s=5.0)
    with peer(port) as one:
        one.send(data)
        one.wait_closed()
    assert sent(port, mr_file(tmp_path)) == [0]
    assert len(kept.rows()) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x00\xff\xff\xff\xff",
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",  # a command of nothing
        b"\x04\x00\x00\x00\x00\x05\x00\x00\x00\x01\x01",  # a PDV without its header
        b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x02",  # a data set without a command
        b"\x04\x00\x00\x01\x00\x06" + struct.pack(">LBB", 65538, 1, 1) + bytes(65536),
        b"\x04\x00\x00\x01\x00\x06" + struct.pack(">LBB", 65538, 1, 1) + bytes(65536) * 2,
        store_request(b"", sop_uid="1.2.3").replace(b"\x00\x00\x01\x03", b"\x00\x00\x07\x03"),
        associate_request(),
    ],
    ids=["4 GB", "no command", "no header", "no message", "half a PDU", "long", "context", "twice"],
)
def test_malformed_message_ends_its_association_alone(
    kept: Receiving, listen: Listen, tmp_path: Path, data: bytes
) -> None:
    port = listen(patience_s=2.0)
    with peer(port) as other:
        other.associated(calling="OTHER")
        with peer(port) as one:
            one.associated().send(data)
            one.wait_closed()
    assert sent(port, mr_file(tmp_path)) == [0]
    assert len(kept.rows()) == 1


def test_answer_to_a_peer_that_was_aborted_meanwhile_ends_its_connection(
    kept: Receiving, listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came, goes_on, fallen = threading.Event(), threading.Event(), []
    monkeypatch.setattr(threading, "excepthook", fallen.append)

    class Slow(Intake):
        def accept(self, *args: Any, **told: Any) -> Accepted | Refused:
            came.set()
            goes_on.wait(HANGING_S)
            return super().accept(*args, **told)

    looks = DULServiceProvider._is_transport_event

    def looks_late(self: DULServiceProvider) -> bool:
        """Not before there is an answer to be sent once the peer was aborted."""
        is_early = self.state_machine.current_state == "Sta13" and self.to_provider_queue.empty()
        return not is_early and looks(self)

    monkeypatch.setattr(DULServiceProvider, "_is_transport_event", looks_late)
    before = open_files()
    port = listen(intake=Slow(kept.store, kept.queue))
    gc.disable()  # (it would close what is forgotten)
    try:
        with peer(port) as one:
            one.associated().send(store_request(stripped(mr_file(tmp_path)), sop_uid=f"{STUDY}.1.1"))
            assert came.wait(HANGING_S)
            one.send(b"\x09\x00\x00\x00\x00\x00")
            assert one.pdu()[0] == ABORTED
            goes_on.set()
            one.wait_closed()
        deadline = time.monotonic() + HANGING_S
        while open_files() > before + 1 and time.monotonic() < deadline:  # (that of the port)
            time.sleep(0.02)
        assert open_files() <= before + 1
    finally:
        gc.enable()
    assert fallen == []


def test_nobody_who_waits_keeps_others_waiting(listen: Listen, tmp_path: Path, certificates: Path) -> None:
    tls = Tls(certificates / "service.pem", certificates / "service.key")
    port = listen(tls=tls)
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    with ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(peer(port))  # (never says anything, not even hello)
        assert sent(port, mr_file(tmp_path), tls=(context, "localhost")) == [0]


@pytest.mark.parametrize("who", ["client", "stranger", "nobody", "plain"])
def test_tls_with_certificates_takes_only_who_has_one_of_ours(
    kept: Receiving, listen: Listen, tmp_path: Path, certificates: Path, who: str
) -> None:
    ours = Tls(certificates / "service.pem", certificates / "service.key", certificates / "authority.pem")
    port = listen(tls=ours)
    context = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    if who in {"client", "stranger"}:
        context.load_cert_chain(certificates / f"{who}.pem", certificates / f"{who}.key")
    with peer(port) as one:
        try:
            if who != "plain":
                one.socket = context.wrap_socket(one.socket, server_hostname="localhost")
            one.send(associate_request())
            answer = one.pdu()[:1]
        except ssl.SSLError:  # (TLS 1.3 tells a client only afterwards that its certificate is refused)
            answer = b""
        finally:
            one.socket.close()
    assert answer == (bytes([ACCEPTED]) if who == "client" else b"")
    if who == "client":
        assert sent(port, mr_file(tmp_path), tls=(context, "localhost")) == [0]
    assert len(kept.rows()) == (who == "client")


def test_tls_files_that_do_not_fit_are_refused_at_the_start(listen: Listen, certificates: Path) -> None:
    with pytest.raises(ConfigError, match="PEM files that fit together"):
        listen(tls=Tls(certificates / "service.pem", certificates / "client.key"))
    with pytest.raises(ConfigError, match="No such file"):
        listen(tls=Tls(certificates / "none.pem", certificates / "client.key"))


def test_log_names_no_patient(
    kept: Receiving, listen: Listen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ds = mr_dataset(picture(16, 16), PatientName="Doe^Jane", PatientID="secret-17")
    path = save(ds, tmp_path / "one.dcm")
    caplog.set_level("DEBUG")
    with peer(listen()) as one:
        one.associated().send(store_request(stripped(path), sop_uid=f"{STUDY}.1.1"))
        assert one.status() == 0
        one.send(store_request(stripped(path)[:-9], sop_uid=f"{STUDY}.1.1"))
        assert one.status() == 0xC000
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert f"{STUDY}.1.1" in told
    assert "Doe" not in told
    assert "secret-17" not in told
    assert len(kept.rows()) == 1


def test_associations_that_fail_leave_no_file_and_no_thread(listen: Listen, tmp_path: Path) -> None:
    port, half = listen(), _halves(tmp_path)[0]

    def fail() -> tuple[int, int]:
        for _ in range(10):
            with peer(port) as one:
                one.associated().send(half)
            with peer(port) as one:
                one.associated().send(b"\x09\x00\x00\x00\x00\x01\x00")
                assert one.pdu()[:1] == bytes([ABORTED])
        while threads() > n_threads:  # (those of the last may still be ending)
            pass
        return open_files(), threads()

    n_threads = threads()
    first = fail()
    assert fail() == first


def test_port_that_stops_ends_what_is_open(kept: Receiving) -> None:
    with ExitStack() as open_peers:
        with dicom_port(DicomSettings(port=0), kept.intake, kept.incoming) as port:
            one = open_peers.enter_context(peer(port.port))
            one.associated()
            other: Peer = open_peers.enter_context(peer(port.port))
            other.send(associate_request()[:40])
        one.wait_closed()
        other.wait_closed()
        assert one.pdu() == other.pdu() == b""
        with pytest.raises(ConnectionRefusedError):
            open_peers.enter_context(peer(port.port))
