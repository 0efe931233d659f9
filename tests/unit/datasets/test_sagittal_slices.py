"""Mid and Lateral by slice location, for stacks of any width, and for slabs, studies and volumes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import T2, write_series
from tests.picture_sets import save

from stenograde.datasets import sagittal_slices
from stenograde.datasets.sagittal_slices import mid_lateral_of, read_sagittal_slices, samples_of_volume
from stenograde.dicom.read.studies import read_study
from stenograde.errors import DatasetError
from stenograde.terms import Role, Weighting


def mid(labels: tuple[str, ...]) -> list[int]:
    """Places of the mid slices, from 1 as the document counts."""
    return [place for place, label in enumerate(labels, start=1) if label == "mid"]


@pytest.mark.parametrize(
    ("n", "step_mm", "expected"),
    [
        (15, 4.4, [6, 7, 8, 9, 10]),  # the document's figure 2
        (15, 3.3, [6, 7, 8, 9, 10]),
        (15, 6.5, [6, 7, 8, 9, 10]),
        (19, 4.0, [8, 9, 10, 11, 12]),
        (14, 4.0, [5, 6, 7, 8, 9]),  # of the two slices beside the middle, the lower one is the mid-sagittal
        (3, 4.0, [1, 2, 3]),
        (1, 4.0, [1]),
        (41, 1.0, [*range(13, 30)]),  # within 8.25 mm of the 21st
    ],
)
def test_rule_when_slices_are_spaced_then_the_middle_and_two_each_side_are_mid(
    n: int, step_mm: float, expected: list[int]
) -> None:
    assert mid(mid_lateral_of(-70 + step_mm * np.arange(n))) == expected


def test_rule_when_slices_come_in_another_order_then_each_keeps_its_label() -> None:
    locations = 4.4 * np.arange(16)
    order = np.random.default_rng(0).permutation(16)
    labels = np.array(mid_lateral_of(locations))
    assert mid_lateral_of(locations[order]) == tuple(labels[order])


@pytest.mark.parametrize("locations", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_rule_when_locations_are_no_row_of_numbers_then_they_are_refused(locations: list[object]) -> None:
    with pytest.raises(ValueError, match="locations must be a filled row of finite numbers"):
        mid_lateral_of(locations)


@pytest.fixture
def slabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three patients and a copy of the first; the brightness of fluid is told by the folder's name."""
    for seed, (patient, n) in enumerate({"a-t2": 14, "b-t1": 19, "c-unclear": 14}.items()):
        for k in range(n):
            save(tmp_path / patient / f"slice_{k:02d}.webp", 100 * seed + k)
    shutil.copytree(tmp_path / "a-t2", tmp_path / "d-t2")
    told: dict[str, bool | None] = {"t2": True, "t1": False, "unclear": None}
    monkeypatch.setattr(
        sagittal_slices, "_fluid_is_bright", lambda paths: told[paths[0].parent.name.partition("-")[2]]
    )
    return tmp_path


def test_slabs_when_read_then_the_weighting_chooses_and_what_was_left_out_is_said(slabs: Path) -> None:
    t2 = read_sagittal_slices(slabs, weighting=Weighting.T2)
    t1 = read_sagittal_slices(slabs, weighting=Weighting.T1)
    assert (set(t2.patients), set(t1.patients)) == ({"a-t2"}, {"b-t1"})
    assert mid(tuple(str(one.label) for one in t1.samples)) == [8, 9, 10, 11, 12]
    assert t1.classes == ("lateral", "mid")
    assert t1.samples[3].facts == {"place": "3", "slices": "19", "location_mm": "12.00"}
    assert t2.notes[0] == "d-t2 was left out: its pictures are those of a-t2"
    assert t2.notes[-1].endswith("could not be determined: c-unclear")


def write_studies(root: Path, patients: int = 2) -> Path:
    for patient in range(1, patients + 1):
        write_series(
            root / "train_images" / f"p{patient}" / "9",
            n=15,
            gap_mm=4.4,
            edit=study_of(patient),
            **T2,
        )
    return root


def study_of(number: int) -> Callable[..., None]:
    def edit(ds: object, _place: int) -> None:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(ds, keyword, f"{getattr(ds, keyword)}.{number}")

    return edit


def test_studies_when_read_then_slices_are_labelled_by_location_whatever_the_files_are_called(
    tmp_path: Path,
) -> None:
    series = write_studies(tmp_path) / "train_images" / "p1" / "9"
    for path in sorted(series.iterdir()):
        path.rename(series / f"{99 - int(path.stem)}.DCM")
    samples = read_sagittal_slices(tmp_path, weighting=Weighting.T2)
    assert len(samples) == 30
    assert set(samples.patients) == {"p1", "p2"}
    of_first = [one for one in samples.samples if one.patient == "p1"]
    assert mid(tuple(str(one.label) for one in of_first)) == [6, 7, 8, 9, 10]
    locations = [float(one.facts["location_mm"]) for one in of_first]
    assert locations == sorted(locations)
    volume = read_study(tmp_path / "train_images" / "p1").series[0].volumes[0]
    np.testing.assert_array_equal(of_first[4].picture.read(), volume.slices([4])[0])


def test_studies_when_none_has_the_weighting_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must hold sagittal T1 slices, got none"):
        read_sagittal_slices(write_studies(tmp_path, 1), weighting=Weighting.T1)


def test_studies_when_the_folders_are_of_series_then_the_folder_above_is_asked_for(tmp_path: Path) -> None:
    for series in (1, 2):
        write_series(tmp_path / f"s{series}", series=series, n=5, **T2)
    with pytest.raises(DatasetError, match="must be a patient's, got s1 and s2 with the same study"):
        read_sagittal_slices(tmp_path, weighting=Weighting.T2)


def test_weighting_when_it_is_neither_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weighting must be T1 or T2, got PD"):
        read_sagittal_slices(tmp_path, weighting=Weighting.PD)  # type: ignore[arg-type]


def test_phantom_when_read_then_each_weighting_has_its_series(phantom_cohort: Path) -> None:
    t1, t2 = (read_sagittal_slices(phantom_cohort, weighting=one) for one in (Weighting.T1, Weighting.T2))
    assert len(t1) == len(t2) == 16
    assert {one.weighting for one in t1.samples} == {Weighting.T1}
    assert [one.label for one in t1.samples].count("mid") == 5
    assert t1.samples[0].picture.key != t2.samples[0].picture.key


def test_volume_when_its_slices_become_samples_then_they_are_those_of_the_study(phantom_study: Path) -> None:
    series = read_study(phantom_study).by_role(Role.SAGITTAL_T1)
    assert series is not None
    samples = samples_of_volume(series.volumes[0], patient="p", name="v", weighting=Weighting.T1)
    assert [one.label for one in samples].count("mid") == 5
    np.testing.assert_array_equal(samples[7].picture.read(), series.volumes[0].slices([7])[0])
    assert len({one.name for one in samples}) == len(samples)
