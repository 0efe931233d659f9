"""The files that a site starts from: what the service reads of them it must take, and they must fit together."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stenograde.pacs.settings import HttpSettings, read_settings

ROOT = Path(__file__).resolve().parents[2]


def test_settings_of_the_container_when_read_then_they_fit_those_of_its_orthanc() -> None:
    settings = read_settings(ROOT / "docker" / "serve.toml")
    orthanc = json.loads((ROOT / "docker" / "orthanc.json").read_text("utf-8"))
    destination = settings.destinations["orthanc"]
    assert (destination.ae_title, destination.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    assert settings.dicom is not None
    us = orthanc["DicomModalities"]["stenograde"]
    assert (us["AET"], us["Port"]) == (settings.dicom.ae_title, settings.dicom.port)
    assert settings.dicom.callers == (orthanc["DicomAet"],)
    assert settings.http is not None
    assert settings.http.port == HttpSettings().port != orthanc["HttpPort"]
    exposed = re.search(r"^EXPOSE (.+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert exposed is not None
    assert exposed[1].split() == [str(settings.dicom.port), str(settings.http.port)]
    compose = (ROOT / "compose.yaml").read_text("utf-8")
    assert all(f"\n  {name}:" in compose for name in (destination.host, us["Host"], "postgres"))
