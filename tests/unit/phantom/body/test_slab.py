"""Slices of some thickness: the spine is averaged over planes, soft tissue lies in the middle one."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.images.lattice import Grid
from stenograde.phantom import Phantom, Protocol, make_patient, plan_study
from stenograde.phantom.body.canvas import Noise, Points
from stenograde.phantom.body.paint import THIN, Slab, paint
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.acquisition import SeriesPlan
from stenograde.phantom.scanner.receiver import sample_points
from stenograde.phantom.scanner.render import slab_of
from stenograde.terms import Role

_SIGNALS = np.linspace(0, 1, len(Tissue), dtype=np.float32)


@pytest.fixture(scope="module")
def patient() -> Phantom:
    return make_patient(12)


def _plan(patient: Phantom, role: Role) -> SeriesPlan:
    protocol = Protocol(sagittal_matrix=96, sagittal_slices=3, axial_matrix=96, axial_slices_per_level=1)
    return next(plan for plan in plan_study(patient, protocol) if plan.role is role)


def _painted(patient: Phantom, xyz: Grid, slab: Slab) -> Grid:
    return paint(patient.scene, xyz, _SIGNALS, texture=0.0, slab=slab)


@pytest.mark.parametrize("role", [Role.SAGITTAL_T1, Role.AXIAL_T2])
def test_the_column_is_averaged_over_the_planes_of_a_slice(patient: Phantom, role: Role) -> None:
    plane = _plan(patient, role).planes[1]
    xyz, slab = sample_points(patient, plane), slab_of(patient, plane, 3)
    thick = _painted(patient, xyz, slab)
    planes = [(_painted(patient, one, THIN), weight) for one, weight in slab.planes(xyz)]
    wanted = sum(weight * picture for picture, weight in planes)
    points = Points.of(patient.scene.anatomy, xyz)
    column = (points.aside < 14) & (np.abs(points.behind) < 10) & (points.s > 20)
    assert column.sum() > 100
    assert np.ptp([picture[column] for picture, _ in planes], axis=0).max() > 0.02
    np.testing.assert_allclose(thick[column], wanted[column], atol=1e-5)


def test_planes_lie_across_the_slice_whichever_way_the_patient_lies(patient: Phantom) -> None:
    plane = _plan(patient, Role.AXIAL_T2).planes[0]
    xyz, slab = sample_points(patient, plane), slab_of(patient, plane, 3)
    (first, _), _, (last, _) = slab.planes(xyz)
    moved = (last - first).T[:5] @ patient.turn.T
    reach = np.ptp(slab.depths_mm)
    np.testing.assert_allclose(moved, np.tile(reach * plane.normal, (5, 1)), atol=1e-3)


def test_soft_tissue_is_that_of_the_plane_of_the_points(patient: Phantom) -> None:
    plane = _plan(patient, Role.AXIAL_T2).planes[1]
    xyz = sample_points(patient, plane)
    points = Points.of(patient.scene.anatomy, xyz)
    soft = (points.behind < -45) | (points.aside > 60)
    assert soft.sum() > 100
    thick, thin = (_painted(patient, xyz, slab) for slab in (slab_of(patient, plane, 3), THIN))
    np.testing.assert_array_equal(thick[soft], thin[soft])


@pytest.mark.parametrize("grain_mm", [0.9, 2.2, 7.0])
def test_a_texture_averaged_over_a_slice_is_as_weak_as_said(grain_mm: float) -> None:
    depths, weights = np.array([-1.7, 0.0, 1.7]), np.array([0.28, 0.44, 0.28])
    noise = Noise(3, 0, grain_mm, smooth=5.0, size=128)
    xyz = np.random.default_rng(1).uniform(-400, 400, (3, 40_000)).astype(np.float32)
    slab = Slab(np.array([0.0, 0.0, 1.0]), depths, weights)
    averaged = sum(weight * noise.at(*plane) for plane, weight in slab.planes(xyz))
    assert slab.kept_of(noise) == pytest.approx(averaged.std() / noise.at(*xyz).std(), rel=0.04)
    assert THIN.kept_of(noise) == 1
