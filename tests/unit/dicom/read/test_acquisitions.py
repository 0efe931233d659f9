"""What was acquired together is found from geometry, times and matrix; a UID, a name and an order decide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from tests.dicom_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    T1,
    T2,
    mr_dataset,
    picture,
    reasons,
    save,
    write_series,
)

from stenograde.dicom.read.studies import read_study
from stenograde.study import Study
from stenograde.terms import Role

ONE_UID = "1.2.3.4"


def shapes(study: Study) -> dict[Role | None, list[tuple[int, int, int]]]:
    """Shapes of the volumes of each role."""
    found: dict[Role | None, list[tuple[int, int, int]]] = {}
    for series, volume in study.volumes():
        found.setdefault(series.role, []).append(volume.shape)
    return found


def own_uid(ds: Dataset, index: int) -> None:
    ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID}.{index}"


def no_times(ds: Dataset, index: int) -> None:
    for keyword in ("RepetitionTime", "EchoTime", "ScanningSequence"):
        if keyword in ds:
            delattr(ds, keyword)


@pytest.mark.parametrize("apart_mm", [0.0, 1.0])
def test_t1_and_t2_under_one_uid_are_told_apart_by_times(tmp_path, apart_mm):
    def beside(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-4.0 * index - apart_mm, 0, 0]

    write_series(tmp_path / "a", series=1, SeriesInstanceUID=ONE_UID, **T1)
    write_series(tmp_path / "b", series=2, SeriesInstanceUID=ONE_UID, edit=beside, **T2)

    study = read_study(tmp_path)

    assert shapes(study) == {Role.SAGITTAL_T1: [(5, 20, 16)], Role.SAGITTAL_T2_STIR: [(5, 20, 16)]}
    np.testing.assert_array_equal(
        study.by_role(Role.SAGITTAL_T2_STIR).volumes[0].pixels[0], picture(seed=200)
    )
    said = "its SeriesInstanceUID holds 2 acquisitions, told apart by matrix, times and plane"
    assert f"Sagittal T1: {said}" in study.warnings


def test_without_times_the_matrix_tells_two_acquisitions_apart(tmp_path):
    write_series(tmp_path / "a", series=1, SeriesInstanceUID=ONE_UID, shape=(20, 16))
    write_series(tmp_path / "b", series=2, SeriesInstanceUID=ONE_UID, shape=(24, 16))

    assert sorted(volume.shape for _, volume in read_study(tmp_path).volumes()) == [(5, 20, 16), (5, 24, 16)]


def contrasts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of the same five slices in two contrasts, the second turned over; slices change slowly."""
    base, drift = (rng.normal(size=(64, 64)).cumsum(0).cumsum(1) for _ in range(2))
    first = np.stack([base + 0.15 * index * drift for index in range(5)])
    scaled = (first - first.min()) / np.ptp(first)
    return (scaled * 4000).astype(np.uint16), ((1 - scaled) ** 2 * 4000).astype(np.uint16)


def test_at_one_place_and_without_times_pictures_that_go_on_from_slice_to_slice_belong_together(tmp_path):
    both = contrasts(np.random.default_rng(0))
    for index in range(5):
        # files and numbers mix the two contrasts
        for number, contrast in enumerate((index % 2, 1 - index % 2)):
            ds = mr_dataset(both[contrast][index], number=number + 1)
            ds.SOPInstanceUID = f"1.2.{contrast}.{index}"
            ds.ImagePositionPatient = [-4.0 * index, 0, 0]
            save(ds, tmp_path / f"{number}{index}")

    volumes = [volume.pixels for _, volume in read_study(tmp_path).volumes()]

    assert len(volumes) == 2
    for contrast in both:
        assert any(np.array_equal(pixels, contrast) for pixels in volumes)


@pytest.mark.parametrize("edit", [own_uid, lambda ds, index: (own_uid(ds, index), no_times(ds, index))])
def test_files_each_with_its_own_uid_are_joined(tmp_path, edit):
    for series, orientation, shape, times in (
        (1, SAGITTAL, (20, 16), T1),
        (2, SAGITTAL, (24, 16), T2),
        (3, AXIAL, (30, 16), T2),
    ):
        write_series(
            tmp_path / str(series), series=series, orientation=orientation, shape=shape, edit=edit, **times
        )

    study = read_study(tmp_path)

    assert sorted(series.volumes[0].shape for series in study.series) == [
        (5, 20, 16),
        (5, 24, 16),
        (5, 30, 16),
    ]
    said = "slices of 5 SeriesInstanceUIDs are one acquisition by matrix, times and geometry"
    assert all(said in series.problems for series in study.series)


