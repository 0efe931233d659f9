"""What was lost is said first, the worst at the top; sound studies say nothing."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from tests.dicom_files import AXIAL, T1, T2, write_series, write_study

from stenograde.dicom.read.studies import read_studies, read_study
from stenograde.errors import UnreadableInstanceError
from stenograde.predict.locate import locating_series
from stenograde.terms import Role


def cut(path, n_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:n_bytes])


def with_values(**attributes):
    def spoil(path) -> None:
        ds = dcmread(path)
        for keyword, value in attributes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        ds.save_as(path)

    return spoil


no_rows = with_values(Rows=0)

SPOILT = {
    "no rows": no_rows,
    "pixels cut": lambda path: cut(path, -60),
    "header cut": lambda path: cut(path, 500),
    "no pixels": with_values(PixelData=None),
    "no modality that there is": with_values(Modality="MRX"),
    "neither signed nor unsigned": with_values(PixelRepresentation=7),
    "two SOPInstanceUIDs": with_values(SOPInstanceUID="1\\2"),
    "two samples": with_values(SamplesPerPixel=2),
    "24 bits": with_values(BitsAllocated=24),
    "1 bit": with_values(BitsAllocated=1, BitsStored=1, HighBit=0),
    "spacing below zero": with_values(PixelSpacing=[-1, -1]),
    "no spacing": with_values(PixelSpacing=None),
    "zero orientation": with_values(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]),
    "no orientation": with_values(ImageOrientationPatient=None),
    "far away": with_values(ImagePositionPatient=[1e9, 0, 0]),
    "slope zero": with_values(RescaleSlope=0),
    "no frames described": with_values(NumberOfFrames=3, BitsAllocated=24),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("is_stripped", [False, True])
def test_a_sagittal_t2_that_could_not_be_read_is_said_first_and_not_replaced_by_t1(
    tmp_path, spoil, is_stripped
):
    write_study(tmp_path)
    for path in (tmp_path / "t2").iterdir():
        if is_stripped:
            ds = dcmread(path)
            for keyword in (*T2, "SeriesDescription", "ImageType"):
                delattr(ds, keyword)
            ds.save_as(path)
        spoil(path)

    study = read_study(tmp_path)

    assert study.by_role(Role.SAGITTAL_T1) is not None
    assert [role for role, _ in study.lost] == [Role.SAGITTAL_T2_STIR]
    assert study.warnings[0].startswith("there is no Sagittal T2/STIR to grade from: ")
    with pytest.raises(
        UnreadableInstanceError, match="the sagittal T2 of a study must be readable, got none: "
    ):
        locating_series(study)


def test_a_study_without_t2_is_located_in_t1(tmp_path):
    write_series(tmp_path / "t1", series=1, **T1)
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "empty.dcm").write_bytes(b"")

    study = read_study(tmp_path)

    assert study.lost == ()
    assert locating_series(study).role is Role.SAGITTAL_T1


def test_another_t2_stands_in_for_one_that_was_lost_and_both_are_said(tmp_path):
    write_study(tmp_path)
    for path in write_series(tmp_path / "more", series=9, **T2):
        no_rows(path)

    study = read_study(tmp_path)

    assert study.lost == ()
    assert locating_series(study).role is Role.SAGITTAL_T2_STIR
    (warning,) = study.warnings
    assert warning.startswith("series ")
    assert warning.endswith(
        "could not be used: 5 of its files cannot be read: rows and columns must be positive, got 0 and 16"
    )


def test_files_of_a_used_series_that_could_not_be_read_are_said_with_the_gap_that_they_leave(tmp_path):
    write_study(tmp_path)
    cut(tmp_path / "t2" / "3.dcm", -60)

    study = read_study(tmp_path)

    first, second = sorted(study.warnings)
    assert "1 of its files cannot be read: truncated" in first
    assert "a slice is missing after 2" in second
    assert study.by_role(Role.SAGITTAL_T2_STIR).volumes[0].shape[0] == 5


@pytest.mark.parametrize("name", [name for name in SPOILT if name != "header cut"])
def test_a_lost_axial_or_t1_is_said_and_the_rest_is_graded(tmp_path, name):
    spoil = SPOILT[name]
    write_study(tmp_path)
    for folder in ("t1", "ax"):
        for path in (tmp_path / folder).iterdir():
            spoil(path)

    study = read_study(tmp_path)

    assert [role for role, _ in study.lost] == [Role.SAGITTAL_T1, Role.AXIAL_T2]
    assert [warning.partition(" to grade")[0] for warning in study.warnings] == [
        "there is no Sagittal T1",
        "there is no Axial T2",
    ]
    assert locating_series(study).role is Role.SAGITTAL_T2_STIR


def test_files_whose_header_ends_before_it_tells_their_series_are_said(tmp_path):
    write_study(tmp_path)
    for path in (tmp_path / "ax").iterdir():
        cut(path, 300)

    study = read_study(tmp_path)

    assert study.lost == ()
    (warning,) = study.warnings
    assert warning.endswith(
        " DICOM files cannot be read: cannot be parsed: header ends before the pixel data begins; pydicom "
        "recovers 0 elements, but not what identifies it"
    )


@pytest.mark.parametrize("spoil", [no_rows, SPOILT["no orientation"], SPOILT["1 bit"]])
def test_what_never_serves_is_not_missed(tmp_path, spoil):
    write_study(tmp_path)
    for path in write_series(tmp_path / "gre", series=9, **{**T2, "ScanningSequence": "GR"}):
        spoil(path)

    assert read_study(tmp_path).warnings == ()


def test_loss_is_said_before_odd_grids_and_these_before_odd_pixels(tmp_path):
    def lost_and_white(ds: Dataset, index: int) -> None:
        ds.PhotometricInterpretation = "MONOCHROME1"
        ds.ImagePositionPatient = [-4.0 * (index + (index > 3)), 0, 0]

    def jump(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 4.0 * index + 1.0 * (index > 4)]

    write_series(tmp_path / "t2", series=2, n=9, edit=lost_and_white, **T2)
    write_series(tmp_path / "ax", series=3, n=10, orientation=AXIAL, edit=jump, **T2)

    (study,) = read_studies(tmp_path)

    words = ("a slice is missing", "kept as one volume", "MONOCHROME1")
    assert [next(word for word in words if word in warning) for warning in study.warnings] == list(words)


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_t2_of_many_frames_in_one_file_that_cannot_be_placed_is_missed(tmp_path, is_cut):
    write_study(tmp_path)
    paths = sorted((tmp_path / "t2").iterdir())
    ds = dcmread(paths[0])
    ds.NumberOfFrames, ds.PixelData = 15, 15 * ds.PixelData
    for path in paths:
        path.unlink()
    ds.save_as(paths[0])
    if is_cut:
        cut(paths[0], -60)

    assert [role for role, _ in read_study(tmp_path).lost] == [Role.SAGITTAL_T2_STIR]


def test_a_t2_whose_files_name_no_instance_is_missed(tmp_path):
    write_study(tmp_path)
    for path in (tmp_path / "t2").iterdir():
        ds = dcmread(path)
        del ds.SOPInstanceUID, ds.file_meta.MediaStorageSOPInstanceUID
        ds.save_as(path, enforce_file_format=False)

    study = read_study(tmp_path)

    assert [role for role, _ in study.lost] == [Role.SAGITTAL_T2_STIR]
    assert "has no SOPInstanceUID" in study.warnings[0]


def test_a_cut_copy_of_what_was_read_is_no_loss(tmp_path):
    write_study(tmp_path)
    for path in list((tmp_path / "t2").iterdir()):
        copy = tmp_path / f"copy {path.name}"
        copy.write_bytes(path.read_bytes())
        cut(copy, -60)

    study = read_study(tmp_path)

    assert study.lost == ()
    assert study.warnings == ()


def test_images_of_which_nothing_is_known_are_not_taken_for_a_lost_axial(tmp_path):
    write_series(tmp_path / "t1", series=1, **T1)
    write_series(tmp_path / "t2", series=2, **T2)
    for path in write_series(tmp_path / "curves", series=9, SeriesDescription="Mean curves"):
        with_values(ImagePositionPatient=None, ImageOrientationPatient=None, ImageType=None)(path)

    study = read_study(tmp_path)

    assert study.lost == ()
    assert any("could not be used" in warning for warning in study.warnings)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_t2_that_belongs_to_no_study_or_series_is_missed(tmp_path, keyword):
    write_study(tmp_path)
    for path in (tmp_path / "t2").iterdir():
        with_values(**{keyword: None})(path)

    study = read_study(tmp_path)

    assert [role for role, _ in study.lost] == [Role.SAGITTAL_T2_STIR]
    assert f"has no {keyword}" in study.warnings[0]
