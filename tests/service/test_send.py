"""Sending: every way in which a destination fails, over real sockets; nothing is lost, and nothing is there twice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import build_context
from sqlalchemy import select
from tests.archives import Peer, make_certificate, server_tls
from tests.result_files import FILES, uid_of, write_results
from tests.service.conftest import Clock
from tests.service.outboxes import STUDY, grade, make_outbox

from stenograde.errors import ConfigError, DeliveryError
from stenograde.pacs.database import Database, migrate
from stenograde.pacs.outgoing import outgoing
from stenograde.pacs.queue import Queue
from stenograde.pacs.send import Outbox, Planned, Sender, planned, senders
from stenograde.pacs.settings import Destination, ServeSettings, Tls
from stenograde.pacs.states import DeliveryState, JobState
from stenograde.pacs.tables import audit

pytestmark = [
    # pynetdicom drops the socket of a connection that was refused without closing it
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <(socket|ssl):pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.usefixtures("sockets_collected"),
]

UIDS = [uid_of(STUDY, name) for name in FILES]


def _sender(outbox: Outbox, peer: Peer, **changes: object) -> Sender:
    destination = Destination("dicom", ae_title="ARCHIVE", host="127.0.0.1", port=peer.port)
    return Sender("sender-1", "archive", replace(destination, **changes), outbox, answer_s=10)


def _stands(outbox: Outbox) -> tuple[DeliveryState, str]:
    delivery = outbox.deliveries.listed()[0]
    return delivery.state, delivery.reason


def _job_state(outbox: Outbox) -> JobState:
    return Queue(outbox.database).listed()[0].state


def _events(outbox: Outbox) -> list[tuple[str, str]]:
    with outbox.database.reading() as connection:
        rows = connection.execute(select(audit.c.event, audit.c.actor).order_by(audit.c.id))
        return [(row.event, row.actor) for row in rows]


def test_results_when_all_are_stored_then_the_delivery_is_acknowledged_and_the_job_is_done(
    outbox: Outbox,
) -> None:
    grade(outbox)
    with Peer().listening() as peer:
        assert _sender(outbox, peer).send_next()
        assert not _sender(outbox, peer).send_next()  # once per version
    assert peer.came == dict.fromkeys(UIDS, 1)
    assert [str(peer.held[uid].StudyInstanceUID) for uid in UIDS] == [STUDY] * 5
    assert _stands(outbox) == (DeliveryState.DELIVERED, "")
    assert _job_state(outbox) is JobState.DONE
    assert _events(outbox)[-1] == ("delivered", "archive")


def test_kinds_when_a_destination_wants_some_then_others_are_not_sent(outbox: Outbox) -> None:
    grade(outbox)
    with Peer().listening() as peer:
        _sender(outbox, peer, results=("sr", "pdf")).send_next()
    assert set(peer.came) == {uid_of(STUDY, "sr.dcm"), uid_of(STUDY, "report.pdf.dcm")}
    assert _stands(outbox)[0] is DeliveryState.DELIVERED


def test_a_peer_when_it_is_down_then_the_delivery_waits_and_goes_out_when_it_is_back(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        peer = Peer(port=unused.getsockname()[1])
    sender = _sender(outbox, peer)
    for wait_s in (10, 20, 40):
        assert sender.send_next()
        state, reason = _stands(outbox)
        assert state is DeliveryState.WAITING
        assert reason == (
            "destination must accept an association, got no answer; check host, port and TLS of both sides"
        )
        clock.go_on(wait_s - 1)
        assert not sender.send_next()  # it backs off
        clock.go_on(1)
    with peer.listening():
        assert sender.send_next()
    assert peer.came == dict.fromkeys(UIDS, 1)
    assert _job_state(outbox) is JobState.DONE


def test_a_peer_when_it_aborts_then_the_next_attempt_goes_on_where_it_broke(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    with Peer(abort_after=2).listening() as peer:
        sender = _sender(outbox, peer)
        sender.send_next()
        assert list(peer.came) == UIDS[:2]
        assert _stands(outbox) == (
            DeliveryState.WAITING,
            "destination must answer to an object, got an association that ended or no answer",
        )
        clock.go_on(10)
        sender.send_next()
    assert peer.came == dict.fromkeys(UIDS, 1)
    assert _stands(outbox)[0] is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_an_object_when_stored_with_a_warning_or_there_already_then_it_counts_as_stored(
    outbox: Outbox, status: int
) -> None:
    grade(outbox)
    with Peer(status=lambda _uid: status).listening() as peer:
        _sender(outbox, peer).send_next()
    assert _stands(outbox)[0] is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0124, 0xFE00, 0xD123])
def test_an_object_when_it_may_be_stored_later_then_it_is_tried_without_end(
    outbox: Outbox, clock: Clock, status: int
) -> None:
    grade(outbox)
    answers = {UIDS[2]: status}
    with Peer(status=lambda uid: answers.get(uid, 0)).listening() as peer:
        sender = _sender(outbox, peer)
        for _ in range(8):
            sender.send_next()
            assert _stands(outbox) == (
                DeliveryState.WAITING,
                f"destination must store pdf, got status 0x{status:04X}, which may pass",
            )
            clock.go_on(3600)
        answers.clear()
        sender.send_next()
    assert [peer.came[uid] for uid in UIDS] == [1, 1, 9, 1, 1]
    assert _stands(outbox)[0] is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122])
def test_an_object_when_refused_for_what_it_is_then_the_others_go_and_a_person_is_asked_in_the_end(
    outbox: Outbox, clock: Clock, status: int
) -> None:
    job = grade(outbox)
    answers = {UIDS[0]: status}
    with Peer(status=lambda uid: answers.get(uid, 0)).listening() as peer:
        sender = _sender(outbox, peer)
        for state in (*[DeliveryState.WAITING] * 4, DeliveryState.FAILED):
            sender.send_next()
            reason = f"destination must store every object, got status 0x{status:04X} for sc"
            assert _stands(outbox) == (state, reason)
            clock.go_on(3600)
        assert not sender.send_next()
        assert [peer.came[uid] for uid in UIDS] == [5, 1, 1, 1, 1]
        assert _job_state(outbox) is JobState.GRADED  # nothing is lost
        answers.clear()
        Queue(outbox.database, clock=clock).retry(job.id, actor="a person")
        sender.send_next()
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert ("not delivered", "archive") in _events(outbox)


def test_a_class_when_the_peer_does_not_know_it_then_that_is_said_and_the_others_go(outbox: Outbox) -> None:
    grade(outbox)
    known = [
        build_context(sop_class, "1.2.840.10008.1.2") for sop_class, kind in FILES.values() if kind != "SR"
    ]
    with Peer(contexts=known).listening() as peer:  # (of those that it knows it takes implicit VR alone)
        _sender(outbox, peer).send_next()
    assert set(peer.held) == set(UIDS[:4])
    state, reason = _stands(outbox)
    assert state is DeliveryState.WAITING
    assert reason.endswith("got no presentation context for Comprehensive 3D SR Storage for sr")


@pytest.mark.parametrize(
    ("change", "callers", "reason"),
    [
        ({"ae_title": "OTHER"}, (), "got rejected: called ae title not recognised"),
        ({}, ("SOMEBODY",), "got rejected: calling ae title not recognised"),
    ],
)
def test_titles_when_wrong_then_the_delivery_waits_and_says_which(
    outbox: Outbox, change: dict[str, str], callers: tuple[str, ...], reason: str
) -> None:
    grade(outbox)
    with Peer(callers=callers).listening() as peer:
        _sender(outbox, peer, **change).send_next()
    state, got = _stands(outbox)
    assert state is DeliveryState.WAITING
    assert got == f"destination must accept an association, {reason}"
    assert not peer.came


def test_a_peer_when_slower_than_is_waited_for_then_the_delivery_waits(outbox: Outbox, clock: Clock) -> None:
    grade(outbox)
    with Peer(slow_s=1.5).listening() as peer:
        sender = _sender(outbox, peer)
        sender.answer_s = 0.5
        sender.send_next()
        assert _stands(outbox)[0] is DeliveryState.WAITING
        peer.slow_s, sender.answer_s = 0, 60
        clock.go_on(10)
        sender.send_next()
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert set(peer.held) == set(UIDS)


def test_tls_when_certificates_are_those_of_the_site_then_results_go_else_they_wait(
    outbox: Outbox, clock: Clock, tmp_path: Path
) -> None:
    grade(outbox)
    ours, theirs, strange = (make_certificate(tmp_path, name) for name in ("ours", "theirs", "strange"))
    right = Tls(*ours, authorities=theirs[0])
    wrong = {
        "their certificate": Tls(*ours, authorities=strange[0]),
        "our certificate": Tls(*strange, theirs[0]),
    }
    with Peer(tls=server_tls(theirs, ours[0])).listening() as peer:
        for tls in (None, *wrong.values()):
            _sender(outbox, peer, tls=tls).send_next()
            assert _stands(outbox)[0] is DeliveryState.WAITING
            assert not peer.came
            clock.go_on(3600)
        _sender(outbox, peer, tls=right).send_next()
    assert _stands(outbox) == (DeliveryState.DELIVERED, "")
    assert peer.came == dict.fromkeys(UIDS, 1)


def test_tls_when_a_file_is_missing_then_the_delivery_waits_and_that_is_said(
    outbox: Outbox, tmp_path: Path
) -> None:
    grade(outbox)
    none = tmp_path / "none.pem"
    with Peer().listening() as peer:
        _sender(outbox, peer, tls=Tls(none, none)).send_next()
    state, reason = _stands(outbox)
    assert state is DeliveryState.WAITING
    assert (
        reason
        == "certificate, key and authorities must be PEM files that fit together, got No such file or directory"
    )


def test_an_object_when_its_content_is_another_than_was_stored_then_it_is_sent_again(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    folder = outbox.store.results(STUDY, 1)
    with Peer(abort_after=4).listening() as peer:
        sender = _sender(outbox, peer)
        sender.send_next()
        write_results(folder, STUDY, text="made anew", only=["pictures-1.dcm"])
        clock.go_on(10)
        sender.send_next()
    assert [peer.came[uid] for uid in UIDS] == [2, 1, 1, 1, 1]
    assert peer.held[UIDS[0]].SeriesDescription == "made anew"


def test_results_when_they_are_not_there_then_the_delivery_waits(outbox: Outbox, tmp_path: Path) -> None:
    grade(outbox)
    outbox.store.results(STUDY, 1).rename(tmp_path / "away")
    with Peer().listening() as peer:
        _sender(outbox, peer).send_next()
    reason = "results must lie in the store, got none; check that its disk is there"
    assert _stands(outbox) == (DeliveryState.WAITING, reason)


def test_outgoing_when_a_file_is_no_result_then_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "sr.dcm").write_bytes(b"none")
    with pytest.raises(DeliveryError, match=r"got sr\.dcm \(InvalidDicomError\)"):
        outgoing(tmp_path, ["sr"])


def test_planned_when_asked_then_it_tells_what_would_be_sent_and_changes_nothing(outbox: Outbox) -> None:
    grade(outbox, to=("archive", "elsewhere"))
    destination = Destination("dicom", ae_title="ARCHIVE", host="127.0.0.1", port=1, results=("sr",))
    before = outbox.deliveries.listed()
    n_bytes = (outbox.store.results(STUDY, 1) / "sr.dcm").stat().st_size
    assert list(planned(outbox, {"archive": destination})) == [
        Planned("archive", STUDY, 1, "sr", uid_of(STUDY, "sr.dcm"), n_bytes)
    ]
    assert outbox.deliveries.listed() == before


def test_serve_when_dry_then_it_shows_what_waits_and_sends_nothing(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    from stenograde.cli.serve import serve

    store = tmp_path / "store"
    database = Database(f"sqlite:///{store / 'stenograde.sqlite'}")
    migrate(database)
    outbox = make_outbox(database, tmp_path, clock)
    grade(outbox)
    with Peer().listening() as peer:
        settings = _settings(tmp_path, peer)
        serve(settings, dry_run=True)
        assert not peer.came
    shown = capsys.readouterr().out
    assert all(uid in shown for uid in UIDS)
    assert shown.endswith("5 objects wait to be sent; nothing was sent\n")
    assert _stands(outbox) == (DeliveryState.WAITING, "")
    database.close()


def _settings(folder: Path, peer: Peer) -> Path:
    destination = {"kind": "dicom", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": peer.port}
    table = "\n".join(f"{name} = {json.dumps(one)}" for name, one in destination.items())
    file = folder / "serve.toml"
    file.write_text(
        f"store = {json.dumps(str(folder / 'store'))}\n[destinations.archive]\n{table}\n", "utf-8"
    )
    return file


def test_commitment_when_asked_of_dicomweb_then_it_is_refused(outbox: Outbox) -> None:
    destination = Destination("stow", url="http://127.0.0.1/dicom-web", commitment=True)
    settings = ServeSettings(destinations={"web": destination})
    with pytest.raises(ConfigError, match="commitment must be false for web"):
        senders(settings, "sender-1", outbox)


_RUN = """
import sys, threading
from pathlib import Path
from stenograde.pacs.send import run_sender
from stenograde.pacs.settings import read_settings
run_sender(read_settings(Path(sys.argv[1])), "sender-1", threading.Event(), print)
"""


@pytest.mark.parametrize("killed_at", [0, 3, 4])
def test_a_sender_when_killed_between_store_and_acknowledgement_then_all_is_there_once(
    tmp_path: Path, clock: Clock, killed_at: int
) -> None:
    """The peer kills the sender, by SIGKILL, when it has stored an object and before it says so."""
    process: list[subprocess.Popen[bytes]] = []

    def kill(uid: str) -> None:
        if uid == UIDS[killed_at] and process:
            process.pop().kill()

    with Peer(before_answer=kill).listening() as peer:
        settings = _settings(tmp_path, peer)
        database = Database(f"sqlite:///{tmp_path / 'store' / 'stenograde.sqlite'}")
        migrate(database)
        outbox = make_outbox(database, tmp_path, clock)
        grade(outbox)
        with subprocess.Popen([sys.executable, "-c", _RUN, str(settings)], env=os.environ.copy()) as one:
            process.append(one)
            assert one.wait(300) == -signal.SIGKILL
        assert len(peer.came) == killed_at + 1
        assert _stands(outbox)[0] is DeliveryState.SENDING
        outbox.deliveries.release_worker("sender-1", "killed")  # as the service does
        clock.go_on(10)
        _sender(outbox, peer).send_next()
    assert set(peer.held) == set(UIDS)
    assert peer.came == dict.fromkeys(UIDS, 1) | {UIDS[killed_at]: 2}  # (the same object again)
    assert _job_state(outbox) is JobState.DONE
    assert _events(outbox).count(("delivered", "archive")) == 1
    database.close()


def test_a_sender_when_told_to_stop_then_the_rest_of_the_delivery_waits(outbox: Outbox, clock: Clock) -> None:
    grade(outbox)
    stop = threading.Event()
    with Peer(before_answer=lambda uid: stop.set() if uid == UIDS[1] else None).listening() as peer:
        _sender(outbox, peer).work(stop)
        assert list(peer.came) == UIDS[:2]
        assert _stands(outbox)[0] is DeliveryState.WAITING
        clock.go_on(10)
        _sender(outbox, peer).send_next()
    assert peer.came == dict.fromkeys(UIDS, 1)
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
