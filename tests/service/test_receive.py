"""All receivers together count what comes by each, and those that are not set are not there."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from tests.archives import report_on_new_association
from tests.dicom_files import STUDY
from tests.dicom_peers import peer, store_request
from tests.orthancs import free_port
from tests.receiving import mr_file, receiving, stripped

from stenograde.errors import ConfigError
from stenograde.pacs.receive import Ports, receivers, run_receivers
from stenograde.pacs.settings import DicomSettings, HttpSettings, ServeSettings, WatchSettings


def test_receivers_share_their_metrics(tmp_path: Path) -> None:
    settings = ServeSettings(
        dicom=DicomSettings(port=0), http=HttpSettings(port=0), watch=WatchSettings(tmp_path / "watched")
    )
    with receiving(tmp_path) as kept:
        with receivers(settings, kept.database, kept.store, kept.queue) as ports:
            assert ports.dicom is not None
            with peer(ports.dicom) as one:
                one.associated().send(store_request(stripped(mr_file(tmp_path)), sop_uid=f"{STUDY}.1.1"))
                assert one.status() == 0
            told = httpx.get(f"http://127.0.0.1:{ports.http}/metrics", trust_env=False, timeout=120).text
            assert 'stenograde_received_total{is_new="true",via="dicom"} 1.0' in told
            assert (tmp_path / "watched" / "taken").is_dir()
        kept.check_whole()


def test_what_an_archive_reports_of_its_commitment_is_taken(tmp_path: Path) -> None:
    settings = ServeSettings(dicom=DicomSettings(port=0), http=None)
    report = Dataset()
    report.TransactionUID = generate_uid(prefix=None)
    report.ReferencedSOPSequence = []
    with receiving(tmp_path) as kept, receivers(settings, kept.database, kept.store, kept.queue) as ports:
        assert ports.dicom is not None
        # nobody asked for it: not known (PS3.7 annex C), but heard
        assert report_on_new_association(("127.0.0.1", ports.dicom), report) == 0x0115


def test_receivers_that_are_not_set_are_not_there(tmp_path: Path) -> None:
    with receiving(tmp_path) as kept:
        settings = ServeSettings(dicom=None, http=None)
        with receivers(settings, kept.database, kept.store, kept.queue) as ports:
            assert ports == Ports(None, None)


def test_receiver_that_cannot_start_leaves_none_behind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = ServeSettings(
        dicom=DicomSettings(port=0), http=None, watch=WatchSettings(tmp_path / "file" / "x")
    )
    with (
        receiving(tmp_path) as kept,
        pytest.raises(ConfigError),
        receivers(settings, kept.database, kept.store, kept.queue),
    ):
        pass


def test_part_listens_until_it_is_told_to_stop(tmp_path: Path) -> None:
    stop, ready, port = threading.Event(), threading.Event(), free_port()
    with receiving(tmp_path) as kept:
        settings = ServeSettings(store=kept.root, dicom=None, http=HttpSettings(port=port))
        part = threading.Thread(target=run_receivers, args=(settings, "receivers-1", stop, ready.set))
        part.start()
        try:
            while not ready.wait(0.1):
                assert part.is_alive()
            assert listens(port)
        finally:
            stop.set()
            part.join()
        assert not listens(port)


def listens(port: int) -> bool:
    try:
        with peer(port):
            return True
    except ConnectionRefusedError:
        return False
