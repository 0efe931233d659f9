"""Real studies and awkward files: roles without headers, volumes, what is tolerated."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread

from stenograde import geometry
from stenograde.dicom.read.given_roles import read_roles
from stenograde.dicom.read.looking import look_at_axial, look_at_sagittal
from stenograde.dicom.read.studies import read_study
from stenograde.images.contrast import fluid_signal
from stenograde.study import Study
from stenograde.terms import Plane, Role

DATA = Path(__file__).parents[3] / "shared" / "data"
RSNA = DATA / "rsna2024_study"
STUDY = RSNA / "train_images" / "100206310"
AWKWARD = DATA / "awkward_dicom" / "siemens_axial_t2_missing_sequence_delimiter.dcm"
SLABS = DATA / "lumbar_slabs"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not STUDY.is_dir(), reason="the development data do not lie beside the project"),
]

T1_SLABS = {"VB1_02", "VB1_08"}
"""Stacks whose fluid is dark, by looking; all others show it bright."""


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(STUDY)


def test_the_three_series_have_their_roles_without_the_table(study):
    with (RSNA / "train_series_descriptions.csv").open() as stream:
        wanted = {row["series_id"]: row["series_description"] for row in csv.DictReader(stream)}

    found = {series.uid.rpartition(".")[2]: series.role.shown for series in study.series if series.role}

    assert found == wanted
    assert all("fluid is" in series.why for series in study.series)


def test_the_table_gives_the_same_roles():
    study = read_study(STUDY, roles=read_roles(RSNA / "train_series_descriptions.csv"))

    assert [series.role for series in study.series] == list(Role)
    assert all("by override" in series.why for series in study.series)


def test_the_axial_series_is_six_volumes_from_head_to_feet(study):
    axial = study.by_role(Role.AXIAL_T2)

    assert axial is not None
    assert [volume.shape[0] for volume in axial.volumes] == [7, 16, 9, 9, 9, 10]
    assert any("kept as one volume" in problem for problem in axial.problems)


def test_what_is_tolerated_is_said(study):
    assert study.unused == ()
    assert any("SOPInstanceUIDs are used in several series" in warning for warning in study.warnings)
    for series in study.series:
        said = " ".join(series.problems)
        assert "no Modality" in said
        assert "no Manufacturer" in said
        assert "SOP class Enhanced MR on single frames" in said


@pytest.mark.parametrize("role", [Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR])
def test_sagittal_volumes_have_the_pixels_of_simpleitk_and_the_positions_of_the_headers(study, role):
    """SimpleITK gives no geometry here: of the class Enhanced MR it reads only functional groups."""
    series = study.by_role(role)
    assert series is not None
    (volume,) = series.volumes
    folder = STUDY / series.uid.rpartition(".")[2]
    paths = [folder / f"{uid.rpartition('.')[2]}.dcm" for uid in volume.sop_instance_uids]
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])

    np.testing.assert_array_equal(volume.pixels, SimpleITK.GetArrayFromImage(reader.Execute()))
    positions = [dcmread(path, stop_before_pixels=True).ImagePositionPatient for path in paths]
    corners = geometry.to_patient(volume.affine, [[index, 0, 0] for index in range(len(paths))])
    np.testing.assert_allclose(corners, np.asarray(positions, float), atol=1e-4)


def test_the_missing_delimiter_is_no_missing_data():
    (series,) = read_study(AWKWARD).series

    assert series.plane is Plane.AXIAL
    assert "T2: TE 97 ms, TR 8080 ms" in series.why
    assert "pixel data has no sequence delimiter" in series.problems
    image = SimpleITK.ReadImage(str(AWKWARD))
    np.testing.assert_array_equal(series.volumes[0].pixels, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(series.volumes[0].affine[:3, 3], image.GetOrigin(), atol=1e-4)


def test_radiographs_beside_it_are_listed():
    study = read_study(AWKWARD.parent)

    assert len(study.unused) == 3
    assert all("not an MR image (modality CR" in unused.why for unused in study.unused)


def test_the_picture_tells_bright_from_dark_fluid(study):
    assert look_at_sagittal(study.by_role(Role.SAGITTAL_T1).volumes).is_bright is False
    assert look_at_sagittal(study.by_role(Role.SAGITTAL_T2_STIR).volumes).is_bright is True


def test_each_axial_block_alone_shows_bright_fluid(study):
    dark, bright = (study.by_role(role).volumes[0] for role in (Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR))

    for volume in study.by_role(Role.AXIAL_T2).volumes:
        assert look_at_axial([volume], bright, dark).is_bright is True


@pytest.mark.parametrize(
    "folder", sorted(SLABS.glob("*")) if SLABS.is_dir() else [], ids=lambda folder: folder.name
)
def test_stacks_never_fitted_are_judged_right(folder):
    from PIL import Image

    paths = sorted(folder.glob("*.webp"))
    middle = len(paths) // 2
    pictures = [
        np.asarray(Image.open(path).convert("L"), np.float32) for path in paths[middle - 2 : middle + 3]
    ]

    assert fluid_signal(pictures, (1.7, 1.7)).is_bright is (folder.name not in T1_SLABS)
