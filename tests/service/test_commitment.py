"""Storage commitment over real sockets: a delivery is acknowledged only when the destination keeps every object."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from sqlalchemy import select
from tests.archives import Peer, report_on_new_association
from tests.result_files import FILES, uid_of
from tests.service.conftest import Clock
from tests.service.outboxes import STUDY, grade

from stenograde.pacs.commitment import take_reports
from stenograde.pacs.send import Outbox, Sender
from stenograde.pacs.settings import Destination
from stenograde.pacs.states import DeliveryState
from stenograde.pacs.tables import commitments

UIDS = [uid_of(STUDY, name) for name in FILES]


@contextmanager
def our_port(outbox: Outbox) -> Iterator[int]:
    """Our DICOM port, as far as reports go."""
    entity = AE(ae_title="STENOGRADE")
    entity.add_supported_context(Verification)
    handler = take_reports(entity, outbox.sent)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[handler])
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def _sender(outbox: Outbox, peer: Peer) -> Sender:
    destination = Destination("dicom", ae_title="ARCHIVE", host="127.0.0.1", port=peer.port, commitment=True)
    return Sender("sender-1", "archive", destination, outbox, answer_s=10, same_association_s=0.0)


def _stands(outbox: Outbox) -> tuple[DeliveryState, str]:
    delivery = outbox.deliveries.listed()[0]
    return delivery.state, delivery.reason


def _settled(sender: Sender) -> None:
    """Look until no delivery waits for a report any more."""
    deadline = time.monotonic() + 60
    while sender.n_awaiting:
        assert time.monotonic() < deadline
        sender.send_next()
        time.sleep(0.05)


def test_commitment_when_it_comes_on_the_same_association_then_the_delivery_is_acknowledged(
    outbox: Outbox,
) -> None:
    grade(outbox)
    with Peer(commitment="same").listening() as peer:
        sender = _sender(outbox, peer)
        sender.same_association_s = 60.0  # (it ends with the report)
        sender.send_next()
    assert not sender.n_awaiting
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert len(peer.asked) == 1


def test_commitment_when_it_comes_on_a_new_association_then_the_delivery_waits_for_it(outbox: Outbox) -> None:
    grade(outbox)
    with our_port(outbox) as port, Peer(commitment="new", report_to=("127.0.0.1", port)).listening() as peer:
        sender = _sender(outbox, peer)
        sender.send_next()
        _settled(sender)
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert peer.came == dict.fromkeys(UIDS, 1)


def test_commitment_when_it_does_not_come_then_it_is_asked_for_again_and_nothing_is_sent_twice(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    with (
        our_port(outbox) as port,
        Peer(commitment="never", report_to=("127.0.0.1", port)).listening() as peer,
    ):
        sender = _sender(outbox, peer)
        sender.send_next()
        clock.go_on(899)
        assert outbox.deliveries.release_expired() == 0  # its lease is as long as it is waited for
        sender.send_next()
        assert _stands(outbox)[0] is DeliveryState.SENDING
        clock.go_on(1)
        sender.send_next()
        reason = "destination must commit within 900 s, got no report"
        assert _stands(outbox) == (DeliveryState.WAITING, reason)
        clock.go_on(10)
        peer.commitment = "new"
        sender.send_next()
        _settled(sender)
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert len(peer.asked) == 2
    assert peer.came == dict.fromkeys(UIDS, 1)


def test_an_object_when_the_destination_has_lost_it_then_it_is_sent_again(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    peer = Peer(commitment="new", lost=frozenset(UIDS[1:2]))
    with our_port(outbox) as port, peer.listening():
        peer.report_to = ("127.0.0.1", port)
        sender = _sender(outbox, peer)
        sender.send_next()
        _settled(sender)
        reason = "destination must commit to keep every object, got 1 that it does not have"
        assert _stands(outbox) == (DeliveryState.WAITING, reason)
        peer.lost = frozenset()
        clock.go_on(10)
        sender.send_next()
        _settled(sender)
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert [peer.came[uid] for uid in UIDS] == [1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("commitment", "reason"),
    [
        ("refused", "destination must take a request for storage commitment, got status 0x0110"),
        ("", "destination must accept an association, got aborted, or no object's class accepted"),
    ],
)
def test_a_destination_when_it_does_not_commit_then_the_delivery_is_not_acknowledged(
    outbox: Outbox, commitment: str, reason: str
) -> None:
    grade(outbox)
    with Peer(commitment=commitment).listening() as peer:
        _sender(outbox, peer).send_next()
    assert set(peer.held) == set(UIDS)
    assert _stands(outbox) == (DeliveryState.WAITING, reason)


def test_a_report_when_late_then_it_counts_for_the_next_attempt(outbox: Outbox, clock: Clock) -> None:
    grade(outbox)
    with our_port(outbox) as port, Peer(commitment="never").listening() as peer:
        sender = _sender(outbox, peer)
        sender.send_next()
        clock.go_on(900)
        sender.send_next()  # it was waited for long enough
        assert _stands(outbox)[0] is DeliveryState.WAITING
        with outbox.database.reading() as connection:
            transaction = connection.execute(select(commitments.c.transaction_uid)).scalar_one()
        assert report_on_new_association(("127.0.0.1", port), _report(transaction)) == 0x0000
        clock.go_on(10)
        sender.send_next()
    assert _stands(outbox)[0] is DeliveryState.DELIVERED
    assert len(peer.asked) == 1


def test_a_report_when_nobody_asked_for_it_then_it_changes_nothing(outbox: Outbox) -> None:
    grade(outbox)
    with our_port(outbox) as port, Peer(commitment="never").listening() as peer:
        sender = _sender(outbox, peer)
        sender.send_next()
        address = ("127.0.0.1", port)
        assert report_on_new_association(address, _report(generate_uid(prefix=None))) == 0x0115
        broken = Dataset()
        broken.RetrieveAETitle = "ARCHIVE"
        assert report_on_new_association(address, broken) == 0x0115
        sender.send_next()
    assert _stands(outbox)[0] is DeliveryState.SENDING


def _report(transaction: str) -> Dataset:
    report = Dataset()
    report.TransactionUID = transaction
    report.ReferencedSOPSequence = []
    for uid, (sop_class, _modality) in zip(UIDS, FILES.values(), strict=True):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        report.ReferencedSOPSequence.append(item)
    return report
