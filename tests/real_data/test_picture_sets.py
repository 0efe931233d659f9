"""The real sets of pictures, read whole: counts that its tables give, and what reading found out about them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stenograde.datasets.preparation import PreparationConfig, prepare_rsna2024
from stenograde.datasets.rsna2024 import read_axial_studies
from stenograde.datasets.sagittal_slices import read_sagittal_slices
from stenograde.datasets.split import balanced_test, patient_folds
from stenograde.datasets.sudirman import read_sudirman
from stenograde.images.pictures import PictureConfig, prepare_picture
from stenograde.levels.axial_levels import levels_by_points
from stenograde.terms import Level, Weighting

pytestmark = pytest.mark.data


def test_sudirman_when_read_then_labels_and_levels_are_those_of_its_table(development_data: Path) -> None:
    samples = read_sudirman(development_data / "sudirman_axial_t1")
    assert Counter(one.label for one in samples.samples) == {"no": 471, "serious": 215, "mild": 137, None: 86}
    assert Counter(one.level for one in samples.samples) == dict.fromkeys(
        (Level.L3_L4, Level.L4_L5, Level.L5_S1), 303
    )
    assert len(set(samples.patients)) == 303
    assert prepare_picture(samples.samples[0].picture.read(), PictureConfig()).std() > 20


def test_sudirman_when_split_then_each_fold_has_each_class_and_no_patient_twice(
    development_data: Path,
) -> None:
    samples = read_sudirman(development_data / "sudirman_axial_t1").labelled()
    for split in patient_folds(samples, folds=5, seed=0):
        counts = np.bincount(samples.codes[list(split.test)])
        assert (abs(counts - [94.2, 27.4, 43.0]) < 5).all()  # a fifth of each class
        assert not {samples.patients[k] for k in split.test} & {samples.patients[k] for k in split.train}
    published = balanced_test(samples, per_class=100, seed=0, by="image")
    assert np.bincount(samples.codes[list(published.test)]).tolist() == [100, 100, 100]
    shared = {samples.patients[k] for k in published.test} & {samples.patients[k] for k in published.train}
    assert len(shared) > 80  # what the published test does not say of itself


def test_slabs_when_read_then_the_weighting_is_told_and_the_repeated_patient_is_left_out(
    development_data: Path,
) -> None:
    t1, t2 = (
        read_sagittal_slices(development_data / "lumbar_slabs", weighting=one)
        for one in (Weighting.T1, Weighting.T2)
    )
    assert set(t1.patients) == {"VB1_02", "VB1_08"}
    assert len(set(t2.patients)) == 31
    assert t1.notes[0] == "VB3_53 was left out: its pictures are those of VB3_51"
    assert all(n == 5 for n in Counter(one.patient for one in t2.samples if one.label == "mid").values())


def test_real_study_when_read_then_patient_space_finds_the_slices_that_experts_marked(
    development_data: Path,
) -> None:
    (study,) = read_axial_studies(development_data / "rsna2024_study", notes=[])
    (series,) = study.series
    placed = levels_by_points(series.slices, study.points)
    marked = {place: level for place, level in enumerate(series.marked) if level}
    assert len(marked) == 5
    for place, level in marked.items():
        found = placed[place]
        assert found is not None
        assert found.level is level
        assert found.away_mm < 3.0  # less than one slice distance


def test_real_study_when_prepared_then_clusters_of_slice_location_name_wrong_levels(
    development_data: Path, tmp_path: Path
) -> None:
    """The series begins above T12 and its blocks overlap: k-means cannot know."""
    agreement = prepare_rsna2024(development_data / "rsna2024_study", tmp_path, PreparationConfig()).agreement
    assert (agreement.marked, agreement.marked_points, agreement.marked_clusters) == (5, 5, 1)
    assert (sum(agreement.slices.values()), sum(agreement.same.values()), agreement.beyond) == (45, 11, 15)
