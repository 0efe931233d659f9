"""Stations of one spine are joined pixel by pixel, or each is named; never the larger half in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import T1, T2, mr_dataset, save

from stenograde import geometry
from stenograde.dicom.read.studies import read_study
from stenograde.levels.slices import slice_through
from stenograde.report.pictures import find_slice
from stenograde.study import Study
from stenograde.terms import Role

ROWS, COLUMNS, N = 120, 40, 6
SPACING_MM = 2.0
GAP_MM = 4.0
RNG = np.random.default_rng(3)
WHOLE = RNG.integers(0, 4000, (N, ROWS, COLUMNS)).astype(np.uint16)


def station(
    folder: Path, top: int, stop: int, *, series: int = 1, beside_mm: float = 0.0, **attributes: object
) -> None:
    """Write rows of one picture of a spine as a station of its own; the first row lies at z = 0."""
    for index in range(N):
        ds = mr_dataset(
            WHOLE[index, top:stop],
            series=series,
            number=100 * top + index + 1,
            PixelSpacing=[SPACING_MM, SPACING_MM],
            ImagePositionPatient=[-GAP_MM * index - beside_mm, 0, -SPACING_MM * top],
            **{**T2, **attributes},
        )
        save(ds, folder / f"{series}_{top}_{index}")


def t2(study: Study):
    series = study.by_role(Role.SAGITTAL_T2_STIR)
    assert series is not None
    return series


@pytest.mark.parametrize("second", [1, 2])
def test_stations_in_one_plane_are_joined_whatever_their_uid(tmp_path, second):
    station(tmp_path, 0, 70)
    station(tmp_path, 50, 120, series=second)

    study = read_study(tmp_path)

    (volume,) = t2(study).volumes
    np.testing.assert_array_equal(volume.pixels, WHOLE)
    np.testing.assert_allclose(geometry.to_patient(volume.affine, [[1, 2, 3]]), [[-4, 6, -4]])
    assert any("two stations that overlap by 40 mm are joined" in warning for warning in study.warnings)
    assert study.name_doubts == ()
    assert not any("each of which is taken by itself" in warning for warning in study.warnings)


def test_slices_a_millimetre_beside_are_joined_and_said(tmp_path):
    station(tmp_path, 0, 70)
    station(tmp_path, 50, 120, beside_mm=1.0)

    study = read_study(tmp_path)

    (volume,) = t2(study).volumes
    np.testing.assert_array_equal(volume.pixels, WHOLE)
    assert any("their slices lie 1.0 mm beside each other" in warning for warning in study.warnings)


def test_what_rests_on_a_joined_slice_names_the_instance_and_its_own_pixel(tmp_path):
    station(tmp_path, 0, 70)
    station(tmp_path, 50, 120)
    study = read_study(tmp_path)
    series = t2(study)

    for row in (10, 100):
        point = tuple(geometry.to_patient(series.volumes[0].affine, [[2, row, 7]])[0])
        seen = slice_through(series, point)
        assert seen is not None
        evidence = seen.evidence(series)
        top = 0 if row == 10 else 50
        assert evidence.sop_instance_uid.rpartition(".")[2] == str(100 * top + 3)
        assert (evidence.row, evidence.column) == pytest.approx((row - top, 7))
        shown = find_slice(study, evidence)
        assert shown is not None
        np.testing.assert_allclose(
            shown.place_pixel(evidence.row, evidence.column), shown.place([point])[0, :2], atol=1e-6
        )


def test_three_stations_are_joined_from_the_feet_up_to_a_lumbar_field(tmp_path):
    for top in (0, 30, 60):
        station(tmp_path, top, top + 60)

    (volume,) = t2(read_study(tmp_path)).volumes

    np.testing.assert_array_equal(volume.pixels, WHOLE)


@pytest.mark.parametrize(
    "upper",
    [
        {"stop": 45},
        {"stop": 70, "beside_mm": 2.0},
        {"stop": 70, "FrameOfReferenceUID": "1.2.9"},
    ],
    ids=["gap", "between slices", "other frame of reference"],
)
def test_stations_that_cannot_be_joined_are_each_named_and_leave_names_uncertain(tmp_path, upper):
    station(tmp_path, 0, series=1, **upper)
    station(tmp_path, 50, 120, series=2)

    study = read_study(tmp_path)

    series = t2(study)
    assert series.uid.endswith(".2")
    np.testing.assert_array_equal(series.volumes[0].pixels, WHOLE[:, 50:])
    said = "one of 2 stations that were not joined; not looked at: series 1.2"
    assert any(said in warning for warning in study.warnings)
    (doubt,) = study.name_doubts
    assert said in doubt


def test_a_station_that_holds_the_lumbar_spine_is_left_alone_by_those_above(tmp_path):
    """The upper one begins 30 rows above the other's 112, which are 224 mm."""
    station(tmp_path, 0, 40, series=1)
    station(tmp_path, 8, 120, series=2)

    study = read_study(tmp_path)

    assert t2(study).uid.endswith(".2")
    np.testing.assert_array_equal(t2(study).volumes[0].pixels, WHOLE[:, 8:])
    assert study.name_doubts == ()


