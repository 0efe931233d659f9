"""``stenograde explain`` on a phantom: tables by the schema, instances of the study, a picture per cell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from stenograde.cli import main
from stenograde.dicom.read.studies import read_study
from stenograde.report.as_explain_json import explain_schema

CANAL, FORAMEN = "spinal_canal_stenosis_l4_l5", "left_neural_foraminal_narrowing_l4_l5"
RECESS = "left_subarticular_stenosis_l4_l5"


def test_a_phantom_is_explained_on_its_own_instances(
    phantom_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    pytest.importorskip("captum", reason="needs the extra 'train'")
    out = tmp_path / "explained"
    words = ["explain", str(phantom_study), "--out", str(out), "--cell", CANAL, "--cell", FORAMEN]
    assert main(words) == 0
    assert "it explains the network, not the patient" in capsys.readouterr().out
    table = json.loads((out / "explain.json").read_text(encoding="utf-8"))
    Draft202012Validator(explain_schema()).validate(table)
    assert [cell["cell"] for cell in table["cells"]] == [CANAL, FORAMEN]
    assert {path.name for path in out.iterdir()} == {"explain.json", f"{CANAL}.png", f"{FORAMEN}.png"}
    study = read_study(phantom_study)
    held = {(series.uid, uid) for series, volume in study.volumes() for uid in volume.sop_instance_uids}
    for cell in table["cells"]:
        assert sum(crop["share"] for crop in cell["crops"]) == pytest.approx(1, abs=1e-2)
        assert sum(crop["weight"] or 0 for crop in cell["crops"]) == pytest.approx(1, abs=1e-2)
        for crop in cell["crops"]:
            assert crop["slices"]
            assert {(crop["series_uid"], one["sop_instance_uid"]) for one in crop["slices"]} <= held
            assert sum(one["share"] for one in crop["slices"]) <= crop["share"] + 1e-3
        strongest = cell["strongest"]
        assert (strongest["series_uid"], strongest["sop_instance_uid"]) in held
        assert abs(cell["remainder"]) < 0.2 * max(1, abs(cell["log_odds"] - cell["baseline_log_odds"]))
    asked = {crop["seen_from"]: crop["weight"] for crop in table["cells"][1]["crops"]}
    assert asked["left"] is not None
    assert asked["right"] is None, "the left foramen is not asked of the crops from the right"
    assert main(["explain", str(phantom_study), "--out", str(tmp_path / "heads"), "--cell", RECESS]) == 2
    assert "none that fixed heads answer" in capsys.readouterr().err


def test_a_cell_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path), "--out", str(tmp_path / "out"), "--cell", "left_l4_l5"]) == 2
    assert "--cell must be a cell such as left_subarticular_stenosis_l4_l5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_torch_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("stenograde.train.explain")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    assert main(["explain", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "explaining needs the package captum" in told
    assert "train" in told