def test_two_sound_axial_series_stay_two_series(tmp_path):
    def below(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 4.0 * index - 100]

    write_series(tmp_path / "a", series=1, orientation=AXIAL, **T2)
    write_series(tmp_path / "b", series=2, orientation=AXIAL, edit=below, **T2)

    study = read_study(tmp_path)

    assert [series.n_slices for series in study.series] == [5, 5]
    assert not any("SeriesInstanceUID" in problem for series in study.series for problem in series.problems)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (
            {"ImageOrientationPatient": list(CORONAL), "ImagePositionPatient": [0, 4, 0], **T2},
            "a coronal slice within a sagittal series of 5 slices; left out",
        ),
        (
            {"ImagePositionPatient": [-20.0, 0, 0], "RepetitionTime": 5, "EchoTime": 2},
            "an odd slice within a series of 5 slices: its times is TE 2 ms, TR 5 ms, theirs TE 100 ms, TR 3500 ms",
        ),
        (
            {"ImagePositionPatient": [-8.0, 0, 0], **T2},
            "repeats the place of a slice within a series of 5 slices; that one is used",
        ),
    ],
)
def test_the_odd_slice_alone_is_left_out_with_the_reason(tmp_path, attributes, why):
    write_series(tmp_path, **T2)
    save(mr_dataset(picture(seed=50), number=50, **attributes), tmp_path / "0 odd")

    study = read_study(tmp_path)

    assert reasons(study) == {"0 odd": why}
    assert shapes(study) == {Role.SAGITTAL_T2_STIR: [(5, 20, 16)]}


def test_a_slice_of_another_matrix_is_left_out_with_the_reason(tmp_path):
    write_series(tmp_path, **T2)
    save(mr_dataset(picture(10, 8), number=50, ImagePositionPatient=[-20.0, 0, 0], **T2), tmp_path / "0 odd")

    study = read_study(tmp_path)

    why = "an odd slice within a series of 5 slices: its matrix is 10 x 8, theirs 20 x 16"
    assert reasons(study) == {"0 odd": why}
    assert shapes(study) == {Role.SAGITTAL_T2_STIR: [(5, 20, 16)]}


def test_a_slice_off_the_grid_of_all_others_is_left_out_with_the_reason(tmp_path):
    places = [0, 4, 8, 12, 16, 20, 24, 26.7]

    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [-places[index], 0, 0]

    write_series(tmp_path, n=8, edit=edit, **T2)

    study = read_study(tmp_path)

    assert reasons(study) == {"8.dcm": "lies off the grid of the 8 slices of its series"}
    assert shapes(study) == {Role.SAGITTAL_T2_STIR: [(7, 20, 16)]}
    assert any("1 of 8 slices lie off the grid" in warning for warning in study.warnings)


@pytest.mark.parametrize("per_plane", [1, 3, 5])
def test_a_localizer_of_three_planes_is_none_of_the_series(tmp_path, per_plane):
    write_series(tmp_path / "t2", series=2, **T2)
    for number, orientation in enumerate((SAGITTAL, AXIAL, CORONAL)):
        for path in write_series(
            tmp_path / f"s{number}",
            series=7,
            n=per_plane,
            orientation=orientation,
            RepetitionTime=8,
            EchoTime=3,
        ):
            path.rename(path.with_name(f"{number}{path.name}"))
    for number, path in enumerate(sorted(tmp_path.glob("s*/*"))):
        _renumber(path, number)

    study = read_study(tmp_path)

    why = f"localizer: slices up to 90 degrees apart in one series ({3 * per_plane} slices)"
    assert list(reasons(study).values()) == [why]
    assert shapes(study) == {Role.SAGITTAL_T2_STIR: [(5, 20, 16)]}


def _renumber(path: Path, number: int) -> None:
    from pydicom import dcmread

    ds = dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SeriesInstanceUID}.{number}"
    ds.save_as(path)


def test_one_position_for_all_slices_is_said_to_be_so(tmp_path):
    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [0, 0, 0]

    write_series(tmp_path / "t1", series=1, **T1)
    write_series(tmp_path / "t2", series=2, edit=edit, **T2)

    study = read_study(tmp_path)

    why = "its 5 slices all state one ImagePositionPatient, so where they lie is not known"
    assert why in reasons(study).values()
    assert study.lost[0][0] is Role.SAGITTAL_T2_STIR
    assert study.warnings[0].startswith("there is no Sagittal T2/STIR to grade from: series ")
    assert study.warnings[0].endswith(why)