def test_stations_of_t1_and_t2_are_not_mixed(tmp_path):
    station(tmp_path, 0, 70, series=1)
    station(tmp_path, 50, 120, series=2, **T1)

    study = read_study(tmp_path)

    assert t2(study).volumes[0].shape == (N, 70, COLUMNS)
    assert study.by_role(Role.SAGITTAL_T1).volumes[0].shape == (N, 70, COLUMNS)


def test_a_repeat_beside_is_a_second_candidate_and_the_later_is_chosen(tmp_path):
    for number, (seed, beside) in enumerate(((0, 0.0), (1, 1.0))):
        for index in range(N):
            ds = mr_dataset(
                np.full((30, 16), 100 + seed, np.uint16),
                number=20 * number + index + 1,
                ImagePositionPatient=[-GAP_MM * index - beside, 0, 0],
                **T2,
            )
            save(ds, tmp_path / f"{9 - number}_{index}")

    study = read_study(tmp_path)

    assert [series.n_slices for series in study.series] == [N, N]
    assert t2(study).volumes[0].pixels.max() == 101
    assert "it is the same kind, and was acquired last" in t2(study).why
    assert any("several stacks beside one another" in warning for warning in study.warnings)


@pytest.mark.parametrize("lost", [(3,), (1, 8), (4, 5), (2, 5, 9), (6, 7, 8), (3, 4, 5, 6)])
@pytest.mark.parametrize("gap_mm", [4.0, 4.4])
def test_slices_that_are_missing_do_not_make_two_stacks(tmp_path, lost, gap_mm):
    for index in range(14):
        if index not in lost:
            ds = mr_dataset(np.full((30, 16), index, np.uint16), number=index + 1, **T2)
            ds.ImagePositionPatient = [-gap_mm * index, 0, 0]
            save(ds, tmp_path / f"{index}")

    (series,) = read_study(tmp_path).series

    if len(lost) == 4:
        assert [volume.shape[0] for volume in series.volumes] in ([3, 7], [7, 3])
        assert "4 slices are missing after 3" in series.problems[0]
    else:
        (volume,) = series.volumes
        assert volume.shape[0] == 14
        assert volume.bridged == lost
        assert volume.lost_side_by_side == (lost if lost in {(4, 5), (6, 7, 8)} else ())
        # every slice shows its own number, and what was lost lies evenly between
        np.testing.assert_allclose(np.sort(volume.pixels[:, 0, 0]), np.arange(14), atol=1e-5)
        assert ("the canal is not measured there" in series.problems[0]) == bool(volume.lost_side_by_side)


def test_some_slices_repeated_beside_do_not_break_the_series(tmp_path):
    def write(number: int, place: float) -> None:
        ds = mr_dataset(np.full((30, 16), 7, np.uint16), number=number, **T2)
        ds.ImagePositionPatient = [-place, 0, 0]
        save(ds, tmp_path / f"{number}")

    for index in range(9):
        write(index + 1, GAP_MM * index)
    for index in range(3, 6):
        write(index + 20, GAP_MM * index + 1)

    study = read_study(tmp_path)

    (volume,) = t2(study).volumes
    assert volume.shape[0] == 9
    assert sorted(series.n_slices for series in study.series) == [3, 9]
