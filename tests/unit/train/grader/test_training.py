"""From phantoms to a bundle that grades 25 cells: made once, resumed, the same from the same seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import load_file  # noqa: E402

from stenograde.errors import BundleError, ConfigError  # noqa: E402
from stenograde.evidence import RestsOn  # noqa: E402
from stenograde.levels.crop import CropConfig, CropKind  # noqa: E402
from stenograde.nets.level_grader import GraderGraph, LevelGrader, LevelGraderConfig  # noqa: E402
from stenograde.phantom import Protocol  # noqa: E402
from stenograde.predict.bundle import default_bundle, load_bundle  # noqa: E402
from stenograde.predict.grader import run_grader  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Condition, Level, Role  # noqa: E402
from stenograde.train.grader.batches import (  # noqa: E402
    CropAugment,
    EveryPattern,
    changed,
    every_pattern_loss,
    grader_batches,
    grader_loss,
)
from stenograde.train.grader.bundle import calibrate, evidence_of  # noqa: E402
from stenograde.train.grader.crops import CropsConfig, CropSet, Part, as_values, make_crops  # noqa: E402
from stenograde.train.grader.training import GraderTraining, make_training_crops, train_grader  # noqa: E402
from stenograde.train.loop.fit_config import FitConfig  # noqa: E402
from stenograde.train.weights.export import load_locator  # noqa: E402
from stenograde.workers import Step  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::UserWarning")

CROPS = CropConfig(slices=3, size_px=16, grid_mm=2.0)
COARSE = Protocol(
    sagittal_matrix=96,
    sagittal_slices=9,
    axial_matrix=80,
    axial_slices_per_level=3,
    thickness_mm=8.0,
    layers=1,
)
DATA = CropsConfig(crops=CROPS, protocol=COARSE)
FIT = FitConfig(epochs=2, batch=4, workers=0, precision="32", accelerator="cpu")
TINY = GraderTraining(
    data=DATA,
    net=LevelGraderConfig(slices=3, size_px=16, widths=(16, 16), kept=4, features=8),
    fit=FIT,
    validation_patients=1,
    calibration_patients=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grader")
    crops = make_training_crops(out, TINY, patients=2, seed=3)
    return train_grader(out, TINY, crops, seed=3, base=default_bundle())


def crop_set(trained: Path, part: Part = Part.TRAIN, patients: int = 2) -> CropSet:
    return make_crops(trained / "training" / f"crops-{part}", DATA, part=part, patients=patients, seed=3)


def test_the_bundle_loads_and_its_graph_gives_what_the_net_gives(trained: Path) -> None:
    bundle = load_bundle(trained)
    entry = bundle.table.grader
    assert entry is not None
    crops = crop_set(trained)
    values, present = as_values(crops.crops[0]), crops.present[0]
    logits, strangeness = run_grader(bundle.grader, values, present)
    grader = LevelGrader(TINY.net)
    grader.load_state_dict(load_file(trained / entry.weights.file))
    net = GraderGraph(grader).eval()
    with torch.inference_mode():
        ours = net(torch.from_numpy(values), torch.from_numpy(present.astype(np.float32)))
    # its weights were kept in 16 bits
    np.testing.assert_allclose(logits, ours[0].numpy(), atol=0.02)
    np.testing.assert_allclose(strangeness, ours[1].numpy(), rtol=0.1)
    assert set(entry.calibration) == {condition.value for condition in Condition}
    assert all(limit > 0 for limit in entry.usual_below.values())


def test_the_locator_and_the_card_come_along(trained: Path) -> None:
    bundle, base = load_bundle(trained), default_bundle()
    assert bundle.table.locator.onnx == base.table.locator.onnx
    assert replace(bundle.table.locator, weights=base.table.locator.weights) == base.table.locator
    ours = load_locator(bundle.table.locator, trained).state_dict()
    for name, wanted in load_locator(base.table.locator, base.folder).state_dict().items():
        torch.testing.assert_close(ours[name], wanted, rtol=1e-3, atol=1e-6)
    kept = load_file(trained / bundle.table.locator.weights.file)
    assert {value.dtype for value in kept.values() if value.ndim > 1} == {torch.float16}
    assert bundle.table.canal == base.table.canal
    assert bundle.stamp.name == "lumbar-mri-25"
    assert "2 phantoms (seed 3), 1 more to choose the epoch" in bundle.card
    assert "not a medical device" in bundle.card
    told = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    assert told["base"]["name"] == "lumbar-mri", "the bundle that the locator was trained for"
    for name in ("card.md", "training.json"):
        # that of the locator, though the base has a grader of its own
        assert (trained / f"base-{name}").read_bytes() == (base.folder / f"base-{name}").read_bytes()


@pytest.mark.parametrize("name", ["grader.onnx", "grader.safetensors"])
def test_an_altered_file_of_the_grader_is_refused(trained: Path, tmp_path: Path, name: str) -> None:
    for file in trained.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(b"tampered")
    with pytest.raises(BundleError, match=f"{name} must have SHA-256"):
        load_bundle(tmp_path)


def test_training_again_gives_the_same_bundle(trained: Path, tmp_path: Path) -> None:
    crops = make_training_crops(trained, TINY, patients=2, seed=3)
    again = train_grader(tmp_path, TINY, crops, seed=3, base=default_bundle())
    assert load_bundle(again).hash == load_bundle(trained).hash


def test_making_crops_goes_on_where_it_was_and_refuses_other_settings(tmp_path: Path) -> None:
    config = replace(DATA, crops=CropConfig(slices=2, size_px=4, grid_mm=4.0))
    whole = make_crops(tmp_path, config, part=Part.TRAIN, patients=2, seed=3)
    kept = whole.crops.copy()
    severities = np.lib.format.open_memmap(tmp_path / "severities.npy", "r+")
    severities[1] = -1
    severities.flush()
    np.lib.format.open_memmap(tmp_path / "crops.npy", "r+")[1] = 0
    steps: list[Step] = []
    again = make_crops(tmp_path, config, part=Part.TRAIN, patients=2, seed=3, progress=steps.append)
    assert steps == [Step("train patients", 2, 2)]
    np.testing.assert_array_equal(again.crops, kept)
    with pytest.raises(ConfigError, match="must be of the same settings"):
        make_crops(tmp_path, config, part=Part.TRAIN, patients=2, seed=4)


def test_no_patient_is_in_two_parts(trained: Path) -> None:
    train, validation = crop_set(trained), crop_set(trained, Part.VALIDATION, 1)
    assert not any(np.array_equal(one, validation.crops[0]) for one in train.crops)


def test_batches_are_the_same_from_the_same_seed_and_whole_without_changes(trained: Path) -> None:
    crops = crop_set(trained)
    ours, theirs = ([*grader_batches(crops, FIT, CropAugment()).batches(1, 0, 1)] for _ in range(2))
    assert len(ours) == len(grader_batches(crops, FIT, CropAugment())) == 2
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    plain = [*grader_batches(crops, FIT, None).batches(0, 0, 1)]
    values = torch.cat([batch["input"] for batch in plain]).numpy()
    np.testing.assert_array_equal(values, as_values(crops.crops).reshape(values.shape))
    assert torch.cat([batch["target"] for batch in plain]).shape == (10, 5)


def test_a_level_is_answered_with_all_series_and_without_each() -> None:
    torch.manual_seed(0)
    net = EveryPattern(LevelGrader(TINY.net)).eval()
    crops, present = torch.randn(2, 2, 4, 3, 16, 16), torch.ones(2, 2, 4)
    with torch.inference_mode():
        said = net(crops, present)
        assert said.shape == (2, 1 + len(Role), 5, 3)
        torch.testing.assert_close(said[:, 0], net.net(crops, present))
        for place, role in enumerate(Role, start=1):
            kinds = [k for k, kind in enumerate(CropKind) if kind.role is role]
            noisy, left = crops.clone(), present.clone()
            noisy[:, :, kinds] = torch.randn_like(noisy[:, :, kinds])
            left[:, :, kinds] = 0
            torch.testing.assert_close(said[:, place], net.net(noisy, left))


def test_the_loss_counts_all_series_as_much_as_those_with_one_left_out() -> None:
    rng = np.random.default_rng(2)
    logits = torch.from_numpy(rng.normal(size=(6, 4, 5, 3)))
    batch = {"target": torch.from_numpy(rng.integers(0, 3, (6, 5)))}
    parts = [float(grader_loss(logits[:, k], batch)) for k in range(4)]
    assert float(every_pattern_loss(logits, batch)) == pytest.approx(parts[0] / 2 + sum(parts[1:]) / 6)


def test_absent_crops_stay_zero_however_they_are_changed() -> None:
    crops, present = np.ones((2, 4, 3, 16, 16), np.float32), np.ones((2, 4), bool)
    present[0, 1] = False
    values = changed(crops, present, CropAugment(), np.random.default_rng(0))
    assert (values[0, 1] == 0).all()
    assert (values[present] != 1).any()


def test_the_loss_is_the_metric_of_rsna_but_for_any_severe() -> None:
    from stenograde.evaluate.rsna_metric import CohortAnswers, rsna_score

    rng = np.random.default_rng(1)
    logits, severities = rng.normal(size=(5, 5, 3)), rng.integers(0, 3, (5, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    said, truth = np.zeros((1, 25, 3)), np.zeros((1, 25), np.int64)
    for row, level in enumerate(LUMBAR_MRI.levels):
        for column, cell in enumerate(LUMBAR_MRI.at(level)):
            said[0, LUMBAR_MRI.cells.index(cell)] = p[row, column]
            truth[0, LUMBAR_MRI.cells.index(cell)] = severities[row, column]
    score = rsna_score(CohortAnswers(said, truth), draws=1)
    wanted = np.mean([score[condition.value].value for condition in Condition])
    loss = grader_loss(torch.from_numpy(logits), {"target": torch.from_numpy(severities)})
    assert float(loss) == pytest.approx(wanted, rel=1e-6)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="net must take the crops that are cut"):
        GraderTraining(net=LevelGraderConfig(size_px=64))
    with pytest.raises(ValueError, match="usual_share up to 1"):
        GraderTraining(usual_share=1.5)
    assert [cell.level for cell in LUMBAR_MRI.at(Level.L5_S1)] == [Level.L5_S1] * 5


def printed(n_studies: int, score: float, *, phantoms: bool = False) -> dict[str, object]:
    """What ``stenograde score --json`` prints of a cohort, as far as evidence is made of it."""
    whole = {
        "n_studies": n_studies,
        "is_of_phantoms": phantoms,
        "cells": dict.fromkeys([condition.value for condition in Condition], 10 * n_studies),
        "score": {condition.value: {"value": score} for condition in Condition},
        "level_share": {condition.value: {"value": 0.8} for condition in Condition},
    }
    return {"data": "/some/where/COHORT", "whole studies": whole}


def test_a_bundle_states_what_its_grades_rest_on(trained: Path) -> None:
    evidence = load_bundle(trained).evidence
    assert {condition: one.kind for condition, one in evidence.items()} == {
        Condition.SPINAL_CANAL_STENOSIS: RestsOn.MEASURED,
        Condition.NEURAL_FORAMINAL_NARROWING: RestsOn.PHANTOMS_ONLY,
        Condition.SUBARTICULAR_STENOSIS: RestsOn.PHANTOMS_ONLY,
    }
    assert not any(one.patients for one in evidence.values())
    assert "| Subarticular stenosis | phantoms only | 0 | 0 | – | – | draft |" in load_bundle(trained).card


@pytest.mark.parametrize(
    ("tested", "patients", "is_draft"),
    [
        ([printed(10, 0.7)], 10, False),
        ([printed(9, 0.1), printed(12, 0.9)], 12, True),
        ([printed(9, 0.1)], 9, True),
        ([printed(500, 0.1, phantoms=True)], 0, True),
    ],
)
def test_a_bundle_is_shown_by_the_largest_cohort_of_patients_and_by_none_of_phantoms(
    tested: list[dict[str, object]], patients: int, is_draft: bool
) -> None:
    known = evidence_of(default_bundle(), tested)[Condition.SUBARTICULAR_STENOSIS]
    assert (known.patients, known.cells, known.is_draft) == (patients, 10 * patients, is_draft)
    assert known.command == ("stenograde score COHORT" if patients else "")


def test_temperatures_are_those_that_fit_times_what_another_anatomy_costs(trained: Path) -> None:
    plain = replace(TINY, tempered={})
    train, calibration = crop_set(trained), crop_set(trained, Part.CALIBRATION, patients=1)
    grader = LevelGrader(TINY.net)
    grader.load_state_dict(load_file(trained / "grader.safetensors"))
    found = [
        calibrate(
            grader, train, calibration, usual_share=0.99, added_noise=0.1, tempered=one.tempered
        ).scaling
        for one in (plain, TINY)
    ]
    for name, times in TINY.tempered.items():
        assert found[1][name].temperature == pytest.approx(times * found[0][name].temperature)
    assert "1.92 times for neural foraminal narrowing" in load_bundle(trained).card


def test_a_temperature_is_not_lowered() -> None:
    with pytest.raises(ValueError, match="tempered must give conditions factors of 1 or more"):
        GraderTraining(tempered={Condition.SPINAL_CANAL_STENOSIS.value: 0.5})
    with pytest.raises(ValueError, match="tempered must give conditions factors"):
        GraderTraining(tempered={"scoliosis": 2.0})
