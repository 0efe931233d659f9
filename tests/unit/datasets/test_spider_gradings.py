"""SPIDER's gradings: one sample per graded disc and slice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.picture_sets import save

from stenograde.datasets.spider_gradings import read_spider_gradings
from stenograde.errors import DatasetError
from stenograde.terms import Level, Weighting

HEAD = (
    "Patient,IVD label,Modic,Spondylolisthesis,Disc herniation,Disc narrowing,Disc bulging,Pfirrman grade\n"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "spider_midsagittal"
    for name in ("1_t1.webp", "1_t2.webp", "2_t2.webp", "3_t2.webp"):
        save(folder / "images" / name)
    rows = ["1,1,0,0,0,1,1,4", "1,5,2,0,0,0,1,2", "1,6,0,0,0,0,0,1", "2,2,0,0,0,0,0,"]
    (folder / "radiological_gradings.csv").write_text(HEAD + "\n".join(rows) + "\n")
    return tmp_path


def test_gradings_when_read_then_discs_are_counted_upwards_from_the_lowest(data: Path) -> None:
    samples = read_spider_gradings(data, "pfirrmann")
    assert [(one.name, one.level, one.label, one.weighting) for one in samples.samples] == [
        ("1_t1/l5_s1", Level.L5_S1, "4", Weighting.T1),
        ("1_t1/l1_l2", Level.L1_L2, "2", Weighting.T1),
        ("1_t2/l5_s1", Level.L5_S1, "4", Weighting.T2),
        ("1_t2/l1_l2", Level.L1_L2, "2", Weighting.T2),
    ]
    assert samples.classes == ("1", "2", "3", "4", "5")
    assert samples.notes == ("1 gradings of discs above L1/L2 or without a level were left out",)


def test_gradings_when_another_is_asked_for_then_its_column_is_read(data: Path) -> None:
    labels = {one.name: one.label for one in read_spider_gradings(data, "narrowing").samples}
    assert labels == {
        "1_t1/l5_s1": "1",
        "1_t1/l1_l2": "0",
        "1_t2/l5_s1": "1",
        "1_t2/l1_l2": "0",
        "2_t2/l4_l5": "0",
    }


def test_grading_when_it_is_unknown_then_the_known_ones_are_named(data: Path) -> None:
    with pytest.raises(ValueError, match=r"grading must be one of pfirrmann, .*modic, got 'stenosis'"):
        read_spider_gradings(data, "stenosis")


def test_gradings_when_no_picture_is_of_a_graded_patient_then_it_says_so(data: Path) -> None:
    for path in (data / "spider_midsagittal" / "images").glob("[12]_*"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"must hold images named like 12_t2\.webp of graded patients"):
        read_spider_gradings(data, "modic")
