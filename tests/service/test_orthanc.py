"""Orthanc, for real: results by C-STORE and by STOW-RS, found by QIDO-RS; storage commitment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.orthancs import Orthanc, free_port, orthanc
from tests.result_files import FILES, uid_of
from tests.service.conftest import Clock
from tests.service.outboxes import grade

from stenograde.pacs.send import Outbox, Sender
from stenograde.pacs.settings import Destination
from stenograde.pacs.states import DeliveryState

REPORTS = free_port()
"""Where Orthanc reports storage commitment to."""


@pytest.fixture(scope="module")
def server() -> Iterator[Orthanc]:
    with orthanc(report_port=REPORTS) as one:
        yield one


def _destination(server: Orthanc, kind: str) -> Destination:
    if kind == "stow":
        return Destination("stow", url=server.web)
    return Destination("dicom", ae_title="ORTHANC", host="127.0.0.1", port=server.dicom_port)


@pytest.mark.parametrize("kind", ["dicom", "stow"])
def test_results_when_sent_to_orthanc_then_qido_finds_each_once(
    outbox: Outbox, server: Orthanc, clock: Clock, kind: str
) -> None:
    study = f"1.2.826.0.1.3680043.8.498.{1 if kind == 'dicom' else 2}"
    grade(outbox, study_uid=study)
    sender = Sender("sender-1", "archive", _destination(server, kind), outbox)
    assert sender.send_next()
    delivery = outbox.deliveries.listed()[0]
    assert (delivery.state, delivery.reason) == (DeliveryState.DELIVERED, "")
    wanted = {uid_of(study, name): modality for name, (_, modality) in FILES.items()}
    assert server.found(study) == wanted
    # another machine sends the very same again
    grade(outbox, study_uid=study, to=("again",))
    sender = Sender("sender-1", "again", _destination(server, kind), outbox)
    outbox.store.results(study, 2).rename(outbox.store.root / "made as version 2")
    outbox.store.results(study, 1).rename(outbox.store.results(study, 2))
    assert sender.send_next()
    assert outbox.deliveries.listed()[0].state is DeliveryState.DELIVERED
    assert server.found(study) == wanted


def test_orthanc_when_asked_to_commit_then_it_reports_to_our_port(outbox: Outbox, server: Orthanc) -> None:
    from pynetdicom import AE

    from stenograde.pacs.commitment import take_reports

    study = "1.2.826.0.1.3680043.8.498.3"
    grade(outbox, study_uid=study)
    entity = AE(ae_title="STENOGRADE")
    handler = take_reports(entity, outbox.sent)
    port = entity.start_server(("127.0.0.1", REPORTS), block=False, evt_handlers=[handler])
    try:
        destination = replace(_destination(server, "dicom"), commitment=True)
        sender = Sender("sender-1", "archive", destination, outbox, same_association_s=0.0)
        sender.send_next()
        deadline = time.monotonic() + 60
        while sender.n_awaiting and time.monotonic() < deadline:
            time.sleep(0.1)
            sender.send_next()
    finally:
        port.shutdown()
    delivery = outbox.deliveries.listed()[0]
    assert (delivery.state, delivery.reason) == (DeliveryState.DELIVERED, "")
    assert set(server.found(study)) == {uid_of(study, name) for name in FILES}
