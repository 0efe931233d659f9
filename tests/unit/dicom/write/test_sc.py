"""Key pictures are captured pixel by pixel, name the frames that they were made of, and belong to their study."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from tests.dicom_files import save
from tests.written_objects import PATIENT, dciodvfy, source_of

from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.write.sc import secondary_captures
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import Sources
from stenograde.errors import UnreadableInstanceError
from stenograde.grades import BundleStamp
from stenograde.report.pictures import SourceFrame

MADE_AT = datetime(2026, 11, 29, 12, 30)


@dataclass(frozen=True, eq=False)
class Sheet:
    pixels: np.ndarray
    title: str = "L4/L5"
    sources: tuple[SourceFrame, ...] = field(default=())


def sheet(seed: int = 0, shape: tuple[int, ...] = (31, 27, 3), **others: object) -> Sheet:
    return Sheet(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8), **others)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Two single-frame instances of two series that share a UID, and one of several frames."""
    save(source_of("2.25.1", "2.25.11", "2.25.111"), tmp_path / "in" / "a.dcm")
    save(source_of("2.25.1", "2.25.12", "2.25.111"), tmp_path / "in" / "b.dcm")
    save(source_of("2.25.1", "2.25.13", "2.25.131", frames=4), tmp_path / "in" / "c.dcm")
    return Sources("2.25.1", tuple(map(read_instance, find_files(tmp_path / "in"))))


def captured(sources: Sources, *sheets: Sheet):
    edition = Edition.of(sources, BundleStamp("test", "1.0", "ab" * 32), MADE_AT)
    return secondary_captures(sheets, sources=sources, edition=edition)


def test_pixels_are_those_of_the_pictures_in_their_order(sources):
    sheets = [sheet(seed) for seed in range(3)]

    objects = [dcmread(io.BytesIO(as_file(ds))) for ds in captured(sources, *sheets)]

    for number, (ds, one) in enumerate(zip(objects, sheets, strict=True), start=1):
        np.testing.assert_array_equal(ds.pixel_array, one.pixels)
        assert ds.InstanceNumber == number
    assert len({ds.SeriesInstanceUID for ds in objects}) == 1
    assert len({ds.SOPInstanceUID for ds in objects}) == 3


def test_sources_are_named_by_series_instance_and_frame(sources):
    used = (
        SourceFrame("2.25.12", "2.25.111", 0),
        SourceFrame("2.25.13", "2.25.131", 3),
        SourceFrame("2.25.13", "2.25.131", 1),
    )
    (ds,) = captured(sources, sheet(sources=used))

    single, several = ds.SourceImageSequence
    assert (single.ReferencedSOPInstanceUID, "ReferencedFrameNumber" in single) == ("2.25.111", False)
    assert (several.ReferencedSOPInstanceUID, list(several.ReferencedFrameNumber)) == ("2.25.131", [2, 4])
    assert [one.SeriesInstanceUID for one in ds.ReferencedSeriesSequence] == ["2.25.12", "2.25.13"]


def test_no_error_is_found_and_the_frame_of_reference_is_not_claimed(sources, tmp_path):
    used = (SourceFrame("2.25.11", "2.25.111", 0), SourceFrame("2.25.13", "2.25.131", 0))
    for number, one in enumerate((sheet(sources=used), sheet(shape=(30, 20, 3)))):
        (ds,) = captured(sources, one)
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(as_file(ds))

        assert dciodvfy(path) == []
        assert (ds.StudyInstanceUID, ds.Modality, ds.BurnedInAnnotation) == ("2.25.1", "OT", "NO")
        assert "FrameOfReferenceUID" not in ds


def test_a_second_run_gives_the_same_bytes(sources):
    one = sheet(sources=(SourceFrame("2.25.11", "2.25.111", 0),))

    assert as_file(captured(sources, one)[0]) == as_file(captured(sources, one)[0])


def test_a_picture_of_another_study_is_refused(sources):
    with pytest.raises(UnreadableInstanceError, match=r"one that the study was read from, got 2\.25\.9"):
        captured(sources, sheet(sources=(SourceFrame("2.25.11", "2.25.9", 0),)))


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_pixels_that_are_no_colours_are_refused(sources, pixels):
    with pytest.raises(ValueError, match=r"uint8 of shape \(rows, columns, 3\), got"):
        captured(sources, Sheet(pixels))


def test_nothing_of_the_patient_is_logged(sources, caplog):
    caplog.set_level(0)
    as_file(captured(sources, sheet())[0])

    assert not any(value in caplog.text for value in PATIENT)
