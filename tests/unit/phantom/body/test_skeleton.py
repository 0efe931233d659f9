"""The arches of a virtual patient: distances against exact ones, angles and heights against those of real bones."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.phantom import make_patient
from stenograde.phantom.body.bones import FAR_MM, Cones, Part, add_cones, distance_of, measured_arch, turned
from stenograde.phantom.body.canal import canal_room
from stenograde.phantom.body.canvas import Points
from stenograde.phantom.body.column import wall_behind
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.paint import paint
from stenograde.phantom.body.tissues import Tissue
from stenograde.terms import LUMBAR_MRI, Level, Severity

HEALTHY = dict.fromkeys(LUMBAR_MRI.cells, Severity.NORMAL_MILD)


def test_distance_to_a_ball_and_to_a_capsule_is_exact() -> None:
    axis = np.arange(-20, 20.5, 0.5, dtype=np.float32)
    behind, up = np.meshgrid(axis, axis)
    for ends in (((0, 1, 2), (0, 1, 2)), ((-3, 0, -6), (2, 4, 5))):
        field = np.zeros((len(axis), len(axis), len(axis)), np.float32)
        add_cones(field, axis, behind, up, Cones((Part.PARS,), np.array([ends], float), np.full((1, 2), 4.0)))
        got = distance_of(field)
        points = np.stack(
            [np.broadcast_to(one, got.shape) for one in (axis[:, None], behind[:, None], up[:, None])]
        )
        start, way = np.array(ends[0], float), np.subtract(ends[1], ends[0]).astype(float)
        off = points - start[:, None, None, None]
        along = np.clip(np.tensordot(way, off, 1) / max(way @ way, 1e-9), 0, 1)
        exact = np.linalg.norm(off - along * way[:, None, None, None], axis=0) - 4.0
        near = exact < 2
        assert np.abs(got - exact)[near].max() < 0.15
        assert got[exact > FAR_MM].min() > FAR_MM - 1.2


def test_turning_a_joint_keeps_its_place_and_size() -> None:
    points = np.array([[10.0, 20.0, 5.0], [14.0, 23.0, -5.0]])
    middle = points.mean(axis=0)
    got = turned(points, middle, np.pi / 2)
    np.testing.assert_allclose(got.mean(axis=0), middle)
    np.testing.assert_allclose(got[0] - middle, [1.5, -2.0, 5.0], atol=1e-12)


def test_every_arch_has_its_parts() -> None:
    for name in ("L1", "L2", "L3", "L4", "L5"):
        assert set(measured_arch(name).parts) == set(Part)
    assert set(measured_arch("S1").parts) == {Part.SUPERIOR, Part.PEDICLE}
    with pytest.raises(KeyError):
        measured_arch("C3")


@pytest.mark.parametrize(
    ("level", "angle_deg"), [(Level.L2_L3, 30.0), (Level.L3_L4, 35.0), (Level.L4_L5, 48.0)]
)
def test_facet_joints_are_turned_like_those_of_patients(level: Level, angle_deg: float) -> None:
    found = []
    for seed in range(6):
        patient = make_patient(seed, cells=HEALTHY)
        skeleton, way = patient.scene.skeleton, _disc(patient.anatomy, level)
        left, behind = (one.ravel() for one in np.meshgrid(np.arange(5, 34, 0.5), np.arange(15, 60, 0.5)))
        field = skeleton.at(np.full(left.shape, way + 1, np.float32), left, behind)
        joint = np.stack([left, behind])[:, (field.joint < 3.5) & (field.bone > 0.2)]
        assert joint.shape[1] > 8
        (across, along), *_ = np.linalg.svd(joint - joint.mean(axis=1, keepdims=True))[0].T
        found.append(np.degrees(np.arctan2(abs(across), abs(along))))
    assert np.mean(found) == pytest.approx(angle_deg, abs=11)  # means of 87 patients, to the sagittal plane


def test_foramina_are_as_high_as_measured_ones() -> None:
    """Stephens, Evans and Gilbert, Spine 1991;16:S525: 11 to 19 mm; the measured bones: 12 to 20 mm."""
    for level in LUMBAR_MRI.levels[:4]:
        heights = []
        for seed in range(4):
            patient = make_patient(seed, cells=HEALTHY)
            anatomy, skeleton = patient.anatomy, patient.scene.skeleton
            k = anatomy.disc_of(level)
            way = np.arange(anatomy.disc_mm[k] - 16, anatomy.disc_mm[k] + 28, 0.25, dtype=np.float32)
            aside = float(anatomy.foramen_mm[k + 1])
            sla = np.stack([way, np.full_like(way, aside), np.full_like(way, 20)], axis=1)
            wall = wall_behind(Points.of(anatomy, anatomy.curve.to_body(sla).T.astype(np.float32)))
            bone = skeleton.at(way, np.full_like(way, aside), wall + 3).bone
            middle = int(np.argmin(np.abs(way - anatomy.disc_mm[k] - 6)))
            above, below = np.flatnonzero(bone[middle:] < 0), np.flatnonzero(bone[:middle] < 0)
            heights.append(float(way[middle + above[0]] - way[below[-1]]))
        assert 11 < np.mean(heights) < 21


def test_bone_leaves_the_canal_and_its_recesses_free() -> None:
    patient = make_patient(5, cells=HEALTHY)
    anatomy = patient.anatomy
    signals = np.zeros(len(Tissue), np.float32)
    signals[[Tissue.CORTEX, Tissue.MARROW]] = 1
    for level in LUMBAR_MRI.levels:
        left, behind = np.meshgrid(np.arange(-14, 14, 0.5), np.arange(14, 50, 0.5))
        sla = np.stack([np.full(left.size, _disc(anatomy, level)), left.ravel(), behind.ravel()], axis=1)
        xyz = anatomy.curve.to_body(sla).T.astype(np.float32)
        free = canal_room(Points.of(anatomy, xyz), aside_mm=2.5) < -0.5
        assert free.sum() > 300
        assert paint(patient.scene, xyz, signals, texture=0.0)[free].max() < 0.5


def _disc(anatomy: object, level: Level) -> float:
    return float(anatomy.disc_mm[anatomy.disc_of(level)])  # type: ignore[attr-defined]


def test_sides_of_an_arch_differ_as_joints_do() -> None:
    bone: Array = make_patient(3, cells=HEALTHY).scene.skeleton.bone
    near = np.minimum(np.abs(bone), np.abs(bone[:, ::-1])) < 2
    differ = np.abs(bone - bone[:, ::-1])[near].mean()
    assert 0.02 < differ < 1.0
