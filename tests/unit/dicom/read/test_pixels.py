"""What pixels show to be wrong reaches the reader of the report, and inspect says the same."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from tests.dicom_files import T1, T2, picture, write_series

from stenograde.dicom.read.pixels import check_pixels
from stenograde.dicom.read.studies import read_study
from stenograde.study import Study


def with_pixels(folder, change, **attributes: object) -> Study:
    def edit(ds: Dataset, index: int) -> None:
        ds.PixelData = np.ascontiguousarray(change(picture(seed=100 + index), index)).tobytes()

    write_series(folder, edit=edit, **{**T2, **attributes})
    return check_pixels(read_study(folder))


def test_sound_pixels_go_without_saying(tmp_path):
    study = with_pixels(tmp_path, lambda pixels, index: pixels)

    assert study.warnings == ()
    assert study.series[0].problems == ()


@pytest.mark.parametrize(
    ("change", "attributes", "said"),
    [
        (lambda p, k: p * (k != 2), {}, "1 of 5 slices are black, or of one value throughout"),
        (lambda p, k: p * 2, {}, "pixels exceed BitsStored 12; they are read as they stand (5 slices)"),
        (
            lambda p, k: (p.astype(np.uint32) * 16).astype(np.uint16),
            {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1},
            "signed pixels wrap around; they are read as unsigned (5 slices)",
        ),
        (
            lambda p, k: p,
            {"RescaleIntercept": -50},
            "5 of 5 slices hold values below zero, which a magnitude cannot be",
        ),
        (
            lambda p, k: p << 4,
            {"HighBit": 15},
            "HighBit 15 does not fit BitsStored 12; pixels are taken from",
        ),
        (
            lambda p, k: p,
            {"PhotometricInterpretation": "MONOCHROME1"},
            "MONOCHROME1: turned over, so that brighter is greater",
        ),
        (
            lambda p, k: p,
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "PhotometricInterpretation is PALETTE COLOR on one sample per pixel; read as MONOCHROME2",
        ),
        (
            lambda p, k: p,
            {"PhotometricInterpretation": "DOE JOHN"},
            "PhotometricInterpretation is an undefined value on one sample per pixel",
        ),
        (lambda p, k: p, {"RescaleSlope": -1}, "RescaleSlope is below zero"),
    ],
)
def test_what_is_wrong_with_pixels_is_said_in_warnings_and_problems(tmp_path, change, attributes, said):
    study = with_pixels(tmp_path, change, **attributes)

    assert any(warning.startswith(f"Sagittal T2/STIR: {said}") for warning in study.warnings)
    assert any(problem.startswith(said) for problem in study.series[0].problems)
    assert "DOE" not in " ".join((*study.warnings, *study.series[0].problems))


def test_what_is_without_consequence_stays_with_the_series(tmp_path):
    study = with_pixels(tmp_path, lambda pixels, index: pixels, Manufacturer=None)

    assert study.series[0].problems == ("no Manufacturer (5 files)",)
    assert study.warnings == ()


def test_pixels_that_cannot_be_decoded_are_said_first(tmp_path):
    write_series(tmp_path / "t1", series=1, **T1)
    for path in write_series(tmp_path / "t2", series=2, syntax=RLELossless, **T2):
        data = bytearray(path.read_bytes())
        start = data.rindex(b"\xfe\xff\x00\xe0") + 8
        data[start : start + 24] = b"\x55" * 24
        path.write_bytes(bytes(data))

    study = check_pixels(read_study(tmp_path))

    assert study.warnings[0].startswith("Sagittal T2/STIR: its pixels cannot be decoded: ")
