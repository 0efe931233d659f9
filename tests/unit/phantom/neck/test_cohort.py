"""A written cohort of necks: the same bytes from the same seed, valid files, exact labels, regions that S2 reads."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from stenograde.datasets.class_folders import read_class_folders
from stenograde.datasets.manifest import read_manifest
from stenograde.datasets.picture_files import DicomPicture
from stenograde.phantom.neck import (
    OBLIQUES,
    FilmProtocol,
    NeckCohort,
    RegionConfig,
    View,
    WrittenNeck,
    write_necks,
)
from stenograde.terms import CERVICAL_XRAY, Level, Severity, Side
from stenograde.workers import Step

_SMALL = FilmProtocol(rows=192, columns=160, pixel_mm=1.2)
_CONFIG = NeckCohort(protocol=_SMALL)
_OBLIQUE = NeckCohort(views=OBLIQUES, protocol=_SMALL)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[WrittenNeck, ...]]:
    out = tmp_path_factory.mktemp("necks")
    return out, write_necks(out, patients=2, seed=9, config=_CONFIG)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_same_seed_gives_the_same_bytes_from_any_number_of_processes(tmp_path: Path) -> None:
    digests: dict[str, str] = {}
    calls: list[Step] = []
    for name, seed, workers in (("a", 4, 1), ("b", 4, 2), ("c", 5, 1)):
        write_necks(
            tmp_path / name, patients=2, seed=seed, workers=workers, config=_OBLIQUE, progress=calls.append
        )
        digests[name] = _digest(tmp_path / name)
    assert calls == [Step("patients", 1, 2), Step("patients", 2, 2)] * 3
    assert digests["a"] == digests["b"] != digests["c"]


def test_labels_are_the_true_severities(cohort: tuple[Path, tuple[WrittenNeck, ...]]) -> None:
    root, _ = cohort
    labels = {row["study_id"]: row for row in _table(root / "labels.csv")}
    assert len(labels) == 2
    for row in _table(root / "foramina.csv"):
        level, side = Level.parse(row["level"]), Side(row["side"])
        name = f"{side.value}_neural_foraminal_narrowing_{level.value}"
        severity = Severity(row["severity"])
        assert labels[row["patient"]][name] == severity.shown
        assert row["label"] == ("no_stenosis" if severity is Severity.NORMAL_MILD else "stenosis")


def test_each_oblique_gives_the_foramina_that_it_shows(cohort: tuple[Path, tuple[WrittenNeck, ...]]) -> None:
    root, _ = cohort
    rows = _table(root / "foramina.csv")
    assert len(rows) == 2 * len(CERVICAL_XRAY.cells)
    for row in rows:
        assert View(row["view"]).foramina is Side(row["side"])
        rows_, columns = pydicom.dcmread(root / row["film"]).pixel_array.shape
        assert 0 < float(row["row"]) < rows_
        assert 0 < float(row["column"]) < columns


def test_regions_are_read_as_manifest_and_as_class_folders(
    cohort: tuple[Path, tuple[WrittenNeck, ...]],
) -> None:
    root, necks = cohort
    listed = read_manifest(root / "foramina.csv")
    assert listed.classes == ("no_stenosis", "stenosis")
    assert set(listed.patients) == {str(neck.study) for neck in necks}
    folders = read_class_folders(root / "regions", patient_pattern=r"^(\d+)_")
    assert len(folders) == len(listed) == 24
    assert {Path(sample.name).name for sample in folders.samples} == {
        Path(sample.name).name for sample in listed.samples
    }
    assert all(sample.level and sample.side for sample in listed.samples)


def test_region_shows_the_film_around_the_foramen(tmp_path: Path) -> None:
    """Without errors of place and size the region is the film's own pixels, the foramen in the middle."""
    exact = NeckCohort(
        views=(View.RPO,), protocol=_SMALL, region=RegionConfig(edge_mm=30.0, shift_mm=0.0, zoom=0.0)
    )
    write_necks(tmp_path, patients=1, seed=3, config=exact)
    row = next(row for row in _table(tmp_path / "foramina.csv") if row["level"] == "C4/C5")
    film = pydicom.dcmread(tmp_path / row["film"]).pixel_array
    region = read_manifest(tmp_path / "foramina.csv").samples[2].picture.read()
    top, left = (round(float(row[k]) - 30.0 / _SMALL.patient_pixel_mm / 2) for k in ("row", "column"))
    n = region.shape[0]
    np.testing.assert_array_equal(region, film[top : top + n, left : left + n] >> 4)


def test_films_are_read_bone_bright(cohort: tuple[Path, tuple[WrittenNeck, ...]]) -> None:
    root, _ = cohort
    path = root / _table(root / "foramina.csv")[0]["film"]
    picture = DicomPicture(path).read()
    ds = pydicom.dcmread(path)
    assert ds.Modality == "CR"
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    row, column = (int(float(_table(root / "foramina.csv")[0][k])) for k in ("row", "column"))
    # the neck's middle is brighter than the air beside it
    assert picture[row, column] > picture[row].min() + 500


def test_bad_requests_are_refused(tmp_path: Path, cohort: tuple[Path, tuple[WrittenNeck, ...]]) -> None:
    with pytest.raises(ValueError, match="patients and workers must be at least 1"):
        write_necks(tmp_path, patients=0, seed=1)
    with pytest.raises(ValueError, match="images must be absent or empty"):
        write_necks(cohort[0], patients=1, seed=1)
    with pytest.raises(ValueError, match="views must be one or more different ones"):
        NeckCohort(views=())
    with pytest.raises(ValueError, match="a region must have an edge above 0"):
        RegionConfig(edge_mm=0)


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
def test_files_pass_dciodvfy(cohort: tuple[Path, tuple[WrittenNeck, ...]]) -> None:
    files = sorted((cohort[0] / "images").rglob("*.dcm"))
    assert len(files) == 8
    for path in files[:4]:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert [line for line in said if line.startswith("Error")] == []
        assert any("CRImage" in line for line in said)
