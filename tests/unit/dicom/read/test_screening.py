"""What is no acquired MR slice is left out with its reason; what is odd but usable is said."""

from __future__ import annotations

import numpy as np
import pytest
from tests.dicom_files import (
    AXIAL,
    EXPECTED_ROLES,
    T2,
    mr_dataset,
    picture,
    reasons,
    roles_of,
    save,
    write_series,
)

from stenograde.dicom.read.studies import read_study
from stenograde.terms import Role

OTHER_OBJECTS = [
    ({"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "not an MR image (modality CT"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.22", "Modality": "SR"}, "structured report: no image"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "Modality": "PR"}, "presentation state: no image"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.59", "Modality": "KO"}, "key object selection: no image"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
    ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "derived: maximum intensity projection (ImageType MIP)"),
    ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "derived: reformatted (ImageType MPR)"),
    ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "derived: diffusion image"),
    ({"ImageType": ["DERIVED", "PRIMARY", "ADC"]}, "derived: diffusion map (ImageType ADC)"),
    ({"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]}, "derived: subtraction (ImageType SUBTRACTION)"),
    ({"ImageType": ["DERIVED", "SECONDARY"]}, "derived: a secondary image (ImageType DERIVED, SECONDARY)"),
    ({"ImagePositionPatient": None}, "ImagePositionPatient must be 3 numbers, got none"),
    ({"ImageOrientationPatient": None}, "ImageOrientationPatient must be 6 numbers, got none"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "orientation must be two orthogonal unit vectors"),
    ({"PixelSpacing": None}, "PixelSpacing must be 2 numbers, got none"),
    ({"PixelSpacing": [0, 0.5]}, "PixelSpacing must be positive, got 0 and 0.5"),
    ({"RescaleSlope": 0}, "RescaleSlope must not be zero"),
    ({"SeriesInstanceUID": None}, "has no SeriesInstanceUID"),
    ({"StudyInstanceUID": None}, "has no StudyInstanceUID"),
]


@pytest.mark.parametrize(("attributes", "why"), OTHER_OBJECTS)
def test_other_objects_are_listed_with_the_reason(study_folder, attributes, why):
    ds = mr_dataset(picture(), series=8, **attributes)
    save(ds, study_folder / "other.dcm")

    study = read_study(study_folder)

    assert roles_of(study) == EXPECTED_ROLES
    assert reasons(study)["other.dcm"].startswith(why)


def test_colour_and_pixelless_objects_are_listed(study_folder):
    colour = mr_dataset(
        np.zeros((20, 48), np.uint8), series=8, SamplesPerPixel=3, PhotometricInterpretation="RGB"
    )
    colour.Columns = 16
    save(colour, study_folder / "colour.dcm")
    empty = mr_dataset(picture(), series=9)
    del empty.PixelData
    save(empty, study_folder / "empty.dcm")

    found = reasons(read_study(study_folder))

    assert found == {"colour.dcm": "colour image (3 samples per pixel)", "empty.dcm": "holds no pixel data"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "M"]},
        {"ImageType": ["DERIVED", "SECONDARY"], "DerivationDescription": "Lossless JPEG 2000 compression"},
        {"ImageType": ["DERIVED", "SECONDARY"], "LossyImageCompression": "01"},
    ],
)
def test_a_recompressed_original_is_used_and_said(tmp_path, attributes):
    write_series(tmp_path, **T2, **attributes)

    study = read_study(tmp_path)

    assert study.by_role(Role.SAGITTAL_T2_STIR) is not None
    assert any("DERIVED" in problem for problem in study.series[0].problems)


TOLERATED = [
    ({"Modality": None}, "no Modality; taken as MR (5 files)"),
    ({"Manufacturer": None}, "no Manufacturer (5 files)"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1"}, "SOP class Enhanced MR on single frames"),
    ({"SliceLocation": None}, "5 of 5 slices have no SliceLocation; n·p is used"),
]


@pytest.mark.parametrize(("attributes", "said"), TOLERATED)
def test_what_is_tolerated_is_said(tmp_path, attributes, said):
    write_series(tmp_path, **T2, **attributes)

    (series,) = read_study(tmp_path).series

    assert series.role is Role.SAGITTAL_T2_STIR
    assert any(problem.startswith(said) for problem in series.problems)


def test_a_three_plane_scout_is_a_localizer_by_geometry(study_folder):
    for number, orientation in enumerate(((0, 1, 0, 0, 0, -1), AXIAL, (1, 0, 0, 0, 0, -1)), start=1):
        save(
            mr_dataset(picture(), series=7, number=number, ImageOrientationPatient=list(orientation)),
            study_folder / f"scout{number}",
        )

    found = reasons(read_study(study_folder))

    (why,) = found.values()
    assert why.startswith("localizer: slices up to 90 degrees apart in one series")
