"""Of several series, contrast decides first, then coverage of the lumbar discs, then resolution."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.dicom_files import AXIAL, T1, T2, roles_of, write_series

from stenograde.dicom.read.coverage import extended_mm
from stenograde.dicom.read.studies import read_study
from stenograde.terms import Role

STIR = {**T2, "InversionTime": 160, "ScanningSequence": ["SE", "IR"]}
FAT_SUPPRESSED = {**T2, "ScanOptions": "FS"}
IN_PHASE = {**T2, "ImageType": ["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]}
WATER = {**T2, "ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}
OPPOSED = {**T2, "ImageType": ["DERIVED", "PRIMARY", "DIXON", "OPP_PHASE"]}
WITH_AGENT = {**T2, "ContrastBolusAgent": "given"}
FINE = {"PixelSpacing": [0.25, 0.25], "shape": (40, 32)}


def why_of(study, number: int) -> str:
    return next(series.why for series in study.series if series.uid.endswith(f".{number}"))


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        (T2, STIR, "it is T2, not STIR"),
        (T2, FAT_SUPPRESSED, "it is T2, not fat-suppressed T2"),
        (T2, WATER, "it is T2, not fat-suppressed T2"),
        (T2, IN_PHASE, "it is T2, not T2 in phase"),
        (T2, WITH_AGENT, "it is without contrast agent"),
        (STIR, FAT_SUPPRESSED, "it is STIR, not fat-suppressed T2"),
        (IN_PHASE, OPPOSED, "it is T2 in phase, not T2 in opposed phase"),
        (WATER, OPPOSED, "it is fat-suppressed T2, not T2 in opposed phase"),
        (T1, {**T1, "ScanOptions": "FS"}, "it is T1, not fat-suppressed T1"),
        (T1, {**T1, "ContrastBolusAgent": "given"}, "it is without contrast agent"),
        (T2, {**T2, "SeriesDescription": "T2 SURVEY"}, "it is of slices through discs, not a survey"),
    ],
)
def test_contrast_comes_before_coverage_and_resolution(tmp_path, better, worse, why):
    write_series(tmp_path / "a", series=1, n=5, **better)
    write_series(tmp_path / "b", series=2, n=12, **{**worse, **FINE})

    study = read_study(tmp_path)

    role = Role.SAGITTAL_T1 if better is T1 else Role.SAGITTAL_T2_STIR
    assert roles_of(study) == {"1": role, "2": None}
    assert f"best of 2: {why}" in why_of(study, 1)
    assert why in why_of(study, 2)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({**T2, "ScanningSequence": "GR"}, "gradient echo"),
        ({**T2, "ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}, "fat image of a Dixon series"),
        ({**T2, "SequenceName": "*h2d1_256"}, "single-shot series"),
        ({**T2, "EchoTime": 800}, "MR myelography"),
        ({**T2, "AcquisitionContrast": "DIFFUSION"}, "diffusion"),
        ({**T2, "EchoPulseSequence": "GRADIENT", "ScanningSequence": None}, "gradient echo"),
        ({**T2, "ComplexImageComponent": "PHASE"}, "phase or imaginary image"),
    ],
)
def test_what_never_serves_has_no_role_even_alone(tmp_path, attributes, why):
    write_series(tmp_path / "other", series=1, **T1)

    def edit(ds: Dataset, index: int) -> None:
        for keyword, value in attributes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    write_series(tmp_path / "a", series=2, edit=edit, **T2)

    study = read_study(tmp_path)

    assert study.by_role(Role.SAGITTAL_T2_STIR) is None
    assert any(why in unused.why for unused in study.unused)


def high(top_mm: float, rows: int, **attributes: object):
    """Edit and attributes of a sagittal field of 5 mm pixels that begins at a height."""

    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-4.0 * index, 0, top_mm]

    return {"edit": edit, "shape": (rows, 16), "PixelSpacing": [5.0, 5.0], **attributes}


@pytest.mark.parametrize("with_axial", [True, False])
def test_the_field_that_shows_the_lumbar_discs_is_chosen_not_the_taller_or_finer(tmp_path, with_axial):
    write_series(tmp_path / "a", series=1, **high(400, 80, **T2))  # z from 400 to 0
    write_series(tmp_path / "b", series=2, **high(130, 60, **{**T2, "SliceThickness": 5}))  # 130 to -170
    if with_axial:

        def block(ds: Dataset, index: int) -> None:
            ds.ImagePositionPatient = [0, 0, -30.0 * index + 20]

        write_series(tmp_path / "c", series=3, orientation=AXIAL, edit=block, **T2)

    study = read_study(tmp_path)

    assert roles_of(study)["2"] is Role.SAGITTAL_T2_STIR
    assert "of where the lumbar discs lie, against" in why_of(study, 1)


def blocks(ds: Dataset, index: int) -> None:
    """Five blocks of three slices, 35 mm apart, each turned a little more."""
    block, within = divmod(index, 3)
    tilt = np.deg2rad(6.0 * block)
    column = np.array([0, np.cos(tilt), np.sin(tilt)])
    normal = np.cross([1.0, 0, 0], column)
    ds.ImageOrientationPatient = [1, 0, 0, *column]
    ds.ImagePositionPatient = list(np.array([0, 0, -35.0 * block]) + 4.0 * within * normal)
    del ds.SliceLocation


def trunk(gap_mm: float):
    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 60 - gap_mm * index]
        del ds.SliceLocation

    return edit


@pytest.mark.parametrize(
    ("gap_mm", "pixel_mm", "times"),
    [(6.0, 1.25, T2), (6.0, 1.0, T2), (5.0, 0.75, T2), (4.0, 1.2, T2)],
)
def test_sheets_of_the_trunk_do_not_stand_beside_slices_through_discs(tmp_path, gap_mm, pixel_mm, times):
    write_series(
        tmp_path / "a", series=1, n=15, orientation=AXIAL, edit=blocks, **{**T2, "PixelSpacing": [0.5, 0.5]}
    )
    write_series(
        tmp_path / "b",
        series=2,
        n=round(280 / gap_mm),
        orientation=AXIAL,
        edit=trunk(gap_mm),
        **{**times, "PixelSpacing": [pixel_mm, pixel_mm]},
    )

    study = read_study(tmp_path)

    assert roles_of(study) == {"1": Role.AXIAL_T2, "2": None}


def test_of_two_that_are_alike_the_later_is_chosen_whatever_its_name(tmp_path):
    for name, number, time in (("z", 5, "101500"), ("a", 7, "103000"), ("k", 6, "102000")):
        write_series(tmp_path / name, series=number, SeriesNumber=number, AcquisitionTime=time, **T2)

    study = read_study(tmp_path)

    assert roles_of(study) == {"5": None, "6": None, "7": Role.SAGITTAL_T2_STIR}
    assert "it is the same kind, and was acquired last" in why_of(study, 7)
    assert "103000" not in " ".join(series.why + " ".join(series.problems) for series in study.series)


@pytest.mark.parametrize(
    ("there", "more", "expected"),
    [
        ([(0, 12), (35, 47)], [(12, 35)], 0),  # between neighbouring discs
        ([(0, 12), (70, 82)], [(12, 70)], 58),  # a disc was left out
        ([(0, 100)], [(60, 200)], 100),
        ([(0, 165)], [(-50, 300)], 0),  # all discs are there
        ([], [(0, 20)], 20),
    ],
)
def test_what_a_further_axial_series_adds_is_counted_in_discs(there, more, expected):
    assert extended_mm(there, more) == pytest.approx(expected)
