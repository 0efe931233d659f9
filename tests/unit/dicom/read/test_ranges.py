"""Numbers of headers that no scanner writes: the slice is left out with the reason, and never graded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from tests.dicom_files import T1, T2, write_series

from stenograde.dicom.read.studies import read_study
from stenograde.errors import NoStudyError
from stenograde.study import Study


def with_raw(keyword: str, value: bytes):
    """Return an edit that writes bytes as they are, which pydicom would refuse to."""
    value += b" " * (len(value) % 2)

    def edit(ds: Dataset, _: int) -> None:
        tag = Tag(keyword)
        ds._dict[tag] = RawDataElement(tag, "LO", len(value), value, 0, False, True)

    return edit


def study_with(folder: Path, keyword: str, value: bytes, *, only: int | None = None) -> Study:
    """A sound T1 series, and a T2 series (or one slice of it) with a value."""
    write_series(folder / "t1", series=1, **T1)
    edit = with_raw(keyword, value)
    write_series(
        folder / "t2",
        series=2,
        edit=lambda ds, index: edit(ds, index) if only in {None, index} else None,
        **T2,
    )
    return read_study(folder)


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("RescaleSlope", b"1e39", r"RescaleSlope must be 1e-09 to 1e\+09, got 1e\+39"),
        ("RescaleSlope", b"-1e39", r"RescaleSlope must be 1e-09 to 1e\+09, got -1e\+39"),
        ("RescaleSlope", b"1e-300", r"RescaleSlope must be 1e-09 to 1e\+09, got 1e-300"),
        ("RescaleSlope", b"0", "RescaleSlope must not be zero"),
        ("RescaleSlope", b"nan", "RescaleSlope must be a finite number, got something else"),
        ("RescaleSlope", b"inf", "RescaleSlope must be a finite number, got something else"),
        ("RescaleSlope", b"SECRET NAME", "RescaleSlope must be a finite number, got something else"),
        ("RescaleIntercept", b"1e300", r"RescaleIntercept must be at most 4.1943e\+06 slopes, got 1e\+300"),
        ("RescaleIntercept", b"1e8", r"RescaleIntercept must be at most 4.1943e\+06 slopes, got 1e\+08"),
        ("RescaleIntercept", b"nan", "RescaleIntercept must be a finite number"),
        ("PixelSpacing", b"60\\60", "PixelSpacing must be 0.05 to 10 mm, got 60 and 60"),
        ("PixelSpacing", b"0.6\\60", "PixelSpacing must be 0.05 to 10 mm, got 0.6 and 60"),
        ("PixelSpacing", b"1e-300\\1e-300", "PixelSpacing must be 0.05 to 10 mm"),
        ("PixelSpacing", b"-0.6\\-0.6", "PixelSpacing must be positive"),
        ("PixelSpacing", b"nan\\nan", "PixelSpacing must be 2 numbers, got none"),
        (
            "ImagePositionPatient",
            b"0\\9e8\\0",
            r"ImagePositionPatient must be at most 10000 mm, got 9e\+08 mm",
        ),
        ("ImagePositionPatient", b"0\\1e308\\0", "ImagePositionPatient must be at most 10000 mm"),
        ("ImagePositionPatient", b"nan\\0\\0", "ImagePositionPatient must be 3 numbers, got none"),
        ("NumberOfFrames", b"2147483647", r"NumberOfFrames must be at most 20000, got 2.14748e\+09"),
        ("NumberOfFrames", b"1e300", r"NumberOfFrames must be at most 20000, got 1e\+300"),
    ],
)
def test_a_slice_with_a_number_that_no_scanner_writes_is_left_out(
    tmp_path: Path, keyword: str, value: bytes, reason: str
) -> None:
    study = study_with(tmp_path, keyword, value, only=4)

    (unused,) = study.unused
    assert unused.what == "file 10 of 10"
    assert re.match(reason, unused.why), unused.why
    t2 = study.series[-1]
    assert t2.n_slices == 4
    assert all(np.isfinite(volume.pixels).all() for volume in t2.volumes)


def test_slices_that_lie_nearly_at_one_place_are_no_volume(tmp_path: Path) -> None:
    def crowd(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [index * 0.011, 0.0, 0.0]

    write_series(tmp_path, series=2, edit=crowd, **T2)
    with pytest.raises(NoStudyError, match=r"distance of slices must be 0\.05 to 200 mm"):
        read_study(tmp_path)


def test_a_matrix_that_no_scanner_makes_is_left_out(tmp_path: Path) -> None:
    def enlarge(ds: Dataset, _: int) -> None:
        ds.Rows, ds.Columns = 5000, 2
        ds.PixelData = bytes(20_000)

    write_series(tmp_path, series=2, edit=enlarge, **T2)
    with pytest.raises(NoStudyError, match="rows and columns must be at most 4096"):
        read_study(tmp_path)
