"""What headers tell of an examination is passed on in known words only; what somebody typed is not."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from tests.dicom_files import write_series

from stenograde.dicom.read.studies import read_study
from stenograde.study import Examination

WHOLE = {
    "StudyDate": "20240506",
    "PatientAge": "057Y",
    "PatientSex": "F",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "MAGNETOM Avanto_fit",
    "MagneticFieldStrength": "1.5",
}


def examination(folder: Path, **attributes: object) -> Examination:
    write_series(folder, RepetitionTime=600, EchoTime=11, ScanningSequence="SE", **attributes)
    return read_study(folder).examination


def test_whole_header_is_told(tmp_path: Path) -> None:
    told = examination(tmp_path, **WHOLE)
    assert told == Examination(date(2024, 5, 6), "57 years", "female", "Siemens MAGNETOM Avanto fit", 1.5)
    assert told.without_demographics() == Examination(scanner="Siemens MAGNETOM Avanto fit", field_t=1.5)


def test_silent_header_tells_nothing(tmp_path: Path) -> None:
    assert examination(tmp_path, Manufacturer=None) == Examination()


@pytest.mark.parametrize(
    ("keyword", "value", "told"),
    [
        ("StudyDate", "2024.05.06", {"day": date(2024, 5, 6)}),
        ("StudyDate", "20241332", {}),
        ("StudyDate", "19000101", {}),
        ("StudyDate", "DOE", {}),
        ("PatientAge", "093Y", {"age": "over 89 years"}),
        ("PatientAge", "001M", {"age": "1 month"}),
        ("PatientAge", "57", {}),
        ("PatientAge", "DOE", {}),
        ("PatientSex", "DOE", {}),
        ("Manufacturer", "DOE^JANE", {}),
        ("Manufacturer", "Philips Medical Systems", {"scanner": "Philips"}),
        ("ManufacturerModelName", "DOE^JANE", {}),
        ("ManufacturerModelName", "4711", {}),
        ("MagneticFieldStrength", "15000", {"field_t": 1.5}),
        ("MagneticFieldStrength", "77", {}),
    ],
)
def test_value_when_it_is_none_that_is_expected_then_it_is_left_out(
    tmp_path: Path, keyword: str, value: str, told: dict[str, object]
) -> None:
    def edit(ds: Dataset, _: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that the standard does not allow
            setattr(ds, keyword, value)

    write_series(tmp_path, RepetitionTime=600, EchoTime=11, ScanningSequence="SE", edit=edit)
    assert read_study(tmp_path).examination == Examination(**told)  # type: ignore[arg-type]


def test_instances_when_they_differ_then_the_most_decide_whatever_their_names(tmp_path: Path) -> None:
    def edit(ds: Dataset, place: int) -> None:
        ds.StudyDate = "20240506" if place else "20240101"

    write_series(tmp_path, RepetitionTime=600, EchoTime=11, ScanningSequence="SE", edit=edit)
    assert read_study(tmp_path).examination.day == date(2024, 5, 6)
