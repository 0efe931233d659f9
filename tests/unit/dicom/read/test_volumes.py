"""Slices become regular volumes; gaps, missing slices, mixed matrices and repeats are told apart and said."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.dicom_files import AXIAL, SAGITTAL, T2, mr_dataset, picture, save, write_series

from stenograde import geometry
from stenograde.dicom.read.studies import read_study
from stenograde.errors import NoStudyError
from stenograde.study import Series, Study
from stenograde.terms import Plane, Role, Weighting


def at(*locations: float):
    """Edit that puts slice k of a sagittal series at a location along n = (-1, 0, 0)."""

    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-locations[index], 0.0, 0.0]
        ds.SliceLocation = locations[index]

    return edit


def read_one(folder) -> Series:
    (series,) = read_study(folder).series
    return series


def with_locations(folder, *locations: float) -> Series:
    write_series(folder, n=len(locations), edit=at(*locations), **T2)
    return read_one(folder)


def test_slices_are_sorted_by_n_p_and_the_affine_is_that_of_the_header(tmp_path):
    series = with_locations(tmp_path, 8, 0, 4)

    (volume,) = series.volumes
    np.testing.assert_allclose(volume.affine[:3, 3], [0, 0, 0])
    np.testing.assert_allclose(volume.affine[:3, 0], [-4, 0, 0])
    np.testing.assert_allclose(volume.affine[:3, 1], [0, 0, -0.5])
    np.testing.assert_allclose(volume.affine[:3, 2], [0, 0.75, 0])
    assert [uid.rpartition(".")[2] for uid in volume.sop_instance_uids] == ["2", "3", "1"]
    assert series.problems == ()


@pytest.mark.parametrize(
    ("uids", "expected", "said"),
    [
        (["2.25.1"] * 5, "2.25.1", ""),
        ([""] * 5, None, ""),
        ([None] * 5, None, ""),
        (["2.25.1"] * 3 + ["2.25.2"] * 2, None, "mixed frames of reference: 2 and 3 slices"),
        (["2.25.1"] * 4 + [None], None, "mixed frames of reference: 1 and 4 slices"),
    ],
)
def test_slices_state_one_frame_of_reference_or_none(tmp_path, uids, expected, said):
    def edit(ds: Dataset, index: int) -> None:
        if uids[index] is not None:
            ds.FrameOfReferenceUID = uids[index]

    write_series(tmp_path, edit=edit, **T2)
    series = read_one(tmp_path)

    (volume,) = series.volumes
    assert volume.frame_of_reference_uid == expected
    assert any(problem.startswith(said) for problem in series.problems) if said else series.problems == ()


@pytest.mark.parametrize(
    ("locations", "said", "shapes"),
    [
        ((0, 4, 8, 28, 32, 36), "4 slices are missing after 3; split into 2 volumes", [3, 3]),
        ((0, 4, 8, 12, 16, 37.3, 41.3, 45.3), "37.3|4 x 4.0, 21.3, 2 x 4.0 mm; split into 2 volumes", [5, 3]),
        ((0, 4, 8, 12, 30, 33, 36, 39), "split into 2 volumes", [4, 4]),
    ],
)
def test_broken_grids_are_split_and_said(tmp_path, locations, said, shapes):
    series = with_locations(tmp_path, *locations)

    assert sorted(volume.shape[0] for volume in series.volumes) == sorted(shapes)
    assert sum(volume.shape[0] for volume in series.volumes) == len(locations)
    (problem,) = series.problems
    assert "slices must be evenly spaced within 0.1 mm, got gaps " in problem
    assert " x " in problem  # gaps that are the same are said once
    assert any(part in problem for part in said.split("|"))
    for volume in series.volumes:
        for index, uid in enumerate(volume.sop_instance_uids):
            x = geometry.to_patient(volume.affine, [[index, 0, 0]])[0, 0]
            assert x == pytest.approx(-locations[int(uid.rpartition(".")[2]) - 1], abs=0.01)


def test_a_lost_sagittal_slice_is_bridged_from_both_sides_and_said(tmp_path):
    series = with_locations(tmp_path, 0, 4, 8, 16, 20, 24)

    (volume,) = series.volumes
    assert volume.shape[0] == 7
    assert volume.bridged == (3,)
    np.testing.assert_allclose(volume.affine[:3, 0], [-4, 0, 0])
    np.testing.assert_array_equal(volume.pixels[[2, 4]], [picture(seed=102), picture(seed=103)])
    np.testing.assert_allclose(volume.slices([3])[0], volume.pixels[[2, 4]].mean(0))
    (problem,) = series.problems
    assert "got gaps 2 x 4.0, 8.0, 2 x 4.0 mm; a slice is missing after 3; bridged" in problem
    assert f"Sagittal T2/STIR: {problem}" in read_study(tmp_path).warnings


def test_one_small_jump_keeps_the_volume_and_says_how_far_it_is_off(tmp_path):
    series = with_locations(tmp_path, *np.arange(8) * 3.5, *(np.arange(8) * 3.5 + 24.5 + 5.94))

    (volume,) = series.volumes
    assert volume.shape[0] == 16
    (problem,) = series.problems
    assert "5.9" in problem
    assert problem.endswith("kept as one volume, whose grid is off by up to 1.1 mm")


def test_jitter_below_the_tolerance_goes_without_saying(tmp_path):
    series = with_locations(tmp_path, 0, 4.03, 8, 11.98, 16)

    assert len(series.volumes) == 1
    assert series.problems == ()


def test_slices_without_any_grid_are_refused_with_their_gaps(tmp_path):
    write_series(tmp_path, n=6, edit=at(0, 3, 7.7, 9, 14.4, 23), **T2)

    with pytest.raises(
        NoStudyError, match=r"1 x slices must be evenly spaced within 0\.1 mm, got gaps 3\.0, 4\.7"
    ):
        read_study(tmp_path)


def test_an_irregular_series_is_listed_beside_a_regular_one(tmp_path):
    write_series(tmp_path / "a", series=1, n=6, edit=at(0, 3, 7.7, 9, 14.4, 23), **T2)
    write_series(tmp_path / "b", series=2, **T2)

    study = read_study(tmp_path)

    (unused,) = study.unused
    assert unused.what.startswith("series 1.2.826")
    assert "got gaps 3.0, 4.7, 1.3, 5.4, 8.6 mm" in unused.why
    assert len(study.series) == 1


def test_an_axial_series_angled_disc_by_disc_is_one_volume_per_angle(tmp_path):
    def angle(ds: Dataset, index: int) -> None:
        block, within = divmod(index, 3)
        tilt = np.deg2rad(8.0 * block)
        row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(tilt), np.sin(tilt)])
        normal = np.cross(row, column)
        ds.ImageOrientationPatient = [*row, *column]
        ds.ImagePositionPatient = list(np.array([0, 0, -40.0 * block]) + normal * 4.0 * within)
        del ds.SliceLocation

    write_series(tmp_path, n=15, orientation=AXIAL, edit=angle, **T2)

    series = read_one(tmp_path)

    assert series.plane is Plane.AXIAL
    assert series.role is Role.AXIAL_T2
    assert [volume.shape[0] for volume in series.volumes] == [3] * 5
    heights = [volume.affine[2, 3] for volume in series.volumes]
    assert heights == sorted(heights, reverse=True)


def test_mixed_matrices_are_told_apart(tmp_path):
    write_series(tmp_path / "a", n=4, **T2)
    for number in range(4, 7):
        ds = mr_dataset(
            picture(10, 8, seed=number), number=number + 1, ImagePositionPatient=[-4.0 * number, 0, 0]
        )
        for keyword, value in T2.items():
            setattr(ds, keyword, value)
        save(ds, tmp_path / "b" / f"{number}")

    study = read_study(tmp_path)

    assert [volume.shape for series in study.series for volume in series.volumes] == [(4, 20, 16), (3, 10, 8)]
    assert [series.role for series in study.series] == [Role.SAGITTAL_T2_STIR, None]
    said = "its SeriesInstanceUID holds 2 acquisitions, told apart by matrix, times and plane"
    assert all(said in series.problems for series in study.series)


def repeated(folder, **per_repeat: tuple) -> Study:
    """Write a series in which each place occurs twice."""
    for repeat in range(2):
        for index in range(4):
            ds = mr_dataset(picture(seed=index), number=repeat * 4 + index + 1)
            ds.ImagePositionPatient = [-4.0 * index, 0.0, 0.0]
            for keyword, value in T2.items():
                setattr(ds, keyword, value)
            for keyword, values in per_repeat.items():
                setattr(ds, keyword, values[repeat])
            save(ds, folder / f"{repeat}_{index}")
    return read_study(folder)


@pytest.mark.parametrize(
    ("per_repeat", "names"),
    [
        ({"EchoTime": (20, 100)}, "TE 20 ms; TE 100 ms"),
        (
            {"ImageType": (["ORIGINAL", "PRIMARY", "M", "WATER"], ["ORIGINAL", "PRIMARY", "M", "IN_PHASE"])},
            r"ImageType ORIGINAL\PRIMARY\M\WATER; ImageType ORIGINAL\PRIMARY\M\IN_PHASE",
        ),
        ({"TemporalPositionIdentifier": (1, 2)}, "time point 1; time point 2"),
        ({"AcquisitionNumber": (1, 2)}, "acquisition 1; acquisition 2"),
        ({}, "repeat 1; repeat 2"),
    ],
)
def test_repeated_places_are_told_apart_and_said(tmp_path, per_repeat, names):
    study = repeated(tmp_path, **per_repeat)

    assert [series.n_slices for series in study.series] == [4, 4]
    assert [series.role for series in study.series] == [Role.SAGITTAL_T2_STIR, None]
    said = f"slices repeat in place and are told apart as 2 parts: {names}"
    assert all(said in series.problems for series in study.series)
    if "EchoTime" in per_repeat:
        assert [series.weighting for series in study.series] == [Weighting.T2, Weighting.PD]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (lambda s, k: s, None),
        (lambda s, k: -s, None),
        (lambda s, k: s + 7, "stored SliceLocation disagrees with n·p by a constant 7.0 mm; n·p is used"),
        (lambda s, k: s + (9 if k == 2 else 0), "stored SliceLocation disagrees with n·p by up to 9.0 mm"),
    ],
)
def test_a_stored_slice_location_is_checked_against_n_p(tmp_path, stored, said):
    def edit(ds: Dataset, index: int) -> None:
        ds.SliceLocation = stored(4.0 * index, index)

    write_series(tmp_path, n=5, edit=edit, **T2)

    problems = read_one(tmp_path).problems

    assert [problem.startswith(said) for problem in problems] == [True] if said else problems == ()


def test_a_single_slice_has_the_thickness_of_the_header(tmp_path):
    write_series(tmp_path, n=1, **T2)

    series = read_one(tmp_path)

    assert series.volumes[0].spacing_mm == (4.0, 0.5, 0.75)
    assert series.role is None
    assert "not used: 1 slices, fewer than 3" in series.why


def test_a_single_slice_without_thickness_says_so(tmp_path):
    write_series(tmp_path, n=1, SliceThickness=None, **T2)

    assert "a single slice has no thickness; 1 mm is assumed" in read_one(tmp_path).problems


def test_sheared_stacks_keep_their_shear(tmp_path):
    def shear(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-4.0 * index, 0.5 * index, 0.0]

    write_series(tmp_path, n=5, edit=shear, orientation=SAGITTAL, **T2)

    (volume,) = read_one(tmp_path).volumes

    np.testing.assert_allclose(volume.affine[:3, 0], [-4, 0.5, 0])
