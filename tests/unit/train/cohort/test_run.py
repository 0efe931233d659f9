"""A cohort to a bundle: what is fitted resumes, what is written loads, what is scored was never seen."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde import read_study  # noqa: E402
from stenograde.config import build, changed  # noqa: E402
from stenograde.errors import ConfigError  # noqa: E402
from stenograde.evaluate.rsna_metric import UNKNOWN  # noqa: E402
from stenograde.evidence import RestsOn  # noqa: E402
from stenograde.levels.point_offsets import PointOffsets  # noqa: E402
from stenograde.levels.point_views import point_views  # noqa: E402
from stenograde.nets.level_transfer import TransferGraph  # noqa: E402
from stenograde.nets.point_finder import PointFinder  # noqa: E402
from stenograde.predict.bundle import default_bundle, load_bundle  # noqa: E402
from stenograde.predict.cell_points import cell_points  # noqa: E402
from stenograde.predict.grade import grade_located  # noqa: E402
from stenograde.predict.grader import run_grader  # noqa: E402
from stenograde.predict.locate import locate_study  # noqa: E402
from stenograde.predict.point_finder import asked_of  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Condition  # noqa: E402
from stenograde.train.cohort.assess import Assessed, assess, in_order, write_predictions  # noqa: E402
from stenograde.train.cohort.bundle import write_cohort_bundle  # noqa: E402
from stenograde.train.cohort.card import About  # noqa: E402
from stenograde.train.cohort.config import CohortTraining, read_size  # noqa: E402
from stenograde.train.cohort.contact_sheet import write_contact_sheet  # noqa: E402
from stenograde.train.cohort.cut import CohortCrops  # noqa: E402
from stenograde.train.cohort.find_points import CellPoints  # noqa: E402
from stenograde.train.cohort.folds import FoldNets, fit_folds  # noqa: E402
from stenograde.train.cohort.run import read_without  # noqa: E402
from stenograde.train.grader.crops import CropSet, as_stored, as_values  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::UserWarning"),
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # sizes of crops are fixed
]

TINY = build(
    CohortTraining,
    changed(
        read_size("quick"),
        [
            *("folds=2", "copies=1", "crops.size_px=32", "crops.slices=3"),
            *(
                "net.size_px=32",
                "net.slices=3",
                "net.grid=2",
                "net.stages=[1]",
                "net.kept=4",
                "net.features=16",
            ),
            *("fit.epochs=2", "head.epochs=2", "fit.batch=8", "fit.workers=0", "head.workers=0"),
            *('fit.accelerator="cpu"', 'head.accelerator="cpu"'),
        ],
    ),
)
THAWED = replace(TINY, net=replace(TINY.net, frozen=False), fit=replace(TINY.fit, epochs=1))
ABOUT = About(
    "made-up patients", "for tests", False, "quick", ("folds=2",), (("empty", 1, 2),), (("x", "1 mm"),)
)
POINTS = CellPoints({}, PointOffsets({"spinal_canal_stenosis_l4_l5": (0.0, -2.0, 0.5)}))
N = 14


@pytest.fixture(scope="module")
def crops() -> CohortCrops:
    rng = np.random.default_rng(0)
    severities = rng.choice(3, size=(N, 5, 5), p=[0.6, 0.2, 0.2])
    severities[0, 0, 0] = UNKNOWN
    values = rng.normal(0, 1, (N, 5, 2, 4, 3, 32, 32)).astype(np.float32)
    present = rng.random((N, 5, 2, 4)) < 0.9
    return CohortCrops(
        tuple(str(100 + k) for k in range(N)),
        CropSet(as_stored(values), present, severities),
        {"why": 3},
        "made up",
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, crops: CohortCrops) -> tuple[Path, FoldNets]:
    out = tmp_path_factory.mktemp("steps")
    return out, fit_folds(crops, out, TINY, weights=None)


@pytest.fixture(scope="module")
def assessed(crops: CohortCrops, fitted: tuple[Path, FoldNets]) -> Assessed:
    records = {name: {"field_t": 1.5, "scanner": ""} for name in crops.names}
    return assess(crops, fitted[1], TINY, records)


def test_each_patient_is_answered_by_nets_that_did_not_see_it(
    crops: CohortCrops, fitted: tuple[Path, FoldNets]
) -> None:
    _, folds = fitted
    assert len(folds.nets) == 2
    assert sorted(np.unique(folds.fold)) == [0, 1]
    for number, net in enumerate(folds.nets):
        test = np.flatnonzero(folds.fold == number)
        known = torch.cat(
            [
                torch.from_numpy(crops.set.present[test[0]].reshape(5, -1).astype(np.float32)),
                torch.eye(5),
            ],
            dim=1,
        )
        with torch.no_grad():
            said = net(torch.from_numpy(as_values(crops.set.crops[test[0]])), known).numpy()
        # its maps were kept in 16 bits, made in bfloat16
        np.testing.assert_allclose(folds.logits[test[0]], said, atol=0.1)


@pytest.mark.parametrize("training", [TINY, THAWED], ids=["frozen", "thawed"])
def test_what_is_scored_is_what_grades_where_there_are_five_looks(
    tmp_path: Path, crops: CohortCrops, training: CohortTraining
) -> None:
    training = replace(training, net=replace(training.net, look_px=4))
    folds = fit_folds(crops, tmp_path, training, weights=None)
    for number, net in enumerate(folds.nets):
        place = int(np.flatnonzero(folds.fold == number)[0])
        fed = (
            torch.from_numpy(as_values(crops.set.crops[place])),
            torch.from_numpy(crops.set.present[place].astype(np.float32)),
            torch.eye(5),
        )
        with torch.no_grad():
            said, strange = TransferGraph([net]).eval()(*fed)
        # of maps that were kept in 16 bits, made in bfloat16
        close = 0.1 if training.net.frozen else 1e-4
        np.testing.assert_allclose(folds.logits[place], said.numpy(), atol=close)
        np.testing.assert_allclose(folds.strangeness[place], strange.numpy(), atol=close)


def test_a_killed_fit_gives_the_same_answers(
    tmp_path: Path, crops: CohortCrops, fitted: tuple[Path, FoldNets]
) -> None:
    before, folds = fitted
    out = tmp_path / "steps"
    shutil.copytree(before, out)
    (second,) = out.glob("folds-*/fold-2-*")
    # killed in the second step of the second fold: its first step is done, the rest is not
    shutil.rmtree(second / "head")
    for name in ("net.safetensors", "said.npz"):
        (second / name).unlink()
    again = fit_folds(crops, out, TINY, weights=None)
    np.testing.assert_array_equal(again.logits, folds.logits)
    np.testing.assert_array_equal(again.strangeness, folds.strangeness)


def test_other_labels_are_another_fit(
    tmp_path: Path, crops: CohortCrops, fitted: tuple[Path, FoldNets]
) -> None:
    out = tmp_path / "steps"
    shutil.copytree(fitted[0], out)
    cell = LUMBAR_MRI.at(LUMBAR_MRI.levels[1])[2]
    without = crops.without({"101": frozenset([cell.name]), "unknown": frozenset([cell.name])})
    assert without.set.severities[1, 1, 2] == UNKNOWN
    assert (without.set.severities != crops.set.severities).sum() == 1
    fit_folds(without, out, TINY, weights=None)
    assert len(list(out.glob("folds-*"))) == 2
    assert len(list(out.glob("maps-*"))) == 1


def test_scores_are_of_calibrated_probabilities_out_of_fold(crops: CohortCrops, assessed: Assessed) -> None:
    answers = assessed.answers
    np.testing.assert_array_equal(answers.severities, in_order(crops.set.severities))
    np.testing.assert_allclose(answers.probabilities.sum(axis=2), 1)
    kinds = {"score", "weighted", "level_share", "level_share_weighted", "less_than_share", "auc"}
    assert set(assessed.scores) == kinds
    assert {group.name for group in assessed.groups} == {
        *(level.shown for level in LUMBAR_MRI.levels),
        *("left", "right", "1.5 T"),
    }
    cells = sum(group.cells for group in assessed.groups if group.name == "1.5 T")
    assert cells == (crops.set.severities != UNKNOWN).sum()
    for condition in Condition:
        assert len(assessed.coverage[condition.value]) == 3


def test_out_of_fold_predictions_are_a_table_of_the_competition(
    tmp_path: Path, crops: CohortCrops, assessed: Assessed
) -> None:
    path = tmp_path / "oof.csv"
    write_predictions(path, crops.names, assessed.answers)
    with path.open(newline="") as file:
        rows = {row["row_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == N * 25
    cell = LUMBAR_MRI.cells[7]
    stored = [float(rows[f"103_{cell.name}"][name]) for name in ("normal_mild", "moderate", "severe")]
    np.testing.assert_array_equal(stored, assessed.answers.probabilities[3, 7])


def test_labels_that_were_audited_are_left_out(tmp_path: Path) -> None:
    table = tmp_path / "audit.csv"
    head = "rank,study_id,condition,level,side\n"
    table.write_text(head + "1,101,subarticular_stenosis,l2_l3,left\n2,101,spinal_canal_stenosis,l1_l2,\n")
    left = read_without(table)
    assert left == {"101": {"left_subarticular_stenosis_l2_l3", "spinal_canal_stenosis_l1_l2"}}
    table.write_text(head + "1,101,subarticular_stenosis,l9_l9,left\n")
    with pytest.raises(ConfigError, match="must name a cell, got 'left_subarticular_stenosis_l9_l9'"):
        read_without(table)


def test_the_least_believed_labels_are_drawn(tmp_path: Path, crops: CohortCrops, assessed: Assessed) -> None:
    path = tmp_path / "suspicious.png"
    assert write_contact_sheet(path, crops, assessed.answers, most=7) == 7
    with Image.open(path) as sheet:
        assert sheet.size == (6 * 176, 2 * 210)
        tiles = np.asarray(sheet)
    assert tiles[:176, :176].std() > 10, "a picture"
    assert (tiles[210:386, 176:] == 255).all(), "nothing beside the seventh"


def test_the_bundle_loads_and_its_graph_gives_the_mean_of_the_nets(
    tmp_path: Path, crops: CohortCrops, fitted: tuple[Path, FoldNets], assessed: Assessed
) -> None:
    write_cohort_bundle(
        tmp_path, default_bundle(), crops, fitted[1], assessed, TINY, about=ABOUT, points=POINTS
    )
    bundle = load_bundle(tmp_path)
    entry = bundle.table.grader
    assert entry is not None
    assert entry.sets.keys() == entry.calibration.keys() == {one.value for one in Condition}
    assert "made-up patients (for tests)" in entry.caution
    assert (entry.offsets, entry.finder) == (POINTS.offsets, None)
    values, present = as_values(crops.set.crops[2]), crops.set.present[2]
    logits, strangeness = run_grader(bundle.grader, values, present, LUMBAR_MRI.levels)
    with torch.no_grad():
        ours = TransferGraph(list(fitted[1].nets)).eval()(
            torch.from_numpy(values), torch.from_numpy(present.astype(np.float32)), torch.eye(5)
        )
    for said, wanted in zip((logits, strangeness), ours, strict=True):
        np.testing.assert_allclose(said, wanted.numpy(), atol=0.02 * max(1, float(wanted.abs().max())))
    card = bundle.card
    for words in (
        "14 studies of made-up patients",
        "for tests",
        "changed: folds=2",
        "Only a person can fill in",
    ):
        assert words in card
    assert bundle.evidence[Condition.NEURAL_FORAMINAL_NARROWING].kind is RestsOn.LEARNT
    assert bundle.evidence[Condition.NEURAL_FORAMINAL_NARROWING].is_draft, "random answers are no findings"


def test_a_bundles_points_are_where_its_nets_find_them(
    tmp_path: Path, crops: CohortCrops, fitted: tuple[Path, FoldNets], assessed: Assessed, phantom_study: Path
) -> None:
    torch.manual_seed(0)
    nets = tuple(PointFinder(TINY.points.net).eval() for _ in range(2))
    for net in nets:
        torch.nn.init.normal_(net.heat.weight)
    far_mm = {"subarticular_stenosis": 1e3}  # whatever they find is believed
    points = replace(POINTS, nets=nets, far_mm=far_mm)
    write_cohort_bundle(
        tmp_path, default_bundle(), crops, fitted[1], assessed, TINY, about=ABOUT, points=points
    )
    bundle, study = load_bundle(tmp_path), read_study(phantom_study)
    located = locate_study(study, bundle)
    levels = located.points.levels
    found, expected = cell_points(study, levels, bundle), POINTS.offsets.points_of(levels)
    views = point_views(study, levels, TINY.points.crops)
    moved = {cell for cell in views if cell.condition is Condition.SUBARTICULAR_STENOSIS}
    assert len(moved) == 10
    for cell, point in found.items():
        if cell not in moved:
            assert point == expected[cell]
            continue
        values, asked = torch.from_numpy(views[cell].values[None]), torch.from_numpy(asked_of([cell]))
        with torch.no_grad():
            places = torch.stack([net.places_mm(net(values, asked))[0] for net in nets]).mean(dim=0)
        assert point == pytest.approx(views[cell].grid.point_at(places.double().numpy()), abs=0.05)
    grades = {one.cell: one for one in grade_located(study, located, bundle).cells}
    assert all(grades[cell].point == found[cell] for cell in moved)


def test_a_cohort_of_phantoms_is_no_evidence(
    tmp_path: Path, crops: CohortCrops, fitted: tuple[Path, FoldNets], assessed: Assessed
) -> None:
    about = replace(ABOUT, is_of_phantoms=True)
    write_cohort_bundle(
        tmp_path, default_bundle(), crops, fitted[1], assessed, TINY, about=about, points=POINTS
    )
    evidence = load_bundle(tmp_path).evidence
    assert {one.kind for one in evidence.values()} == {RestsOn.PHANTOMS_ONLY}
    assert all(one.is_draft and not one.patients for one in evidence.values())


def test_the_whole_encoder_can_be_trained(tmp_path: Path, crops: CohortCrops) -> None:
    folds = fit_folds(crops, tmp_path, THAWED, weights=None)
    assert not list(tmp_path.glob("maps-*"))
    start = fit_folds(crops, tmp_path / "other", replace(THAWED, seeds=(8,)), weights=None)
    first, second = (one.nets[0].encoder.state_dict() for one in (folds, start))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert np.isfinite(folds.logits).all()


@pytest.mark.parametrize("size", ["quick", "published"])
def test_sizes_that_ship_are_sound(size: str) -> None:
    config = build(CohortTraining, read_size(size))  # type: ignore[arg-type]
    assert config.net.frozen is (size == "quick")


def test_net_and_crops_must_fit() -> None:
    with pytest.raises(ValueError, match="net must take the crops that are cut"):
        replace(TINY, crops=replace(TINY.crops, size_px=48))
