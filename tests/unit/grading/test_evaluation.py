"""An evaluation's numbers are those of scikit-learn, and a run that was killed continues where it was."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    log_loss,
    roc_auc_score,
)
from tests.made_cohorts import made_cohort

from stenograde.cli import main
from stenograde.errors import BundleError, ConfigError, DatasetError, StudyError
from stenograde.evaluate.baselines import level_share
from stenograde.grades import CellGrade, LevelPosition, Probabilities, Status, StudyGrades
from stenograde.grading import cohort
from stenograde.grading.cohort import GradedStudy
from stenograde.grading.evaluation import evaluate_graded, named_bundle
from stenograde.grading.kept_grades import KEPT, GradedCohort, as_record, from_record, grade_and_keep
from stenograde.predict.bundle import Bundle, default_bundle
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Condition, Level, Severity, Side

FORAMEN = Condition.NEURAL_FORAMINAL_NARROWING


def cells(graded: Sequence[GradedStudy], condition: Condition) -> tuple[np.ndarray, np.ndarray]:
    """Ranks and probabilities of the labelled cells of a condition."""
    rows = [
        (severity.rank, one.said[cell])
        for one in graded
        for cell, severity in one.severities.items()
        if cell.condition is condition and cell in one.said
    ]
    return np.array([rank for rank, _ in rows]), np.array([shares for _, shares in rows])


@pytest.mark.parametrize("condition", Condition)
def test_scores_of_a_condition_are_those_of_scikit_learn(condition: Condition) -> None:
    graded = made_cohort(12)
    evaluation = evaluate_graded(GradedCohort(graded, ()), {}, draws=50)
    (found,) = (one for one in evaluation.conditions if one.condition == condition)
    ranks, said = cells(graded, condition)
    best = said.argmax(axis=1)
    wanted = {
        "auc_any": roc_auc_score(ranks > 0, 1 - said[:, 0]),
        "auc_worst": roc_auc_score(ranks == 2, said[:, 2]),
        "balanced_accuracy": balanced_accuracy_score(ranks, best),
        "quadratic_kappa": cohen_kappa_score(ranks, best, weights="quadratic"),
        "accuracy": accuracy_score(ranks, best),
    }
    assert {name: one.value for name, one in found.scores.items()} == pytest.approx(wanted)
    assert all(one.low < one.value < one.high for one in found.scores.values())
    assert found.confusion == tuple(map(tuple, confusion_matrix(ranks, best, labels=[0, 1, 2]).tolist()))
    assert found.absent == {"sets": "the bundle has none"}
    (part,) = (one for one in evaluation.parts if one.name == condition)
    weights = 2.0**ranks
    loss = log_loss(ranks, said, sample_weight=weights, labels=[0, 1, 2])
    assert part.as_graded.value == pytest.approx(loss)
    alone = level_share([one.name for one in graded], {one.name: one.severities for one in graded})
    _, shares = cells([replace(one, said=a) for one, a in zip(graded, alone, strict=True)], condition)
    share = log_loss(ranks, shares, sample_weight=weights, labels=[0, 1, 2])
    assert part.level_share.value == pytest.approx(share)
    assert part.difference.value == pytest.approx(loss - share)
    assert part.difference.low < part.difference.value < part.difference.high


def test_risk_is_the_share_of_wrong_among_the_surest() -> None:
    graded = made_cohort(9, seed=3)
    graded = (replace(graded[0], said={}), *graded[1:])
    (found,) = (one for one in evaluate_graded(GradedCohort(graded, ()), {}, draws=5).conditions[1:2])
    ranks, said = cells(graded, FORAMEN)
    order = np.argsort(-said.max(axis=1))
    wrong = (said.argmax(axis=1) != ranks)[order]
    n = found.cells
    assert (n, found.answered) == (90, 80)
    for share in (0.5, 0.7, 0.8):
        assert found.risk_at[f"{share:.0%}"] == pytest.approx(wrong[: round(share * n)].mean())
    assert np.isnan(found.risk_at["100%"])
    assert np.isnan(found.risk_at["90%"])
    assert found.risk["coverage"][-1] == pytest.approx(80 / 90)
    assert found.risk["risk"][-1] == pytest.approx(wrong.mean())


def test_groups_and_what_became_of_cells_are_counted() -> None:
    graded = (*made_cohort(8), GradedStudy("9", made_cohort(1, seed=9)[0].severities, failure="no spine"))
    evaluation = evaluate_graded(GradedCohort(graded, ("3 studies were left out",)), {}, draws=5)
    canal, foramen, _ = evaluation.conditions
    assert foramen.statuses == {
        "graded": 0,
        "draft": 64,
        "abstained": 16,
        "not_imaged": 0,
        "not_graded": 0,
        "study_not_graded": 10,
    }
    assert canal.reasons[0].reason == "the grader and the ruler are … severities apart"
    assert canal.reasons[0].cells == 8
    assert evaluation.failures == ("9: no spine",)
    by_name = {(one.name, one.condition): one for one in evaluation.groups}
    left = by_name["left", FORAMEN.value]
    chosen = [
        replace(one, severities={c: s for c, s in one.severities.items() if c.side is Side.LEFT})
        for one in graded[:8]
    ]
    ranks, said = cells(chosen, FORAMEN)
    ranks = np.append(
        ranks,
        [
            s.rank
            for c, s in graded[8].severities.items()
            if c in LUMBAR_MRI.of(FORAMEN) and c.side is Side.LEFT
        ],
    )
    said = np.vstack([said, np.full((5, 3), 1 / 3)])
    assert left.log_loss.value == pytest.approx(
        log_loss(ranks, said, sample_weight=2.0**ranks, labels=[0, 1, 2])
    )
    assert left.auc_severe.value == pytest.approx(roc_auc_score(ranks == 2, said[:, 2]))
    assert ("left", "spinal_canal_stenosis") not in by_name
    assert by_name["L1/L2", "spinal_canal_stenosis"].cells == 9
    fields = {one.field_t for one in graded if one.field_t}
    n_of = {f"{value:g} T": sum(one.field_t == value for one in graded) for value in fields}
    scored = {one.name for one in evaluation.groups if one.kind == "field"}
    assert scored == {name for name, n in n_of.items() if n >= 5}
    assert evaluation.small_groups == tuple(f"{name} ({n})" for name, n in n_of.items() if n < 5)
    assert evaluation.points_mm.n == 40
    off = np.concatenate([list(one.point_errors_mm.values()) for one in graded])
    assert evaluation.points_mm.p95 == pytest.approx(np.percentile(off, 95))


def test_a_share_that_gives_a_severity_no_chance_is_absent() -> None:
    """The one severe canal of a cohort cannot be foreseen from the others; its loss would be without bound."""
    mild = dict.fromkeys(LUMBAR_MRI.cells, Severity.NORMAL_MILD)
    severe = mild | {LUMBAR_MRI.cells[0]: Severity.SEVERE}
    graded = tuple(
        replace(one, severities=severe if k == 0 else mild) for k, one in enumerate(made_cohort(4))
    )
    evaluation = evaluate_graded(GradedCohort(graded, ()), {}, draws=5)
    absent = {part.name for part in evaluation.parts if "level_share" in part.absent}
    assert absent == {"spinal_canal_stenosis", "any_severe_canal", "score"}
    for part in evaluation.parts:
        assert part.level_share.known == part.difference.known == (part.name not in absent)
    assert "give --shares" in evaluation.parts[0].absent["difference"]
    told = {
        one.name
        for one in evaluation.groups
        if one.condition == "spinal_canal_stenosis" and one.absent.get("level_share")
    }
    assert told == {"L1/L2", "abstained"}
    shares = {str(k): dict.fromkeys(LUMBAR_MRI.cells, severity) for k, severity in enumerate(Severity)}
    known = evaluate_graded(GradedCohort(graded, ()), {}, shares, draws=5)
    assert known.parts[0].level_share.value == pytest.approx(np.log(3))


class AboveLimit:
    """Sets of all severities of at least a probability of 0.2."""

    coverage = 0.9

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        return np.asarray(probabilities) >= 0.2


def test_sets_of_a_bundle_are_scored_by_severity() -> None:
    graded = made_cohort(10)
    evaluation = evaluate_graded(GradedCohort(graded, ()), {FORAMEN.value: AboveLimit()}, draws=20)
    canal, foramen, _ = evaluation.conditions
    assert canal.sets is None
    ranks, said = cells(graded, FORAMEN)
    held = said >= 0.2
    assert foramen.sets is not None
    for severity in Severity:
        wanted = held[ranks == severity.rank, severity.rank].mean()
        assert foramen.sets.covered[severity.value].value == pytest.approx(wanted)
    assert foramen.sets.mean_size == pytest.approx(held.sum(axis=1).mean())
    assert "sets" not in foramen.absent


def test_a_record_gives_back_the_very_study() -> None:
    for study in (*made_cohort(2), GradedStudy("7", {}, failure="no spine")):
        again = from_record(json.loads(json.dumps(as_record(study), allow_nan=False)), study.severities)
        for name, value in vars(study).items():
            assert (
                getattr(again, name) == pytest.approx(value, nan_ok=True)
                if name == "seconds"
                else (getattr(again, name) == value)
            ), name


@pytest.fixture
def data(phantom_study: Path, tmp_path: Path) -> Path:
    """One phantom study under three names, with labels that differ."""
    (tmp_path / "cohort/train_images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    with (tmp_path / "cohort/train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("study_id", *(cell.name for cell in LUMBAR_MRI.cells)))
        for name in ("11", "12", "13"):
            (tmp_path / "cohort/train_images" / name).symlink_to(phantom_study)
            writer.writerow((name, *(tuple(Severity)[k].shown for k in rng.integers(0, 3, 25))))
        writer.writerow(("14", *["Severe"] * 25))
    return tmp_path / "cohort"


@pytest.fixture
def graded_by(monkeypatch: pytest.MonkeyPatch) -> list[Study]:
    """Studies that were handed to a stand-in grader."""
    seen: list[Study] = []

    def grade_study(study: Study, bundle: Bundle) -> StudyGrades:
        seen.append(study)
        rng = np.random.default_rng(len(seen))
        graded = tuple(
            CellGrade(cell, Status.GRADED, probabilities=Probabilities(rng.dirichlet((2, 1, 1))))
            for cell in LUMBAR_MRI.cells
        )
        levels = tuple(LevelPosition(level, (0.0, 0.0, 0.0), True, True) for level in LUMBAR_MRI.levels)
        return StudyGrades(study.uid, LUMBAR_MRI, bundle.stamp, (), levels, graded, (), (), (), 2.5)

    monkeypatch.setattr(cohort, "grade_study", grade_study)
    return seen


def test_a_killed_run_continues_and_other_labels_need_no_new_grading(
    data: Path, tmp_path: Path, graded_by: list[Study], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    whole = grade_and_keep(data, default_bundle(), out)
    assert whole.notes == ("1 study that the labels name has no folder and was left out",)
    lines = (out / KEPT).read_bytes().splitlines(keepends=True)
    (out / KEPT).write_bytes(lines[0] + lines[1][:200])
    del graded_by[:]
    assert main(["evaluate", "lumbar-mri-25", "--data", str(data), "--out", str(out), "--draws", "5"]) == 0
    assert len(graded_by) == 2
    assert len((out / KEPT).read_bytes().splitlines()) == 3
    assert capsys.readouterr().out.startswith("3 studies, 0 not graded. Weighted log loss")

    numbers = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert numbers["schema"] == "stenograde/evaluation/1"
    assert numbers["labelled_cells"] == 75
    page, card = (out / "evaluation.html").read_text("utf-8"), (out / "model-card.md").read_text("utf-8")
    assert "Evaluation of lumbar-mri-25 on cohort" in page
    assert card.count("TO BE FILLED BY A PERSON:") > 10
    assert "\n### Trained on" not in card
    assert "\n#### Trained on" in card, "the bundle's own card is an appendix"

    labels = tmp_path / "labels.csv"
    labels.write_text("study_id,spinal_canal_stenosis_l4_l5\n11,Severe\n12,Moderate\n", "utf-8")
    asked = ["evaluate", "lumbar-mri-25", "--data", str(data), "--out", str(out), "--draws", "5"]
    assert main([*asked, "--labels", str(labels)]) == 0
    assert len(graded_by) == 2
    numbers = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert numbers["labelled_cells"] == 2
    assert numbers["notes"] == ["1 study without a label was left out"]
    assert "Spinal canal stenosis: weighted log loss" in capsys.readouterr().out


def test_what_another_bundle_graded_is_refused(data: Path, tmp_path: Path, graded_by: list[Study]) -> None:
    grade_and_keep(data, default_bundle(), tmp_path)
    with pytest.raises(
        ConfigError, match="must be of the same bundle, data and version of stenograde, got another"
    ):
        grade_and_keep(data, replace(default_bundle(), hash="0" * 64), tmp_path)
    (tmp_path / KEPT).write_text('{"name": 3}\n')
    with pytest.raises(ConfigError, match="got another"):
        grade_and_keep(data, default_bundle(), tmp_path)


def test_a_study_that_cannot_be_read_or_graded_is_listed_and_counts(
    data: Path, tmp_path: Path, graded_by: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "train_images/13").unlink()
    (data / "train_images/13").mkdir()
    (data / "train_images/13/readme.txt").write_text("no picture")

    def refuse(*_: object) -> StudyGrades:
        msg = "no spine can be seen"
        raise StudyError(msg)

    found = grade_and_keep(data, default_bundle(), tmp_path)
    assert [bool(one.failure) for one in found.studies] == [False, False, True]
    monkeypatch.setattr(cohort, "grade_study", refuse)
    (tmp_path / KEPT).unlink()
    found = grade_and_keep(data, default_bundle(), tmp_path)
    evaluation = evaluate_graded(found, {}, draws=5)
    assert evaluation.failures[0] == "11: no spine can be seen"
    assert len(evaluation.failures) == 3
    assert evaluation.parts[1].as_graded.value == pytest.approx(np.log(3))
    assert evaluation.conditions[0].absent["auc_any"] == "no labelled cell has an answer"


def test_a_cohort_that_the_labels_do_not_name_is_refused(data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("study_id,spinal_canal_stenosis_l4_l5\n99,Severe\n", "utf-8")
    with pytest.raises(DatasetError, match=r"must label studies that .* has folders of, got none of 3"):
        grade_and_keep(data, default_bundle(), tmp_path, labels=labels)
    with pytest.raises(BundleError, match="a bundle must be a folder"):
        named_bundle(tmp_path / "nowhere")


def test_pictures_that_the_grader_does_not_know_are_counted(phantom_study: Path, tmp_path: Path) -> None:
    """The grader's own words are recognised: every crop is strange where nothing is usual."""
    (tmp_path / "train_images").mkdir()
    (tmp_path / "train_images/11").symlink_to(phantom_study)
    labels = tmp_path / "train.csv"
    head = ",".join(("study_id", *(cell.name for cell in LUMBAR_MRI.cells)))
    labels.write_text(f"{head}\n11{',Moderate' * 25}\n", "utf-8")
    bundle = default_bundle()
    entry, heads = bundle.table.grader, bundle.table.fixed
    assert entry is not None
    assert heads is not None
    for limits in ("usual_below", "noise_below"):
        strict = replace(entry, **{limits: dict.fromkeys(entry.usual_below, 0.0)})
        strict_heads = replace(heads, **{limits: dict.fromkeys(heads.reads, 0.0)})
        table = replace(bundle.table, grader=strict, fixed=strict_heads)
        changed = replace(bundle, table=table, hash=limits)
        out = tmp_path / limits
        out.mkdir()
        unlike = evaluate_graded(grade_and_keep(tmp_path, changed, out), {}, draws=2).unlike
        assert unlike.unlike_cells == 25
        assert unlike.unlike_studies == 1
    assert Level.L4_L5.shown not in str(
        evaluate_graded(grade_and_keep(tmp_path, changed, out), {}, draws=2).conditions[1].reasons
    )
