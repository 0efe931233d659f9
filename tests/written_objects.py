"""Sources for objects that are written, and what independent tools say of these: dicom3tools and DCMTK."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage
from tests.dicom_files import mr_dataset, save

from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.write.sources import Sources
from stenograde.grades import StudyGrades

FRAME = "2.25.77"
PATIENT = ("Planted^Name", "PLANTED-ID", "19500102", "PLANTED-ACCESS")
"""What must never be met outside the object itself."""


def source_of(study_uid: str, series_uid: str, sop_uid: str, *, frames: int = 1, **others: object) -> Dataset:
    """An MR instance whose header is complete."""
    pixels = np.zeros((frames, 4, 4) if frames > 1 else (4, 4), np.uint16)
    ds = mr_dataset(pixels, FrameOfReferenceUID=FRAME, PositionReferenceIndicator="")
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study_uid, series_uid, sop_uid
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.AccessionNumber = PATIENT
    ds.PatientSex, ds.ReferringPhysicianName = "O", ""
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20200101", "120000", "1"
    if frames > 1:
        ds.NumberOfFrames, ds.SOPClassUID = frames, EnhancedMRImageStorage
    for keyword, value in others.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def sources_for(grades: StudyGrades, folder: Path, *, frames: int = 1, **others: object) -> Sources:
    """Write an instance for each that the grades rest on, and return them as sources."""
    evidence = [one for grade in (*grades.cells, *grades.discs) for one in grade.evidence]
    evidence += [grades.mid_sagittal.slice] if grades.mid_sagittal else []
    named = sorted({(one.series_uid, one.sop_instance_uid) for one in evidence})
    for number, (series_uid, sop_uid) in enumerate(named):
        ds = source_of(grades.study_uid, series_uid, sop_uid, frames=frames, **others)
        save(ds, folder / f"{number}.dcm")
    return Sources(grades.study_uid, tuple(map(read_instance, find_files(folder))))


def dciodvfy(path: Path) -> list[str]:
    """Return the errors that dicom3tools finds; skips where it is not installed."""
    return [line for line in _said(["dciodvfy", str(path)]) if line.startswith("Error")]


def dsrdump(path: Path) -> list[str]:
    """Return the errors and warnings that DCMTK finds in a structured report; skips where it is not installed."""
    lines = _said(["dsrdump", "--verbose", str(path)])
    assert any("Comprehensive 3D SR" in line for line in lines), lines
    return [line for line in lines if line.startswith(("E:", "W:", "F:"))]


PIXELMED = Path("/usr/share/java/pixelmed.jar")


def pixelmed(path: Path) -> tuple[list[str], list[str]]:
    """Return what PixelMed says against TID 1500: errors, and items of which the template says nothing.

    Its templates are compiled from PS3.16 by an editor of the standard. Takes 20 CPU s; skips where it is missing.
    """
    if not PIXELMED.exists():
        pytest.skip("PixelMed is not installed (Debian: libpixelmed-java)")
    # its style sheet of all templates is longer than Java allows by default
    limits = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("ExprGrp", "ExprOp", "TotalOp")]
    command = [
        "java",
        *limits,
        "-cp",
        f"{PIXELMED}:{PIXELMED.parent}/*",
        "com.pixelmed.validate.DicomSRValidator",
    ]
    lines = _said([*command, str(path)])
    assert "Found Root Template TID_1500 (MeasurementReport)" in lines, lines
    assert "Root Template Validation Complete" in lines, lines
    unknown = [line for line in lines if line.endswith("Content Item not in template")]
    others = [line for line in lines if line.startswith(("Error", "Warning")) and line not in unknown]
    return others, unknown


def _said(command: list[str]) -> list[str]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (Debian: dicom3tools, dcmtk)")
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
