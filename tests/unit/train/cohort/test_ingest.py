"""Reading of a cohort once: every oddity that was put in is told, nothing is skipped in silence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.rsna_files import write_rsna

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import DatasetError
from stenograde.phantom.files.quirks import put_quirks
from stenograde.terms import LUMBAR_MRI
from stenograde.train.cohort.ingest import LEFT_OUT_BY_WINNERS, Ingested, ingest
from stenograde.train.cohort.kept_lines import KeptLines

TOLD_AS: Mapping[str, str] = {
    "empty file": "left out",
    "repeated file": "left out",
    "repeated folder": "folder that no row lists",
    "missing series": "listed series without a folder",
    "labels missing": "labels missing",
    "no labels": "no label",
    "labels without a study": "labels without a study",
    "mark outside the picture": "mark outside the picture",
    "mark on no picture": "mark on no picture",
    "sides exchanged": "mark on the wrong side",
    "named one level off": "labels missing",
    "unreadable study": "unreadable study",
}
"""Finding by what was put in; a study that is there twice is told of its twin."""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]], Ingested]:
    root = tmp_path_factory.mktemp("odd")
    write_rsna(root / "data", {str(100 + k * 2): "nnmsn" for k in range(14)}, competition_words=True)
    put = put_quirks(root / "data", seed=1)
    return root, put, ingest(root / "data", root / "steps")


def test_every_oddity_is_told(odd: tuple[Path, list[tuple[str, str]], Ingested]) -> None:
    _, put, found = odd
    assert {kind for _, kind in put} == {*TOLD_AS, "study twice"}
    for study, quirk in put:
        if quirk == "study twice":
            study, wanted = str(int(study) + 1), "repeated study"  # noqa: PLW2901
        else:
            wanted = TOLD_AS[quirk]
        kinds = {kind for kind, _ in found.records[study]["findings"]}
        assert wanted in kinds, quirk
        assert f"{study}," in (odd[0] / "steps" / "ingest.csv").read_text()


def test_only_what_cannot_be_used_is_left_out(odd: tuple[Path, list[tuple[str, str]], Ingested]) -> None:
    _, put, found = odd
    by_quirk = {quirk: study for study, quirk in put}
    used = {one.name for one in found.studies}
    refused = {name for name, record in found.records.items() if record["refused"]}
    assert used | refused == set(found.records)
    assert not used & refused
    without = ("no labels", "labels without a study", "unreadable study")
    twin = str(int(by_quirk["study twice"]) + 1)
    assert refused == {*(by_quirk[quirk] for quirk in without), twin}


def test_what_was_read_is_not_read_again(odd: tuple[Path, list[tuple[str, str]], Ingested]) -> None:
    root, _, found = odd
    lines = (root / "steps" / "ingest.jsonl").read_bytes()
    cut = root / "cut"
    cut.mkdir()
    # killed in the middle of a line
    (cut / "ingest.jsonl").write_bytes(lines[: len(lines) * 2 // 3])
    again = ingest(root / "data", cut)
    kept = lines[: len(lines) * 2 // 3].count(b"\n")

    def timeless(ingested: Ingested) -> dict[str, object]:
        plain = json.loads(json.dumps(dict(ingested.records)))
        return {name: {**one, "seconds": 0} for name, one in plain.items()}

    assert timeless(again) == timeless(found)
    stored = (cut / "ingest.jsonl").read_bytes().splitlines()
    assert stored[:kept] == lines.splitlines()[:kept]
    assert len(stored) == len(lines.splitlines()), "what was kept was read once"


def test_a_study_that_was_mended_is_read_again(tmp_path: Path) -> None:
    write_rsna(tmp_path / "data", {"100": "nnmsn", "101": "nnnnn"}, competition_words=True)
    table = tmp_path / "data" / "train.csv"
    whole = table.read_text()
    table.write_text("\n".join(line for line in whole.splitlines() if not line.startswith("101")) + "\n")
    assert [one.name for one in ingest(tmp_path / "data", tmp_path / "steps").studies] == ["100"]
    table.write_text(whole)
    assert [one.name for one in ingest(tmp_path / "data", tmp_path / "steps").studies] == ["100", "101"]
    for path in (tmp_path / "data" / "train_images" / "100").rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:100])
    assert [one.name for one in ingest(tmp_path / "data", tmp_path / "steps").studies] == ["101"]


def test_series_that_winners_left_out_are_left_out(tmp_path: Path) -> None:
    write_rsna(tmp_path, {"100": "nnmsn"})
    bad = sorted(LEFT_OUT_BY_WINNERS)[0]
    study = tmp_path / "train_images" / "100"
    (study / "11").rename(study / bad)
    for table in ("train_series_descriptions.csv", "train_label_coordinates.csv"):
        path = tmp_path / table
        path.write_text(path.read_text().replace(",11,", f",{bad},"))
    found = ingest(tmp_path, tmp_path / "steps")
    record = found.records["100"]
    assert ["series left out by the winners", bad] in [list(one) for one in record["findings"]]
    assert record["series"]["axial_t2"] == 0


def test_labels_of_ones_own_may_be_of_some_cells(tmp_path: Path) -> None:
    write_rsna(tmp_path / "data", {"100": "nnmsn", "101": "nnnnn"})
    cell = LUMBAR_MRI.cells[3].name
    labels = tmp_path / "own.csv"
    labels.write_text(f"study_id,{cell}\n100,Severe\n")
    found = ingest(tmp_path / "data", tmp_path / "steps", labels=labels)
    assert [one.name for one in found.studies] == ["100"]
    assert {cell.name: s.value for cell, s in found.studies[0].severities.items()} == {cell: "severe"}
    assert found.records["101"]["refused"] == "it has no label"


def test_a_cohort_without_labels_says_so(tmp_path: Path) -> None:
    write_rsna(tmp_path / "data", {"100": "nnmsn"})
    (tmp_path / "own.csv").write_text("study_id\n")
    with pytest.raises(DatasetError, match="must hold studies with labels and a sagittal series, got none"):
        ingest(tmp_path / "data", tmp_path / "steps", labels=tmp_path / "own.csv")


def test_a_torn_line_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines = KeptLines(path)
    lines.add({"name": "1", "n": 1})
    lines.add({"name": "2", "n": 2})
    path.write_bytes(path.read_bytes()[:-3])
    again = KeptLines(path)
    assert list(again.records) == ["1"]
    again.add({"name": "2", "n": 3})
    assert KeptLines(path).records["2"]["n"] == 3
