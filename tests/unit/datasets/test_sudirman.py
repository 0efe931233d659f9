"""Sudirman's set: labelled pictures, pictures alone, and the DICOM tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import mr_dataset, picture
from tests.dicom_files import save as save_dicom
from tests.picture_sets import save

from stenograde.datasets.sudirman import read_sudirman
from stenograde.errors import DatasetError
from stenograde.terms import Level, Weighting

HEAD = "image,patient,disc,canal_stenosis_report,bulge,note\n"


def labelled(folder: Path, *rows: str) -> Path:
    (folder / "labels.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows))
    for row in rows:
        save(folder / "images" / row.split(",")[0])
    return folder


def test_labels_when_read_then_each_sample_has_its_facts_and_what_is_absent_is_none(tmp_path: Path) -> None:
    folder = labelled(
        tmp_path,
        'T1_0001_D3.webp,1,L3-L4,No,0,"a, note"',
        "T1_0001_D4.webp,1,L4-L5,Serious,1,",
        "T1_0005_D5.webp,5,L5-S1,-,,",
        "T1_0007_D5.webp,7,L5-S1,,,",
    )
    samples = read_sudirman(folder)
    assert samples.classes == ("no", "mild", "serious")
    assert [one.label for one in samples.samples] == ["no", "serious", None, None]
    assert samples.codes.tolist() == [0, 2, -1, -1]
    assert samples.patients == ("1", "1", "5", "7")
    first = samples.samples[0]
    assert (first.name, first.level, first.weighting) == ("T1_0001_D3", Level.L3_L4, Weighting.T1)
    assert first.facts["note"] == "a, note"
    assert samples.notes == ("2 of 4 pictures have no label",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "T1_0001_D3.webp,1,L3-L4,Awful,0,",
            "label of T1_0001_D3 must be one of no, mild, serious, got 'awful'",
        ),
        ("T1_0001_D3.webp,1,disc,No,0,", "disc of T1_0001_D3.webp must be a level such as L4-L5, got 'disc'"),
    ],
)
def test_labels_when_a_word_is_unknown_then_it_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_sudirman(labelled(tmp_path, row))


def test_labels_when_a_listed_picture_is_missing_then_it_is_named(tmp_path: Path) -> None:
    folder = labelled(tmp_path, "T1_0001_D3.webp,1,L3-L4,No,0,")
    (folder / "images" / "T1_0001_D3.webp").unlink()
    with pytest.raises(DatasetError, match=r"got 1 that do not \(first: T1_0001_D3\)"):
        read_sudirman(folder)


def test_pictures_alone_when_named_as_in_the_set_then_patient_and_level_are_known(tmp_path: Path) -> None:
    for name in ("T1_0012_D4.png", "T2_0012_D5.png", "other.png"):
        save(tmp_path / name)
    samples = read_sudirman(tmp_path).samples
    facts = [(one.patient, one.level, one.weighting, one.label) for one in samples]
    assert facts == [("12", Level.L4_L5, Weighting.T1, None), ("12", Level.L5_S1, Weighting.T2, None)]


def test_tree_when_read_then_only_axial_series_come_back_without_label(tmp_path: Path) -> None:
    pixels = picture()
    for patient, series in (
        ("0001", "T1_TSE_TRA_0005"),
        ("0001", "T2_TSE_SAG_384_0002"),
        ("0003", "T2_TSE_TRA_384_0004"),
    ):
        folder = tmp_path / "01_MRI_Data" / patient / "L-SPINE_20160309" / series
        save_dicom(mr_dataset(pixels), folder / "a_001.ima")
    samples = read_sudirman(tmp_path)
    assert [(one.patient, one.weighting, one.label, one.level) for one in samples.samples] == [
        ("1", Weighting.T1, None, None),
        ("3", Weighting.T2, None, None),
    ]
    np.testing.assert_array_equal(samples.samples[0].picture.read(), pixels)


def test_folder_when_it_holds_none_of_the_layouts_then_they_are_described(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"must hold labels\.csv, pictures named like T1_0001_D4\.png, or the DICOM"
    ):
        read_sudirman(tmp_path)
