"""Preparation as published: pictures in class folders, a manifest that reads back, balance and agreement."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.rsna_files import write_rsna

from stenograde.datasets.class_folders import read_class_folders
from stenograde.datasets.manifest import read_manifest
from stenograde.datasets.preparation import (
    PreparationConfig,
    Prepared,
    balance_of,
    prepare_rsna2024,
)
from stenograde.errors import DatasetError
from stenograde.terms import LUMBAR_MRI, Condition, Level, Severity


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rsna(tmp_path_factory.mktemp("rsna"), {"100": "nnms-", "101": "nnnnm"})


@pytest.fixture(scope="module")
def prepared(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare_rsna2024(cohort, tmp_path_factory.mktemp("out"), PreparationConfig())


def rows(prepared: Prepared) -> list[dict[str, str]]:
    with prepared.manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def test_pictures_when_written_then_each_lies_in_the_folder_of_its_class(prepared: Prepared) -> None:
    folders = Counter(path.parent.name for path in prepared.manifest.parent.glob("*/*.png"))
    assert folders == {"Normal_Mild": 6, "Moderate": 2, "Severe": 1}
    assert {row["path"].split("/")[0] for row in rows(prepared) if row["label"] == "severe"} == {"Severe"}
    assert prepared.unlabelled == 1


def test_pictures_when_written_then_they_are_normalised_by_their_own_extremes(prepared: Prepared) -> None:
    for path in prepared.manifest.parent.glob("*/*.png"):
        picture = np.asarray(Image.open(path))
        assert (picture.dtype, picture.shape) == (np.uint8, (20, 16))
        assert (picture.min(), picture.max()) == (0, 255)


def test_manifest_when_written_then_it_carries_both_codes_and_reads_back(prepared: Prepared) -> None:
    codes = {row["severity"]: (row["label"], row["document_code"]) for row in rows(prepared)}
    assert codes == {
        "Moderate": ("moderate", "0"),
        "Normal/Mild": ("normal_mild", "1"),
        "Severe": ("severe", "2"),
    }
    samples = read_manifest(prepared.manifest)
    assert samples.classes == ("normal_mild", "moderate", "severe")  # ours ascend
    assert np.bincount(samples.codes).tolist() == [6, 2, 1]
    assert set(samples.patients) == {"100", "101"}
    assert {one.level for one in samples.samples} == set(LUMBAR_MRI.levels)
    assert samples.samples[0].facts["series"] == "11"


def test_class_folders_when_read_then_they_give_the_same_as_the_manifest(prepared: Prepared) -> None:
    by_folder = read_class_folders(prepared.manifest.parent, patient_pattern=r"^(\d+)_")
    by_manifest = read_manifest(prepared.manifest)
    assert {one.name: (one.patient, one.label) for one in by_folder.samples} == {
        one.name: (one.patient, one.label) for one in by_manifest.samples
    }


def test_agreement_when_slices_are_spread_evenly_then_clusters_agree_with_patient_space(
    prepared: Prepared,
) -> None:
    agreement = prepared.agreement
    assert sum(agreement.slices.values()) == sum(agreement.same.values()) == 60
    assert (agreement.beyond, agreement.marked) == (0, 10)
    assert (agreement.marked_clusters, agreement.marked_points) == (10, 10)


def test_agreement_when_the_series_begins_far_above_then_clusters_name_wrong_levels(tmp_path: Path) -> None:
    data = write_rsna(tmp_path / "data", {"100": "nnmsn"}, n_axial=45, first_z_mm=60.0)
    by_clusters = prepare_rsna2024(data, tmp_path / "clusters", PreparationConfig(levels="clusters"))
    agreement = by_clusters.agreement
    assert agreement.beyond > 0
    assert (agreement.marked_points, agreement.marked) == (5, 5)
    assert agreement.marked_clusters < 5
    by_points = prepare_rsna2024(data, tmp_path / "points", PreparationConfig())
    severe = [
        next(row["instance"] for row in rows(one) if row["label"] == "severe")
        for one in (by_clusters, by_points)
    ]
    assert severe[0] != severe[1]  # the picture called severe is of another level


def test_slices_when_several_of_a_level_are_wanted_then_the_nearest_are_written(
    cohort: Path, tmp_path: Path
) -> None:
    config = PreparationConfig(per_level=3)
    prepared = prepare_rsna2024(cohort, tmp_path, config)
    assert prepared.levels == dict.fromkeys(LUMBAR_MRI.levels, 6) | {Level.L5_S1: 3}


def test_sided_condition_when_prepared_then_the_side_is_in_name_and_manifest(
    cohort: Path, tmp_path: Path
) -> None:
    prepared = prepare_rsna2024(cohort, tmp_path, PreparationConfig(Condition.SUBARTICULAR_STENOSIS))
    assert Counter(row["side"] for row in rows(prepared)) == {"left": 10, "right": 10}
    assert all(row["side"] in row["path"] for row in rows(prepared))


def test_summary_when_written_then_it_says_what_was_done(prepared: Prepared) -> None:
    summary = json.loads((prepared.manifest.parent / "preparation.json").read_text())
    assert summary["config"] == {"condition": "spinal_canal_stenosis", "levels": "points", "per_level": 1}
    assert [one["pictures"] for one in summary["balance"]] == [6, 2, 1]
    assert [one["balanced"] for one in summary["balance"]] == [6, 6, 6]
    assert summary["slices_without_label"] == 1


def test_balance_when_counts_do_not_divide_then_some_pictures_have_one_copy_more() -> None:
    # the document's table 2
    normal, moderate, severe = balance_of(
        {Severity.NORMAL_MILD: 2414, Severity.MODERATE: 224, Severity.SEVERE: 115}
    )
    assert (normal.copies_each, normal.one_more_of) == (1, 0)
    assert (moderate.copies_each, moderate.one_more_of) == (10, 174)
    assert (severe.copies_each, severe.one_more_of) == (20, 114)
    assert {one.balanced for one in (normal, moderate, severe)} == {2414}


def test_folder_when_in_use_then_it_is_refused(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "Severe").mkdir()
    with pytest.raises(DatasetError, match="folder to prepare into must be empty"):
        prepare_rsna2024(cohort, tmp_path, PreparationConfig())


def test_config_when_out_of_range_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="levels must be clusters or points and per_level at least 1"):
        PreparationConfig(levels="guess")


def test_data_when_nothing_is_labelled_then_it_is_refused(tmp_path: Path) -> None:
    data = write_rsna(tmp_path / "data", {"100": "-----"})
    with pytest.raises(DatasetError, match="must hold axial T2 slices with labels, got none in 1 studies"):
        prepare_rsna2024(data, tmp_path / "out", PreparationConfig())


def test_data_when_nothing_is_marked_then_clusters_are_named_as_the_way_out(tmp_path: Path) -> None:
    data = write_rsna(tmp_path / "data", {"100": "nnnnn"})
    (data / "train_label_coordinates.csv").unlink()
    with pytest.raises(
        DatasetError, match="got none in 1 studies; without experts' points, levels can be named by"
    ):
        prepare_rsna2024(data, tmp_path / "points", PreparationConfig())
    assert prepare_rsna2024(data, tmp_path / "clusters", PreparationConfig(levels="clusters")).studies == 1
