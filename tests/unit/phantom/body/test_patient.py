"""A virtual patient's answers agree with its anatomy and with what is painted."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from stenograde.phantom import Phantom, Population, Protocol, Transition, make_patient
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canal import sac_distance
from stenograde.phantom.body.canvas import Points
from stenograde.phantom.body.column import bulge_behind, wall_behind
from stenograde.phantom.body.cooccurrence import RSNA_SHARES
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.paint import label, paint
from stenograde.phantom.body.stenosis import severity_of_area
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.acquisition import plan_study
from stenograde.phantom.scanner.render import label_series
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Severity, Side, Structure

_CANAL_L4_L5 = Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L4_L5)


@pytest.mark.parametrize(
    ("area_mm2", "severity"),
    [
        (100.0, Severity.NORMAL_MILD),
        (99.9, Severity.MODERATE),
        (75.0, Severity.MODERATE),
        (74.9, Severity.SEVERE),
    ],
)
def test_severity_follows_the_area_of_the_sac(area_mm2: float, severity: Severity) -> None:
    assert severity_of_area(area_mm2) is severity


def _all(condition: Condition, *severities: Severity) -> dict[Cell, Severity]:
    """The cells of a condition with given severities, in turn."""
    return dict(zip(LUMBAR_MRI.of(condition), cycle(severities), strict=False))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_chosen_severity_is_that_of_the_sac_that_was_made(seed: int) -> None:
    chosen = {
        cell: severity
        for k, condition in enumerate(Condition)
        for cell, severity in _all(condition, *list(Severity)[k:], *list(Severity)[:k]).items()
    }
    patient = make_patient(seed, cells=chosen)
    assert {cell: patient.severity(cell) for cell in LUMBAR_MRI.cells} == chosen
    for level, truth in patient.levels.items():
        assert truth.sac_area_mm2 == pytest.approx(patient.anatomy.sac_area_mm2[level], rel=0.01)


def test_sac_painted_at_the_disc_has_the_true_area_and_diameter() -> None:
    patient = make_patient(3, cells={_CANAL_L4_L5: Severity.MODERATE})
    anatomy, truth = patient.anatomy, patient.levels[Level.L4_L5]
    disc = float(anatomy.disc_mm[anatomy.disc_of(Level.L4_L5)])
    step = 0.1
    left, behind = np.meshgrid(np.arange(-15, 15, step), np.arange(0, 45, step))
    sla = np.stack([np.full(left.size, disc), left.ravel(), behind.ravel()], axis=1)
    xyz = anatomy.curve.to_body(sla).T.astype(np.float32)
    inside = (sac_distance(Points.of(anatomy, xyz)) < 0).reshape(left.shape)
    assert inside.sum() * step**2 == pytest.approx(truth.sac_area_mm2, rel=0.02)
    middle = np.argmin(np.abs(left[0]))
    assert inside[:, middle].sum() * step == pytest.approx(truth.sac_ap_mm, abs=0.3)


def _share(patient: Phantom, sla: Array, tissues: tuple[Tissue, ...]) -> Array:
    """Share of points, given in spine coordinates of shape (n, 3), that is painted as one of some tissues."""
    signals = np.zeros(len(Tissue), np.float32)
    signals[list(tissues)] = 1.0
    xyz = patient.anatomy.curve.to_body(sla).T.astype(np.float32)
    return np.minimum(paint(patient.scene, xyz, signals), 1)


@pytest.mark.parametrize("severity", list(Severity))
def test_recess_painted_beside_the_sac_has_the_true_height(severity: Severity) -> None:
    patient = make_patient(8, cells=_all(Condition.SUBARTICULAR_STENOSIS, severity))
    anatomy = patient.anatomy
    for level, truth in patient.levels.items():
        disc = float(anatomy.disc_mm[anatomy.disc_of(level)])
        aside = anatomy.at(Row.SAC_WIDTH, disc) + 1.5
        for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
            behind = np.arange(0, 45, 0.05)
            sla = np.stack([np.full(behind.size, disc), np.full(behind.size, sign * aside), behind], axis=1)
            open_ = _share(patient, sla, (Tissue.FAT, Tissue.ROOT)) > 0.5
            start = int(np.argmax(open_ & (behind > anatomy.at(Row.BODY_DEPTH, disc) - 2)))
            height = float(np.argmin(open_[start:])) * 0.05
            assert height == pytest.approx(truth.recess_height_mm[side], abs=0.6)


def test_tighter_foramen_shows_less_fat_and_a_flatter_root() -> None:
    areas = []
    for severity in Severity:
        patient = make_patient(8, cells=_all(Condition.NEURAL_FORAMINAL_NARROWING, severity))
        anatomy = patient.anatomy
        step = 0.25
        painted, true = {}, {}
        for level, truth in patient.levels.items():
            middle = float(anatomy.pedicle_way_mm[anatomy.disc_of(level) : anatomy.disc_of(level) + 2].mean())
            wall, aside = anatomy.at(Row.BODY_DEPTH, middle), anatomy.foramen_mm[anatomy.disc_of(level) + 1]
            way, behind = np.meshgrid(
                np.arange(middle - 4, middle + 12, step), np.arange(wall - 4, wall + 14, step)
            )
            for side, sign in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
                sla = np.stack([way.ravel(), np.full(way.size, aside * sign), behind.ravel()], axis=1)
                painted[level, side] = float(_share(patient, sla, (Tissue.FAT, Tissue.ROOT)).sum()) * step**2
                true[level, side] = truth.foraminal_area_mm2[side]
        areas.append((painted, true))
    for key in areas[0][0]:
        shown = [painted[key] for painted, _ in areas]
        assert shown == sorted(shown, reverse=True)
    severe, true = areas[2]
    np.testing.assert_allclose(list(severe.values()), list(true.values()), atol=12)


def test_patients_left_has_the_greater_x() -> None:
    for truth in make_patient(11).levels.values():
        for points in (truth.foramen, truth.subarticular):
            assert points[Side.LEFT][0] > truth.canal_centre[0] > points[Side.RIGHT][0]


def test_mirrored_patient_swaps_sides() -> None:
    patient = make_patient(11)
    other = patient.mirrored()
    for level, truth in patient.levels.items():
        swapped = other.levels[level]
        assert swapped.sac_area_mm2 == truth.sac_area_mm2
        for side, opposite in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT)):
            x, y, z = truth.foramen[side]
            assert swapped.foramen[opposite] == pytest.approx((-x, y, z))
            assert swapped.foramina[opposite] == truth.foramina[side]
            assert swapped.recess_height_mm[opposite] == truth.recess_height_mm[side]
        assert swapped.subarticular[Side.LEFT][0] > swapped.subarticular[Side.RIGHT][0]


def test_labels_name_the_structure_at_each_true_point() -> None:
    patient = make_patient(2)
    plans = plan_study(patient, Protocol(sagittal_matrix=160, sagittal_slices=11))
    plan = next(plan for plan in plans if plan.role is Role.SAGITTAL_T2_STIR)
    labels = label_series(patient, plan)

    def label(point: tuple[float, float, float]) -> int:
        found = plan.nearest(np.array(point))
        assert found
        number, row, column = found
        return int(labels[number, round(row), round(column)])

    for truth in patient.levels.values():
        assert label(truth.disc_centre) == Structure.DISC.code
        assert label(truth.canal_centre) == Structure.CANAL.code
    centres = patient.to_patient(np.outer(patient.anatomy.centre_mm, (1.0, 0.0, 0.0)))
    bodies = dict(zip(patient.anatomy.names, centres, strict=True))
    for name in ("T12", "L1", "L2", "L3", "L4", "L5"):
        assert label(bodies[name]) == Structure.VERTEBRA.code
    assert label(bodies["S1"]) == 0


def test_disc_does_not_reach_into_the_sac() -> None:
    patient = make_patient(4, cells=dict.fromkeys(LUMBAR_MRI.cells, Severity.SEVERE))
    anatomy = patient.anatomy
    for level in patient.levels:
        disc = float(anatomy.disc_mm[anatomy.disc_of(level)])
        left, behind = np.meshgrid(np.arange(-14, 14, 0.25), np.arange(0, 40, 0.1))
        sla = np.stack([np.full(left.size, disc), left.ravel(), behind.ravel()], axis=1)
        points = Points.of(anatomy, anatomy.curve.to_body(sla).T.astype(np.float32))
        wall = wall_behind(points) + bulge_behind(points)
        assert not np.any((sac_distance(points) < -0.2) & (points.behind < wall))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be zero or more, got -1"):
        make_patient(-1)
    neck = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.C5_C6, Side.LEFT)
    with pytest.raises(ValueError, match=f"cells of a lumbar phantom .*, got {neck.name}"):
        make_patient(1, cells={neck: Severity.SEVERE})
    shares = dict(RSNA_SHARES)
    shares[Condition.SPINAL_CANAL_STENOSIS] = ((0.5, 0.1, 0.1),) * 5
    with pytest.raises(
        ValueError, match="Spinal canal stenosis at L1/L2 must be three shares that add up to 1"
    ):
        Population(severity_shares=shares)
    shares[Condition.SPINAL_CANAL_STENOSIS] = ((1.0, 0.0, 0.0),) * 4
    with pytest.raises(ValueError, match="must be given for five levels, got 4"):
        Population(severity_shares=shares)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        Protocol(layers=0)


def _with(transition: Transition) -> Phantom:
    seeds = (make_patient(seed, population=Population(transitional_share=1.0)) for seed in range(20))
    return next(patient for patient in seeds if patient.anatomy.transition is transition)


def test_transitional_vertebra_when_sacralised_then_its_disc_is_low_and_bridged() -> None:
    patient = _with(Transition.SACRALISED_L5)
    usual = make_patient(patient.seed)
    k = usual.anatomy.disc_of(Level.L5_S1)
    assert patient.anatomy.half_disc_mm[k] == pytest.approx(0.35 * usual.anatomy.half_disc_mm[k])
    assert np.array_equal(
        np.delete(patient.anatomy.half_disc_mm, k), np.delete(usual.anatomy.half_disc_mm, k)
    )
    assert _label(patient, patient.levels[Level.L5_S1].disc_centre) == 0
    assert _label(usual, usual.levels[Level.L5_S1].disc_centre) == Structure.DISC.code
    grades = [[one.severity(cell) for cell in LUMBAR_MRI.cells] for one in (patient, usual)]
    assert grades[0] == grades[1]


def test_transitional_vertebra_when_lumbarised_then_s1_has_a_disc_below_it() -> None:
    patient = _with(Transition.LUMBARISED_S1)
    usual = make_patient(patient.seed)
    below = patient.anatomy.disc_of(Level.L5_S1) - 1
    heights = patient.anatomy.half_disc_mm
    assert heights[below] > 0.7 * heights[below + 1] > 4 * usual.anatomy.half_disc_mm[below] / 4
    for one, code in ((patient, Structure.DISC.code), (usual, 0)):
        x, y, z = one.to_patient(np.array([[one.anatomy.disc_mm[below], 0.0, 0.0]]))[0]
        assert _label(one, (x, y, z)) == code


def _label(patient: Phantom, point: tuple[float, float, float]) -> int:
    """Label of the tissue at a point, LPS mm."""
    body = ((np.array([point]) - patient.offset_mm) @ patient.turn).astype(np.float32)
    return int(label(patient.scene, np.ascontiguousarray(body.T))[0])


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"transitional_share must be 0 to 1 .* got 0.04, 1.5"):
        Population(transitional_share=1.5)
