"""What the grader says becomes a grade, or a reason why it does not; the measurements stay a second opinion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.placed_levels import levels, mirrored, series, study
from tests.plain_volumes import series_of, study_of
from tests.spine_marks import Spine
from tests.spine_pictures import PlainBundle, plain_bundle, volume_with

from stenograde.errors import BundleError
from stenograde.evaluate.vector_scaling import VectorScaling
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import Status
from stenograde.levels.crop import CropConfig, CropKind
from stenograde.predict import grader as grader_module
from stenograde.predict.grade import grade_study
from stenograde.predict.grader import GraderEntry, judge_levels, open_grader
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Severity, Side

NOTHING = WeightFile("none", "0" * 64)
ENTRY = GraderEntry(
    NOTHING,
    NOTHING,
    widths=(16,),
    kept=4,
    features=8,
    calibration={condition.value: VectorScaling() for condition in Condition},
    usual_below={kind.value: 2.0 for kind in CropKind},
    noise_below={kind.value: 9.0 for kind in CropKind},
    crops=CropConfig(slices=3, size_px=12, grid_mm=2.0),
)
CANAL = Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L4_L5)
FORAMEN = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5, Side.RIGHT)
RECESS = Cell(Condition.SUBARTICULAR_STENOSIS, Level.L4_L5, Side.LEFT)


class Says:
    """A graph that says the same of every level, and keeps what it was shown."""

    def __init__(self, logits: np.ndarray | None = None, strange: dict[tuple[int, int], float] | None = None):
        self.logits = np.zeros((5, 3), np.float32) if logits is None else logits
        self.strange = strange or {}
        self.shown: dict[str, np.ndarray] = {}

    def run(self, _: list[str], fed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.shown = fed
        n = len(fed["crops"])
        strangeness = np.ones((n, 2, 4), np.float32)
        for (side, kind), value in self.strange.items():
            strangeness[:, side, kind] = value
        return [np.broadcast_to(self.logits, (n, 5, 3)), strangeness]


def sure_of(severities: dict[int, Severity]) -> np.ndarray:
    logits = np.zeros((5, 3), np.float32)
    for place, severity in severities.items():
        logits[place, severity.rank] = 6
    return logits


class Graded(PlainBundle):
    """A bundle that reads plain pictures and whose grader says what it is told to."""

    @cached_property
    def grader(self) -> Any:
        return self.says

    says: Any = Says()


LEARNT = {condition.value: ConditionEvidence(RestsOn.LEARNT) for condition in Condition}


def bundle(says: Says, evidence: Mapping[str, ConditionEvidence] = LEARNT) -> Graded:
    plain = plain_bundle()
    made = Graded(replace(plain.table, grader=ENTRY, evidence=evidence), Path(), plain.hash)
    object.__setattr__(made, "says", says)
    return made


def whole_plain_study(spine: Spine):
    """Plain sagittal pictures as T1 and T2, and axial slices of nothing but a gradient."""
    from tests.plain_volumes import volume_of

    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, 4), (0, 1, 0), (1, 0, 0)
    affine[:3, 3] = (-75, -75, -130)
    slope = np.broadcast_to(np.arange(150.0), (66, 150, 150))
    return study_of(
        series_of(volume_with(spine, root="2.25.7"), uid="2.25.70"),
        series_of(volume_with(spine, root="2.25.8"), role=Role.SAGITTAL_T1, uid="2.25.80"),
        series_of(volume_of(slope, affine, "2.25.9"), role=Role.AXIAL_T2, uid="2.25.90"),
    )


def test_logits_reach_their_cells_through_their_calibration() -> None:
    logits = np.arange(15, dtype=np.float32).reshape(5, 3) / 5
    calibration = {
        condition.value: VectorScaling(1.0 + place, (0.3 * place, 0.0, -0.3 * place))
        for place, condition in enumerate(Condition)
    }
    entry = replace(ENTRY, calibration=calibration)
    judged = judge_levels(study(), levels(), entry, Says(logits))

    assert set(judged) == {cell for cell in LUMBAR_MRI.cells if cell.level in levels()}
    for place, cell in enumerate(cell for cell in LUMBAR_MRI.cells if cell.level is Level.L5_S1):
        wanted = calibration[cell.condition.value].probabilities(logits[place])
        assert judged[cell].probabilities == pytest.approx(tuple(wanted))
        assert judged[cell].doubt == ""


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("what", ["logits", "strangeness"])
def test_a_grader_that_says_no_number_is_refused(wrong: float, what: str) -> None:
    logits = np.zeros((5, 3), np.float32)
    logits[4, 1] = wrong
    says = Says(logits) if what == "logits" else Says(strange={(0, 1): wrong})

    with pytest.raises(BundleError, match=r"must give finite numbers, got others"):
        judge_levels(study(), levels(), ENTRY, says)


@pytest.mark.parametrize(
    ("left_out", "doubtful"),
    [
        (Role.AXIAL_T2, {RECESS}),
        (Role.SAGITTAL_T1, set()),
        (Role.SAGITTAL_T2_STIR, set()),
    ],
)
def test_a_cell_that_no_series_shows_is_in_doubt(left_out: Role, doubtful: set[Cell]) -> None:
    rest = study_of(*(one for role, one in series().items() if role is not left_out))
    says = Says()
    judged = judge_levels(rest, levels(), ENTRY, says)

    assert {cell for cell in (CANAL, FORAMEN, RECESS) if judged[cell].doubt} == doubtful
    for cell in doubtful:
        assert judged[cell].doubt == "there is no Axial T2 series to show the canal at L4/L5"
    for place, kind in enumerate(CropKind):
        assert says.shown["present"][:, :, place].all() == (kind.role is not left_out)


def test_pixels_of_a_series_left_out_cannot_reach_the_grades() -> None:
    """The pixels of a series without a role are swapped for noise; what the graph is shown stays bit by bit."""
    from tests.placed_levels import AXIAL, random_volume

    shown = []
    for seed in (3, 99):
        t1, t2, axial = series().values()
        other = replace(axial, role=None, volumes=(random_volume(AXIAL, (20, 150, 150), seed=seed),))
        says = Says()
        judge_levels(study_of(t1, t2, other), levels(), ENTRY, says)
        shown.append(says.shown)
    np.testing.assert_array_equal(shown[0]["crops"], shown[1]["crops"])
    np.testing.assert_array_equal(shown[0]["present"], shown[1]["present"])


def test_strange_pictures_are_in_doubt_where_they_show_a_cell() -> None:
    foramen_t1 = tuple(CropKind).index(CropKind.FORAMEN_T1)
    right = tuple(Side).index(Side.RIGHT)
    judged = judge_levels(study(), levels(), ENTRY, Says(strange={(right, foramen_t1): 2.6}))

    assert judged[FORAMEN].doubt.startswith("the Sagittal T1 pictures at L4/L5 are unlike those")
    assert "strangeness 2.6, usual below 2.0" in judged[FORAMEN].doubt
    assert judged[replace(FORAMEN, side=Side.LEFT)].doubt == ""
    assert judged[CANAL].doubt == ""


def test_noisy_pictures_are_in_doubt_where_they_show_a_cell() -> None:
    limits = ENTRY.noise_below | {CropKind.AXIAL_T2.value: 0.01}
    judged = judge_levels(study(), levels(), replace(ENTRY, noise_below=limits), Says())

    assert judged[RECESS].doubt.startswith(
        "the Axial T2 pictures at L4/L5 are noisier than any the grader was"
    )
    assert "limit 0.01" in judged[RECESS].doubt
    assert judged[FORAMEN].doubt == ""


def test_all_cells_are_graded_and_the_canal_has_a_second_opinion() -> None:
    says = Says(sure_of({0: Severity.NORMAL_MILD, 1: Severity.SEVERE, 4: Severity.MODERATE}))
    grades = grade_study(whole_plain_study(Spine()), bundle(says))

    assert all(grade.status is Status.GRADED for grade in grades.cells)
    left = grades.of(replace(FORAMEN, side=Side.LEFT))
    assert (left.severity, grades.of(FORAMEN).severity) == (Severity.SEVERE, Severity.NORMAL_MILD)
    assert grades.of(replace(RECESS, side=Side.RIGHT)).severity is Severity.MODERATE
    for grade in grades.cells:
        assert (grade.second_opinion is not None) == (grade.cell.side is None)
        assert grade.evidence
        assert grade.point is not None
    opinion = grades.of(CANAL).second_opinion
    assert opinion is not None
    alone = judge_levels(whole_plain_study(Spine()), levels(), ENTRY, says)[CANAL].probabilities
    assert grades.of(CANAL).probabilities == pytest.approx(alone.pooled(opinion.probabilities))
    assert (opinion.probabilities.severity, opinion.disagrees) == (Severity.NORMAL_MILD, False)


def test_a_second_opinion_far_off_is_told_and_farther_off_takes_the_grade_back() -> None:
    moderate = sure_of({0: Severity.MODERATE})
    told = grade_study(whole_plain_study(Spine()), bundle(Says(moderate))).of(CANAL)
    assert told.status is Status.GRADED
    assert told.second_opinion is not None
    assert told.second_opinion.grades_apart == pytest.approx(-0.95, abs=0.1)

    severe = sure_of({0: Severity.SEVERE})
    taken = grade_study(whole_plain_study(Spine()), bundle(Says(severe))).of(CANAL)
    assert taken.status is Status.ABSTAINED
    assert taken.reason.startswith("the grader and the canal's measurements are 2.0 severities apart")
    assert taken.severity is None
    assert taken.probabilities is not None
    assert taken.second_opinion is not None
    assert taken.second_opinion.disagrees


def test_where_the_graders_pictures_are_strange_the_canal_is_graded_from_measurements_and_says_so() -> None:
    axial = tuple(CropKind).index(CropKind.AXIAL_T2)
    says = Says(sure_of({0: Severity.SEVERE}), strange={(0, axial): 2.6})
    measured = grade_study(whole_plain_study(Spine()), plain_bundle())
    grades = grade_study(whole_plain_study(Spine()), bundle(says))

    for cell in LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS):
        grade = grades.of(cell)
        assert grade.status is Status.GRADED
        assert grade.probabilities == measured.of(cell).probabilities
        assert grade.reason.startswith("from the canal's measurements alone: the Axial T2 pictures at")
        assert grade.second_opinion is None
    left = grades.of(replace(RECESS, side=Side.LEFT))
    assert left.status is Status.ABSTAINED
    assert left.reason.startswith("the Axial T2 pictures at L4/L5 are unlike those")


def test_a_caution_of_the_bundle_stands_in_every_result() -> None:
    made = bundle(Says())
    cautious = replace(
        made, table=replace(made.table, grader=replace(ENTRY, caution="it knows phantoms only"))
    )
    grades = grade_study(whole_plain_study(Spine()), cautious)
    assert grades.caution == grades.warnings[0] == "it knows phantoms only"
    assert grade_study(whole_plain_study(Spine()), plain_bundle()).caution == ""


class Looks(Says):
    """A graph that answers from what it sees, alike for both views."""

    def run(self, names: list[str], fed: dict[str, np.ndarray]) -> list[np.ndarray]:
        logits, strangeness = super().run(names, fed)
        ramp = np.linspace(-1, 1, fed["crops"][0, 0, 0].size).reshape(fed["crops"].shape[3:])
        seen = (fed["crops"] * ramp).mean(axis=(3, 4, 5)) * fed["present"] * 20  # (levels, views, kinds)
        answers = np.stack([seen[:, :, kind] for kind in range(4)], axis=2)
        said = np.array(logits)
        said[:, 0, 2] = answers.mean(axis=(1, 2))
        said[:, 1:3, 2] = answers[:, :, 1] + answers[:, :, 2]
        said[:, 3:5, 2] = answers[:, :, 3]
        return [said, strangeness]


def test_mirroring_the_patient_swaps_left_and_right_grades() -> None:
    ours_of = whole_plain_study(Spine(scoliosis_mm=6.0, aside_mm=3.0))
    ours, theirs = (grade_study(one, bundle(Looks())) for one in (ours_of, mirrored(ours_of)))

    sided = 0.0
    for grade in ours.cells:
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, None: None}[grade.cell.side]
        swapped = theirs.of(replace(grade.cell, side=other))
        assert (swapped.status, swapped.severity) == (grade.status, grade.severity)
        assert swapped.probabilities == pytest.approx(grade.probabilities, abs=1e-4)
        if grade.probabilities and other:
            sided += abs(grade.probabilities[2] - ours.of(replace(grade.cell, side=other)).probabilities[2])
    assert sided > 0.5, "the two sides of the picture must differ for the test to say anything"


def test_a_level_whose_disc_was_guessed_is_abstained_from() -> None:
    grades = grade_study(whole_plain_study(Spine(unmarked=("L3/L4",))), bundle(Says()))
    for cell in LUMBAR_MRI.cells:
        grade = grades.of(cell)
        assert (grade.status is Status.ABSTAINED) == (cell.level is Level.L3_L4)
        if cell.level is Level.L3_L4:
            assert grade.reason == "the disc was not seen; its place is taken from its neighbours"


def test_a_bundle_without_a_grader_says_so() -> None:
    with pytest.raises(BundleError, match="bundle 'plain' must have a grader, got none"):
        _ = plain_bundle().grader


def test_a_graph_of_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> SimpleNamespace:
        names = [SimpleNamespace(name="slices", shape=["n", 1, 8, 8])]
        return SimpleNamespace(get_inputs=lambda: names, get_outputs=lambda: names)

    monkeypatch.setattr(grader_module, "open_graph", opened)
    with pytest.raises(BundleError, match=r"none must take .* and give logits and strangeness"):
        open_grader(Path(), ENTRY)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"calibration": {}}, "calibration must be given for spinal_canal_stenosis"),
        ({"usual_below": {"canal_t2": 1.0}}, "usual_below must be given for canal_t2, foramen_t1"),
        ({"noise_below": {"axial_t2": 1.0}}, "noise_below must be given for canal_t2"),
        ({"flag_grades": 2.0}, "at most abstain_grades"),
        (
            {"calibration": {one.value: VectorScaling(1.0, (0.0,)) for one in Condition}},
            "must have 3 shifts",
        ),
    ],
)
def test_entries_that_do_not_fit_are_refused(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(ENTRY, **wrong)


def test_a_bundle_without_evidence_drafts_all_that_its_grader_learnt() -> None:
    says = Says(sure_of({1: Severity.SEVERE}))
    grades = grade_study(whole_plain_study(Spine()), bundle(says, {}))
    for grade in grades.cells:
        assert (grade.status, grade.severity) == (Status.DRAFT, None)
        assert grade.reason.startswith("the bundle does not say what its grades of the ")
        assert grade.evidence
    assert grades.of(replace(FORAMEN, side=Side.LEFT)).likeliest is Severity.SEVERE
    known = grade_study(whole_plain_study(Spine()), bundle(says))
    assert [one.probabilities for one in grades.cells] == [one.probabilities for one in known.cells]


def test_what_rests_on_phantoms_alone_is_a_draft_until_it_was_shown_on_patients() -> None:
    evidence = {
        Condition.SPINAL_CANAL_STENOSIS.value: ConditionEvidence(RestsOn.MEASURED),
        Condition.NEURAL_FORAMINAL_NARROWING.value: ConditionEvidence(
            RestsOn.PHANTOMS_ONLY, 10, 100, 0.7, 0.8, "stenograde score COHORT"
        ),
        Condition.SUBARTICULAR_STENOSIS.value: ConditionEvidence(
            RestsOn.PHANTOMS_ONLY, 10, 100, 0.9, 0.8, "stenograde score COHORT"
        ),
    }
    grades = grade_study(whole_plain_study(Spine()), bundle(Says(), evidence))
    for grade in grades.cells:
        draft = grade.cell.condition is Condition.SUBARTICULAR_STENOSIS
        assert grade.status is (Status.DRAFT if draft else Status.GRADED)
    assert "(log loss 0.90 against 0.80; 10 patients, 100 cells)" in grades.of(RECESS).reason
    assert grades.evidence[Condition.SUBARTICULAR_STENOSIS].is_draft


def test_measurements_alone_are_a_grade_where_a_bundle_states_nothing_of_its_grader() -> None:
    strange = {(side, tuple(CropKind).index(CropKind.CANAL_T2)): 9.0 for side in range(2)}
    grade = grade_study(whole_plain_study(Spine()), bundle(Says(strange=strange), {})).of(CANAL)
    assert grade.status is Status.GRADED
    assert grade.reason.startswith("from the canal's measurements alone: ")


def test_a_doubtful_draft_is_abstained_from() -> None:
    grades = grade_study(whole_plain_study(Spine(unmarked=("L3/L4",))), bundle(Says(), {}))
    assert {grade.status for grade in grades.cells if grade.cell.level is Level.L3_L4} == {Status.ABSTAINED}
