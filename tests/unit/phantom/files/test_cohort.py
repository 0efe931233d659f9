"""A written cohort: the same bytes from the same seed, valid files, exact labels and points."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import zlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from stenograde import geometry
from stenograde.phantom import (
    Artefacts,
    Cohort,
    ContrastMode,
    FileOptions,
    Habit,
    Protocol,
    ProtocolMix,
    SliceOrder,
    draw_protocol,
    write_cohort,
)
from stenograde.phantom.files.dicom_files import Codec
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Severity, Side
from stenograde.workers import Step

_SMALL = Protocol(sagittal_matrix=64, sagittal_slices=15, axial_matrix=48, axial_slices_per_level=3, layers=1)
_TINY = Protocol(sagittal_matrix=32, sagittal_slices=13, axial_matrix=32, axial_slices_per_level=1, layers=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=2, seed=9, protocol=_SMALL)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_cohort(tmp_path_factory.mktemp("plain"), patients=1, seed=2, protocol=_TINY)


def _table(cohort: Cohort, name: str) -> list[dict[str, str]]:
    with (cohort.root / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = {}
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        write_cohort(tmp_path / name, patients=1, seed=seed, protocol=_TINY)
        digests[name] = _digest(tmp_path / name)
    assert digests["a"] == digests["b"] != digests["c"]


def test_truth_is_written_for_each_level(cohort: Cohort) -> None:
    rows = _table(cohort, "truth.csv")
    phantoms = {str(study.ids.study): study.phantom for study in cohort.studies}
    assert len(rows) == 5 * len(phantoms)
    for row in rows:
        truth = phantoms[row["study_id"]].levels[Level(row["level"])]
        assert float(row["sac_area_mm2"]) == pytest.approx(truth.sac_area_mm2, abs=1e-3)
        assert float(row["canal_z_mm"]) == pytest.approx(truth.canal_centre[2], abs=1e-3)
        assert float(row["left_recess_height_mm"]) == pytest.approx(
            truth.recess_height_mm[Side.LEFT], abs=1e-3
        )
        assert float(row["right_root_share"]) == pytest.approx(
            truth.foramina[Side.RIGHT].root_share, abs=1e-3
        )


def test_patient_does_not_depend_on_the_size_of_the_cohort(tmp_path: Path, cohort: Cohort) -> None:
    calls: list[Step] = []
    alone = write_cohort(tmp_path, patients=1, seed=9, protocol=_TINY, progress=calls.append)
    assert calls == [Step("patients", 1, 1)]
    assert alone.studies[0].phantom.levels == cohort.studies[0].phantom.levels


def test_points_of_the_table_lie_on_the_truth(cohort: Cohort) -> None:
    """Each point, carried through the headers of the written file, lies on its true point."""
    rows = _table(cohort, "train_label_coordinates.csv")
    assert len(rows) == 2 * len(LUMBAR_MRI.cells)
    phantoms = {str(study.ids.study): study.phantom for study in cohort.studies}
    for row in rows:
        folder = cohort.root / "train_images" / row["study_id"] / row["series_id"]
        ds = pydicom.dcmread(folder / f"{row['instance_number']}.dcm", stop_before_pixels=True)
        affine = geometry.affine_of(
            ds.ImagePositionPatient,
            ds.ImageOrientationPatient,
            ds.PixelSpacing,
            geometry.slice_normal(ds.ImageOrientationPatient),
        )
        cell = _cell(row)
        index = geometry.to_index(affine, [phantoms[row["study_id"]].point(cell)])[0]
        assert index[1:] == pytest.approx([float(row["y"]), float(row["x"])], abs=1e-3)
        assert abs(index[0]) <= _SMALL.step_mm / 2 + 1e-6


def _cell(row: dict[str, str]) -> Cell:
    first, _, rest = row["condition"].lower().replace(" ", "_").partition("_")
    side = Side(first) if first in tuple(Side) else None
    return Cell(Condition(rest if side else f"{first}_{rest}"), Level.parse(row["level"]), side)


def test_labels_are_the_true_severities(cohort: Cohort) -> None:
    for row, study in zip(_table(cohort, "train.csv"), cohort.studies, strict=True):
        assert list(row) == ["study_id", *(cell.name for cell in LUMBAR_MRI.cells)]
        for cell in LUMBAR_MRI.cells:
            assert row[cell.name] == study.phantom.severity(cell).shown
        canals = {severity.shown for severity in Severity}
        assert {row[cell.name] for cell in LUMBAR_MRI.cells} <= canals


def test_numbers_of_the_tables_are_folders_and_last_components_of_uids(cohort: Cohort) -> None:
    for row in _table(cohort, "train_series_descriptions.csv"):
        files = list((cohort.root / "train_images" / row["study_id"] / row["series_id"]).iterdir())
        ds = pydicom.dcmread(files[0], stop_before_pixels=True)
        assert row["series_description"] in {role.shown for role in Role}
        assert ds.StudyInstanceUID.rsplit(".", 1)[1] == row["study_id"]
        assert ds.SeriesInstanceUID.rsplit(".", 1)[1] == row["series_id"]
        assert all(ds[keyword].value.is_valid for keyword in ("StudyInstanceUID", "SOPInstanceUID"))


def test_axial_stacks_are_angled_disc_by_disc(cohort: Cohort) -> None:
    plan = next(plan for plan in cohort.studies[0].plans if plan.role is Role.AXIAL_T2)
    normals = {tuple(np.round(plane.normal, 6)) for plane in plan.planes}
    assert len(plan.planes) == 15
    assert len(normals) == len(LUMBAR_MRI.levels)


@pytest.mark.parametrize("codec", [codec for codec in Codec if codec is not Codec.EXPLICIT])
def test_every_codec_keeps_the_pixels(tmp_path: Path, plain: Cohort, codec: Codec) -> None:
    coded = write_cohort(tmp_path, patients=1, seed=2, protocol=_TINY, options=FileOptions(codec=codec))
    path = sorted(plain.studies[0].folder.rglob("*.dcm"))[-1]
    other = coded.root / path.relative_to(plain.root)
    ours, theirs = pydicom.dcmread(path), pydicom.dcmread(other)
    assert theirs.file_meta.TransferSyntaxUID != ours.file_meta.TransferSyntaxUID
    np.testing.assert_array_equal(theirs.pixel_array, ours.pixel_array)
    assert theirs.SOPInstanceUID == ours.SOPInstanceUID


def test_stripped_headers_keep_geometry_only(tmp_path: Path) -> None:
    written = write_cohort(tmp_path, patients=1, seed=2, protocol=_TINY, options=FileOptions(stripped=True))
    ds = pydicom.dcmread(next(written.studies[0].folder.rglob("1.dcm")), stop_before_pixels=True)
    assert ds.SOPClassUID.name == "Enhanced MR Image Storage"
    for keyword in ("Modality", "Manufacturer", "EchoTime", "RepetitionTime", "ScanningSequence"):
        assert keyword not in ds
    assert len(ds.ImagePositionPatient) == 3


def test_bad_requests_are_refused(tmp_path: Path, cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="patients must be at least 1 and seed at least 0, got 0 and 1"):
        write_cohort(tmp_path, patients=0, seed=1)
    with pytest.raises(ValueError, match="train_images must be absent or empty"):
        write_cohort(cohort.root, patients=1, seed=1)


def test_several_processes_write_the_same_bytes(tmp_path: Path) -> None:
    mix = ProtocolMix(ContrastMode.CLINICAL)
    for name, workers in (("serial", 1), ("parallel", 2)):
        calls: list[Step] = []
        write_cohort(
            tmp_path / name, patients=2, seed=3, protocol=_TINY, workers=workers, progress=calls.append
        )
        assert calls == [Step("patients", 1, 2), Step("patients", 2, 2)]
    assert _digest(tmp_path / "serial") == _digest(tmp_path / "parallel")
    assert draw_protocol(np.random.default_rng(0), mix) != draw_protocol(np.random.default_rng(1), mix)


def test_missing_series_is_absent_from_files_and_tables_and_the_others_stay(
    tmp_path: Path, plain: Cohort
) -> None:
    protocol = replace(_TINY, missing=frozenset({Role.SAGITTAL_T2_STIR}))
    cohort = write_cohort(tmp_path, patients=1, seed=2, protocol=protocol)
    roles = [row["series_description"] for row in _table(cohort, "train_series_descriptions.csv")]
    assert roles == ["Sagittal T1", "Axial T2"]
    assert len(list(cohort.studies[0].folder.iterdir())) == 2
    conditions = {row["condition"] for row in _table(cohort, "train_label_coordinates.csv")}
    assert conditions
    assert not any("Canal" in condition for condition in conditions)
    pixels = [
        pydicom.dcmread(sorted((one.studies[0].folder / str(series)).iterdir())[0]).PixelData
        for one, series in (
            (plain, plain.studies[0].ids.series[2]),
            (cohort, cohort.studies[0].ids.series[1]),
        )
    ]
    assert pixels[0] == pixels[1]


@pytest.mark.parametrize(
    "options",
    [FileOptions(order=SliceOrder.REVERSED), FileOptions(order=SliceOrder.REVERSED, shuffled_names=True)],
)
def test_odd_orders_change_names_and_numbers_but_no_place(
    tmp_path: Path, plain: Cohort, options: FileOptions
) -> None:
    odd = write_cohort(tmp_path, patients=1, seed=2, protocol=_TINY, options=options)
    places = []
    for cohort in (plain, odd):
        read = [pydicom.dcmread(path) for path in cohort.studies[0].folder.rglob("*.dcm")]
        slices = {(ds.SeriesNumber, tuple(ds.ImagePositionPatient)): ds for ds in read}
        places.append({place: ds.PixelData for place, ds in slices.items()})
        points = set()
        for row in _table(cohort, "train_label_coordinates.csv"):
            series = [ds for ds in read if ds.SeriesInstanceUID.endswith("." + row["series_id"])]
            (ds,) = (ds for ds in series if str(ds.InstanceNumber) == row["instance_number"])
            points.add((row["condition"], row["level"], tuple(ds.ImagePositionPatient), row["x"], row["y"]))
        places.append(points)
    assert places[:2] == places[2:]
    names = {path.stem for path in odd.studies[0].folder.rglob("*.dcm")}
    assert any(len(name) == 12 for name in names) is options.shuffled_names


@pytest.mark.parametrize("stir", [False, True])
@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
def test_files_of_every_codec_habit_and_role_pass_dciodvfy(tmp_path: Path, stir: bool) -> None:
    """Deflated files, which dciodvfy does not read, are inflated first by zlib."""
    protocol = replace(
        _TINY, stir=stir, sagittal_slices=2, axial_block=stir, artefacts=Artefacts(bandwidth_hz=200)
    )
    for number, (codec, habit) in enumerate(product(Codec, Habit)):
        if codec is not Codec.EXPLICIT and (stir or habit not in (Habit.PLAIN, Habit.PHILIPS)):
            continue
        options = FileOptions(codec=codec, habit=habit)
        cohort = write_cohort(tmp_path / str(number), patients=1, seed=2, protocol=protocol, options=options)
        for series in sorted(cohort.studies[0].folder.iterdir()):
            path = _inflated(min(series.iterdir()))
            done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
            said = (done.stdout + done.stderr).splitlines()
            assert [line for line in said if line.startswith("Error")] == [], f"{codec} {habit}"
            assert any("MRImage" in line for line in said)


def _inflated(path: Path) -> Path:
    """Rewrite a deflated file as explicit little endian: same data set, other transfer syntax."""
    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return path
    raw = path.read_bytes()
    head = 132 + 12 + meta.FileMetaInformationGroupLength
    plain = zlib.decompress(raw[head:], -zlib.MAX_WBITS)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with path.open("wb") as file:
        file.write(raw[:132])
        pydicom.filewriter.write_file_meta_info(file, meta)
        file.write(plain)
    return path
