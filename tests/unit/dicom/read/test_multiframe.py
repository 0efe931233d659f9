"""Enhanced multi-frame instances are read frame by frame from their functional groups."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from tests.dicom_files import SAGITTAL, mr_dataset, picture, save

from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.studies import read_study
from stenograde.errors import NoStudyError
from stenograde.terms import Role, Weighting


def group(**macros: dict) -> Dataset:
    groups = Dataset()
    for macro, values in macros.items():
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        setattr(groups, macro, [item])
    return groups


def enhanced(n: int = 6, echoes: tuple[float, ...] = (100.0,), **attributes: object) -> Dataset:
    """A sagittal volume of n slices per echo, frames from the last slice to the first."""
    places = [(echo, index) for echo in echoes for index in reversed(range(n))]
    frames = np.stack([picture(seed=int(echo) + index) for echo, index in places])
    ds = mr_dataset(frames, NumberOfFrames=len(frames), SOPClassUID=EnhancedMRImageStorage, **attributes)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, keyword)
    ds.SharedFunctionalGroupsSequence = [
        group(
            PixelMeasuresSequence={
                "PixelSpacing": [0.5, 0.75],
                "SliceThickness": 4,
                "SpacingBetweenSlices": 4.4,
            },
            PlaneOrientationSequence={"ImageOrientationPatient": list(SAGITTAL)},
            MRTimingAndRelatedParametersSequence={"RepetitionTime": 3500, "FlipAngle": 90},
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        group(
            PlanePositionSequence={"ImagePositionPatient": [-4.4 * index, 0, 0]},
            MREchoSequence={"EffectiveEchoTime": echo},
            PixelValueTransformationSequence={
                "RescaleSlope": index + 1,
                "RescaleIntercept": 1,
                "RescaleType": "US",
            },
        )
        for echo, index in places
    ]
    return ds


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
def test_frames_become_slices_with_their_own_position_and_rescale(tmp_path, syntax):
    save(enhanced(), tmp_path / "volume", syntax)

    (series,) = read_study(tmp_path).series

    assert series.role is Role.SAGITTAL_T2_STIR
    assert "T2: TE 100 ms, TR 3500 ms" in series.why
    assert "multi-frame instance, read frame by frame (6 frames)" in series.problems
    (volume,) = series.volumes
    assert volume.frames == (5, 4, 3, 2, 1, 0)
    np.testing.assert_allclose(volume.affine[:3, 0], [-4.4, 0, 0])
    for index in range(6):
        expected = picture(seed=100 + index).astype(np.float32) * (index + 1) + 1
        np.testing.assert_array_equal(volume.slices([index])[0], expected)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_multi_frame_file_is_unpacked_once_for_all_its_frames(tmp_path, syntax, monkeypatch):
    save(enhanced(), tmp_path / "study" / "volume", syntax)
    volume = (
        read_study(shutil.make_archive(str(tmp_path / "zip"), "zip", tmp_path / "study")).series[0].volumes[0]
    )
    unpacked = []
    whole = StudyFile.whole
    monkeypatch.setattr(StudyFile, "whole", lambda file: unpacked.append(file.data is None) or whole(file))

    pixels = volume.pixels

    assert sum(unpacked) == 1
    np.testing.assert_array_equal(pixels[3], picture(seed=103).astype(np.float32) * 4 + 1)


def test_echoes_of_one_instance_are_told_apart(tmp_path):
    save(enhanced(echoes=(20.0, 100.0)), tmp_path / "volume")

    study = read_study(tmp_path)

    assert [(series.weighting, series.role) for series in study.series] == [
        (Weighting.T2, Role.SAGITTAL_T2_STIR),
        (Weighting.PD, None),
    ]
    assert all(series.n_slices == 6 for series in study.series)


def test_computed_frames_are_listed(tmp_path):
    ds = enhanced(echoes=(100.0, 101.0))
    for frame in list(ds.PerFrameFunctionalGroupsSequence)[6:]:
        item = Dataset()
        item.FrameType = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
        frame.MRImageFrameTypeSequence = [item]
    save(ds, tmp_path / "volume")

    study = read_study(tmp_path)

    assert study.series[0].n_slices == 6
    listed = [f"file 1 of 1 frame {number}" for number in range(7, 13)]
    assert [unused.what for unused in study.unused] == listed
    assert all(unused.why.startswith("derived: diffusion image") for unused in study.unused)


def diffusion(ds: Dataset, *values: float) -> None:
    """Give the frames of each echo a b-value, without echo planar."""
    frames = list(ds.PerFrameFunctionalGroupsSequence)
    per_value = len(frames) // len(values)
    for index, frame in enumerate(frames):
        item = Dataset()
        item.DiffusionBValue = values[index // per_value]
        frame.MRDiffusionSequence = [item]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda ds: setattr(ds, "EchoPulseSequence", "GRADIENT"), "gradient echo"),
        (lambda ds: setattr(ds, "EchoPlanarPulseSequence", "YES"), "diffusion or echo planar"),
        (lambda ds: setattr(ds, "PulseSequenceName", "*h2d1_160"), "single-shot series"),
        (lambda ds: setattr(ds, "AcquisitionContrast", "DIFFUSION"), "diffusion or echo planar"),
        (lambda ds: setattr(ds, "ComplexImageComponent", "PHASE"), "phase or imaginary image"),
        (lambda ds: diffusion(ds, 800.0), "diffusion or echo planar"),
    ],
)
def test_kinds_that_never_serve_are_told_where_enhanced_mr_writes_them(tmp_path, edit, why):
    ds = enhanced()
    edit(ds)
    save(ds, tmp_path / "volume")

    with pytest.raises(NoStudyError, match=f"1 x {why}"):
        read_study(tmp_path)


def test_the_image_without_weighting_of_a_diffusion_series_is_left_out_too(tmp_path):
    ds = enhanced(echoes=(80.0, 80.0))
    diffusion(ds, 0.0, 800.0)
    save(ds, tmp_path / "volume")

    with pytest.raises(NoStudyError, match="2 x diffusion or echo planar"):
        read_study(tmp_path)


def test_frame_types_tell_the_images_of_a_dixon_series_apart(tmp_path):
    ds = enhanced(echoes=(100.0, 100.0, 100.0))
    for index, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.FrameType = ["DERIVED", "PRIMARY", "DIXON", ("OUT_OF_PHASE", "FAT", "IN_PHASE")[index // 6]]
        frame.MRImageFrameTypeSequence = [item]
    save(ds, tmp_path / "volume")

    study = read_study(tmp_path)

    assert [series.role for series in study.series] == [Role.SAGITTAL_T2_STIR, None]
    assert "it is T2 in phase, not T2 in opposed phase" in study.series[0].why
    assert {unused.why for unused in study.unused} == {"derived: fat image of a Dixon series (ImageType FAT)"}


def test_suppressed_fat_and_a_contrast_agent_are_read_from_their_sequences(tmp_path):
    for number in range(3):
        ds = enhanced()
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID}.{number}"
        ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.1"
        if number == 0:
            ds.SharedFunctionalGroupsSequence[0].MRModifierSequence = [
                group_item(SpectrallySelectedSuppression="FAT")
            ]
        if number == 1:
            ds.ContrastBolusAgentSequence = [group_item(ContrastBolusAgentNumber=1)]
        save(ds, tmp_path / f"{number}")

    study = read_study(tmp_path)

    assert study.series[0].uid.endswith(".2")
    whys = " ".join(series.why for series in study.series[1:])
    assert "it is T2, not fat-suppressed T2" in whys
    assert "it is without contrast agent" in whys


def group_item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda ds: delattr(ds, "PerFrameFunctionalGroupsSequence"),
            "6 frames must each have a position, got none",
        ),
        (
            lambda ds: setattr(
                ds, "PerFrameFunctionalGroupsSequence", ds.PerFrameFunctionalGroupsSequence[:4]
            ),
            "functional groups must describe 6 frames, got 4",
        ),
        (
            lambda ds: delattr(ds.SharedFunctionalGroupsSequence[0], "PixelMeasuresSequence"),
            "PixelSpacing must be 2 numbers, got none",
        ),
    ],
)
def test_functional_groups_that_do_not_fit_are_refused(tmp_path, spoil, message):
    ds = enhanced()
    spoil(ds)
    save(ds, tmp_path / "volume")

    with pytest.raises(NoStudyError, match=f"1 x {message}"):
        read_study(tmp_path)
