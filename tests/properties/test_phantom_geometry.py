"""Whatever the patient: coordinates turn back into themselves, every point is imaged, answers agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stenograde import geometry
from stenograde.phantom import Population, Protocol, make_patient
from stenograde.phantom.scanner.acquisition import plan_study
from stenograde.terms import LUMBAR_MRI, Condition, Role

_seeds = st.integers(min_value=0, max_value=2**32 - 1)


@settings(max_examples=8)
@given(seed=_seeds)
def test_spine_coordinates_turn_back_into_themselves(seed: int) -> None:
    curve = make_patient(seed, population=Population(slip_share=0.0)).anatomy.curve
    rng = np.random.default_rng(seed)
    sla = np.stack([rng.uniform(-20, 200, 200), rng.uniform(-30, 30, 200), rng.uniform(-20, 45, 200)], axis=1)
    body = curve.to_body(sla)
    turned = np.stack(curve.to_spine(body.T.astype(np.float32)), axis=1)
    spread = sla[:, 2] < 32
    np.testing.assert_allclose(turned[spread], sla[spread], atol=0.1)
    np.testing.assert_allclose(curve.to_body(turned)[spread], body[spread], atol=0.1)
    # further behind, the planes across the lumbosacral bend all but meet: half a pixel there
    np.testing.assert_allclose(curve.to_body(turned), body, atol=0.3)


@settings(max_examples=5)
@given(seed=_seeds, slip_mm=st.floats(3, 8))
def test_a_slip_moves_the_spine_above_forward_and_coordinates_still_turn_back(
    seed: int, slip_mm: float
) -> None:
    still, slipped = (
        make_patient(seed, population=Population(slip_share=share, slip_mm=(slip_mm, slip_mm)))
        for share in (0.0, 1.0)
    )
    curve = slipped.anatomy.curve
    ((way, _),) = curve.slips
    ahead = still.anatomy.curve.to_body(np.array([[way + 15, 0, 0]]))
    ahead -= still.anatomy.curve.to_body(np.array([[way - 15, 0, 0]]))
    moved = curve.to_body(np.array([[way + 15, 0, 0]])) - curve.to_body(np.array([[way - 15, 0, 0]]))
    assert np.linalg.norm(moved - ahead) == pytest.approx(slip_mm, rel=0.15)
    assert moved[0, 1] < ahead[0, 1]  # y points to the back
    rng = np.random.default_rng(seed)
    sla = np.stack([rng.uniform(-20, 200, 200), rng.uniform(-30, 30, 200), rng.uniform(-20, 18, 200)], axis=1)
    body = curve.to_body(sla)
    turned = np.stack(curve.to_spine(body.T.astype(np.float32)), axis=1)
    off = np.linalg.norm(curve.to_body(turned) - body, axis=1)
    assert np.quantile(off, 0.95) < 0.5  # the grid of ways is coarse beside a step


@settings(max_examples=8)
@given(seed=_seeds)
def test_every_point_lies_in_a_slice_of_its_series(seed: int) -> None:
    patient, protocol = make_patient(seed), Protocol()
    plans = {plan.role: plan for plan in plan_study(patient, protocol)}
    roles = {
        Condition.SPINAL_CANAL_STENOSIS: Role.SAGITTAL_T2_STIR,
        Condition.NEURAL_FORAMINAL_NARROWING: Role.SAGITTAL_T1,
        Condition.SUBARTICULAR_STENOSIS: Role.AXIAL_T2,
    }
    for cell in LUMBAR_MRI.cells:
        point = np.array(patient.point(cell))
        plan = plans[roles[cell.condition]]
        found = plan.nearest(point)
        assert found
        number, _, _ = found
        assert abs(plan.planes[number].index(point)[0]) <= protocol.step_mm / 2 + 1e-6


@settings(max_examples=8)
@given(seed=_seeds)
def test_levels_follow_one_another_and_agree_with_their_severity(seed: int) -> None:
    patient = make_patient(seed)
    truths = [patient.levels[level] for level in LUMBAR_MRI.levels]
    heights = [truth.disc_centre[2] for truth in truths]
    assert heights == sorted(heights, reverse=True)
    for truth in truths:
        assert 2 < truth.sac_ap_mm < 22
        assert 12 < geometry.distance_mm(truth.disc_centre, truth.canal_centre) < 40
