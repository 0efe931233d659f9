"""The files that a site starts from: what the service reads of them it must take, and they must fit together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from tests.dicom_files import STUDY, write_study

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


def run_entrypoint(*words: str, **environment: Path) -> subprocess.CompletedProcess[str]:
    """Run what the container runs, as it would."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {name: str(value) for name, value in environment.items()}
    return subprocess.run(
        ["sh", str(ROOT / "docker" / "entrypoint.sh"), *words],
        env=os.environ | {"PATH": path} | given,
        capture_output=True,
        text=True,
        check=False,
    )


FOLDERS = pytest.mark.parametrize(
    ("study", "results"),
    [
        ("MERCURE_IN_DIR", "MERCURE_OUT_DIR"),
        ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
        ("MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
    ],
)


@FOLDERS
def test_container_when_a_study_cannot_be_graded_then_its_report_says_so(
    tmp_path: Path, study: str, results: str
) -> None:
    ran = run_entrypoint("serve", **{study: write_study(tmp_path / "in"), results: tmp_path / "out"})
    assert ran.returncode == 0, ran.stderr
    assert "must show the lumbar canal" in ran.stderr
    report = dcmread(tmp_path / "out" / "sr.dcm")
    assert (report.Modality, report.StudyInstanceUID) == ("SR", STUDY)


@pytest.mark.slow
@FOLDERS
def test_container_when_a_study_lies_in_the_folder_then_its_results_lie_in_the_other(
    tmp_path: Path, phantom_study: Path, study: str, results: str
) -> None:
    (tmp_path / "out").mkdir()
    ran = run_entrypoint("serve", **{study: phantom_study, results: tmp_path / "out"})
    assert ran.returncode == 0, ran.stderr
    made = {dcmread(path, stop_before_pixels=True).Modality for path in (tmp_path / "out").glob("*.dcm")}
    assert made == {"SR", "DOC", "OT", "SEG"}


def test_container_when_nothing_is_read_then_it_fails_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ran = run_entrypoint(MERCURE_IN_DIR=tmp_path / "in", MERCURE_OUT_DIR=tmp_path / "out")
    assert ran.returncode == 2
    assert not (tmp_path / "out").exists()


def test_container_when_no_folders_are_named_then_it_does_what_it_is_asked_for(tmp_path: Path) -> None:
    ran = run_entrypoint("serve", "--config", str(tmp_path / "none.toml"), MERCURE_IN_DIR=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "none.toml" in ran.stderr
