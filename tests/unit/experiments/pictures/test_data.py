"""The layout of data is found out and said; what fits no layout, or not the task, is refused with what would fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.planted_pictures import axial, write_class_folders

from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.pictures.data import LAYOUTS, Asked, read_data


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)).save(path)


def _sudirman(folder: Path) -> Path:
    rows = ["image,patient,disc,canal_stenosis_report,bulge,note"]
    for place, label in enumerate(("No", "Mild", "Serious")):
        _picture(folder / "images" / f"T1_000{place}_D4.png")
        rows.append(f"T1_000{place}_D4.png,{place},L4-L5,{label},0,")
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_class_folders_are_told_and_patients_come_from_names(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path, ("no", "mild", "serious"), axial, patients=3)
    samples, layout = read_data("canal_severity", Asked(folder, r"^(p\d+)_"))
    assert layout is LAYOUTS["class_folders"]
    assert samples.classes == ("no", "mild", "serious")
    assert set(samples.patients) == {"p00", "p01", "p02"}


def test_a_csv_is_told_and_read(tmp_path: Path) -> None:
    for place in range(2):
        _picture(tmp_path / f"{place}.png")
    (tmp_path / "all.csv").write_text(
        "path,label,patient\n0.png,clear,a\n1.png,stenosis,b\n", encoding="utf-8"
    )
    samples, layout = read_data("foraminal_xray", Asked(tmp_path / "all.csv"))
    assert (layout.name, len(samples), samples.patients) == ("CSV of pictures", 2, ("a", "b"))


def test_the_sudirman_folder_is_not_taken_for_class_folders(tmp_path: Path) -> None:
    samples, layout = read_data("canal_severity", Asked(_sudirman(tmp_path)))
    assert (layout.name, len(samples)) == ("Sudirman", 3)


def test_what_does_not_serve_the_task_is_refused_with_what_would(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"CSV of pictures: .*class folders: .*got Sudirman at"):
        read_data("foraminal_xray", Asked(_sudirman(tmp_path)))


def test_what_fits_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="got none of these layouts at"):
        read_data("canal_severity", Asked(tmp_path))
    with pytest.raises(ConfigError, match="must be a folder or a CSV file that exists"):
        read_data("canal_severity", Asked(tmp_path / "nothing"))


def test_a_pattern_for_data_that_name_their_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="patient pattern must be left out for Sudirman"):
        read_data("canal_severity", Asked(_sudirman(tmp_path), r"(\d+)"))


def test_slabs_are_told_by_their_slices(tmp_path: Path) -> None:
    for patient in ("a", "b"):
        for place in range(3):
            _picture(tmp_path / patient / f"slice_{place:02d}.png")
    assert LAYOUTS["lumbar_slabs"].fits(tmp_path)
    _picture(tmp_path / "b" / "other.png")
    assert not LAYOUTS["lumbar_slabs"].fits(tmp_path)


def test_a_phantom_cohort_is_read_as_rsna_for_both_tasks(phantom_cohort: Path) -> None:
    axial_set, layout = read_data("canal_severity", Asked(phantom_cohort))
    assert layout.name == "RSNA 2024"
    assert all(sample.level for sample in axial_set.samples)
    sagittal, layout = read_data("mid_lateral", Asked(phantom_cohort))
    assert layout.name == "RSNA 2024"
    assert {sample.weighting.value for sample in sagittal.samples if sample.weighting} == {"T1", "T2"}
    assert sagittal.classes == ("lateral", "mid")
