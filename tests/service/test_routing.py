"""The rule by which Orthanc sends studies here, run by Orthanc."""

from __future__ import annotations

import time
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import MRImageStorage
from tests.archives import Peer
from tests.orthancs import orthanc
from tests.result_files import FILES, uid_of, write_results

from stenograde.pacs.outgoing import Outgoing
from stenograde.pacs.settings import Destination
from stenograde.pacs.storing import DicomPeer

STUDY = "1.2.826.0.1.3680043.8.498.9"
RULE = Path(__file__).resolve().parents[2] / "docker" / "route.lua"


def test_orthanc_when_a_series_is_stable_then_it_sends_mr_here_and_results_to_nobody(tmp_path: Path) -> None:
    write_results(tmp_path, STUDY)
    image = dcmread(tmp_path / "pictures-1.dcm")
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid_of(STUDY, "image")
    image.SeriesInstanceUID, image.Modality = uid_of(STUDY, "series"), "MR"
    image.save_as(tmp_path / "image.dcm")
    objects = []
    for path in sorted(tmp_path.glob("*.dcm")):
        ds = dcmread(path)
        syntax = ds.file_meta.TransferSyntaxUID
        objects.append(Outgoing(path, "sc", ds.SOPClassUID, ds.SOPInstanceUID, syntax, "", 0))
    with (
        Peer(title="STENOGRADE").listening() as us,
        orthanc(report_port=us.port, lua=RULE) as server,
    ):
        destination = Destination("dicom", ae_title="ORTHANC", host="127.0.0.1", port=server.dicom_port)
        with DicomPeer(destination, "ARCHIVE", objects) as peer:
            assert {peer.store(one).reason for one in objects} == {"status 0x0000"}
        assert len(server.found(STUDY)) == len(FILES) + 1
        deadline = time.monotonic() + 60
        while not us.came and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3)  # were it to send more, it would be now: every series is stable after a second
    assert dict(us.came) == {uid_of(STUDY, "image"): 1}
