"""A virtual patient's answers agree with its anatomy and with what is painted."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.datasets.phantom import Population, Protocol, make_patient
from stenograde.datasets.phantom.acquisition import plan_study
from stenograde.datasets.phantom.anatomy import Row
from stenograde.datasets.phantom.canal import sac_distance
from stenograde.datasets.phantom.canvas import Points
from stenograde.datasets.phantom.population import severity_of_area
from stenograde.datasets.phantom.render import label_series
from stenograde.terms import LUMBAR_MRI, Condition, Level, Role, Severity, Side, Structure


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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_chosen_severity_is_that_of_the_sac_that_was_made(seed: int) -> None:
    chosen = dict(zip(LUMBAR_MRI.levels, (*Severity, Severity.SEVERE, Severity.MODERATE), strict=True))
    patient = make_patient(seed, canals=chosen)
    for level, severity in chosen.items():
        truth = patient.levels[level]
        assert truth.canal is severity
        assert severity_of_area(truth.sac_area_mm2) is severity
        assert truth.sac_area_mm2 == pytest.approx(patient.anatomy.sac_area_mm2[level], rel=0.01)


def test_sac_painted_at_the_disc_has_the_true_area_and_diameter() -> None:
    patient = make_patient(3, canals={Level.L4_L5: Severity.MODERATE})
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


def test_only_canal_cells_are_stenosed() -> None:
    patient = make_patient(5, canals=dict.fromkeys(LUMBAR_MRI.levels, Severity.SEVERE))
    for cell in LUMBAR_MRI.cells:
        expected = (
            Severity.SEVERE if cell.condition is Condition.SPINAL_CANAL_STENOSIS else Severity.NORMAL_MILD
        )
        assert patient.severity(cell) is expected


def test_patients_left_has_the_greater_x() -> None:
    for truth in make_patient(11).levels.values():
        for points in (truth.foramen, truth.subarticular):
            assert points[Side.LEFT][0] > truth.canal_centre[0] > points[Side.RIGHT][0]


def test_mirrored_patient_swaps_sides() -> None:
    patient = make_patient(11)
    other = patient.mirrored()
    for level, truth in patient.levels.items():
        swapped = other.levels[level]
        assert swapped.canal is truth.canal
        for side, opposite in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT)):
            x, y, z = truth.foramen[side]
            assert swapped.foramen[opposite] == pytest.approx((-x, y, z))
        assert swapped.subarticular[Side.LEFT][0] > swapped.subarticular[Side.RIGHT][0]


def test_labels_name_the_structure_at_each_true_point() -> None:
    patient = make_patient(2)
    plans = plan_study(patient, Protocol(sagittal_matrix=160, sagittal_slices=11))
    plan = next(plan for plan in plans if plan.role is Role.SAGITTAL_T2_STIR)
    labels = label_series(patient, plan)

    def label(point: tuple[float, float, float]) -> int:
        number, row, column = plan.nearest(np.array(point))
        return int(labels[number, round(row), round(column)])

    for truth in patient.levels.values():
        assert label(truth.disc_centre) == Structure.DISC.code
        assert label(truth.canal_centre) == Structure.CANAL.code
    for name in ("T12", "L1", "L2", "L3", "L4", "L5"):
        assert label(patient.vertebra_centres[name]) == Structure.VERTEBRA.code
    assert label(patient.vertebra_centres["S1"]) == 0


def test_disc_does_not_reach_into_the_sac() -> None:
    patient = make_patient(4, canals=dict.fromkeys(LUMBAR_MRI.levels, Severity.SEVERE))
    tables = patient.anatomy.tables
    wall = tables[Row.BODY_DEPTH] + tables[Row.BULGE]
    front = tables[Row.SAC_CENTRE] - tables[Row.SAC_DEPTH]
    assert np.all((front - wall)[tables[Row.SAC_DEPTH] > 1] > 0)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be zero or more, got -1"):
        make_patient(-1)
    with pytest.raises(ValueError, match="levels of a lumbar phantom must be L1/L2 to L5/S1, got C5/C6"):
        make_patient(1, canals={Level.C5_C6: Severity.SEVERE})
    with pytest.raises(ValueError, match="three shares that add up to 1"):
        Population(severity_shares={Level.L1_L2: (0.5, 0.1, 0.1)})
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        Protocol(layers=0)
