"""The slice that shows a point: of the right volume, the nearest one, with the right pixel."""

from __future__ import annotations

import numpy as np
import pytest
from tests.plain_volumes import series_of, volume_of
from tests.spine_marks import turned

from stenograde import geometry
from stenograde.levels.slices import slice_through
from stenograde.study import Volume
from stenograde.terms import Role


def axial(
    *, middle=(0.0, 0.0, 0.0), tilt_deg: float = 0.0, n: int = 5, step_mm: float = 4.0, root: str = "2.25.7"
) -> Volume:
    """Stack of 21 by 31 pixels of 2 mm, tilted about x."""
    affine = np.eye(4)
    affine[:3, :3] = (
        turned((tilt_deg, 0, 0)) @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) @ np.diag([step_mm, 2, 2])
    )
    affine[:3, 3] = np.asarray(middle) - affine[:3, :3] @ [(n - 1) / 2, 10, 15]
    return volume_of(np.zeros((n, 21, 31)), affine, root)


UP = np.array([0.0, 0.0, 1.0])


def test_the_nearest_slice_is_taken_with_its_pixel():
    volume = axial()
    point = tuple(geometry.to_patient(volume.affine, [[3.2, 4.5, 20.25]])[0])

    seen = slice_through(series_of(volume), point)

    assert (seen.slice, seen.row, seen.column) == (3, pytest.approx(4.5), pytest.approx(20.25))
    assert seen.away_mm == pytest.approx(0.2 * 4)
    assert seen.volume is volume


def test_of_several_stacks_the_one_across_is_taken():
    straight, tilted = axial(root="2.25.8"), axial(tilt_deg=20, step_mm=1.0, root="2.25.9")
    series = series_of(straight, tilted, role=Role.AXIAL_T2)
    point = (1.0, 2.0, 1.8)
    across = turned((20, 0, 0)) @ UP

    assert slice_through(series, point, UP).volume is straight
    assert slice_through(series, point, across).volume is tilted
    assert slice_through(series, point, -across).volume is tilted, "a normal has no sense"
    assert slice_through(series, point).volume is tilted, "the nearest slice without a wish"


def test_of_stacks_alike_the_nearer_slice_is_taken():
    far, near = axial(root="2.25.8"), axial(middle=(0, 0, 1.5), root="2.25.9")

    assert slice_through(series_of(far, near), (0.0, 0.0, 1.6), UP).volume is near


@pytest.mark.parametrize(
    ("index", "is_seen"),
    [
        ((-0.7, 10, 10), True),
        ((-0.8, 10, 10), False),
        ((4.7, 10, 10), True),
        ((4.8, 10, 10), False),
        ((2, -0.4, 10), True),
        ((2, -0.6, 10), False),
        ((2, 10, 30.4), True),
        ((2, 10, 30.6), False),
    ],
)
def test_a_point_beside_the_volume_is_not_shown(index, is_seen):
    volume = axial()
    point = tuple(geometry.to_patient(volume.affine, [index])[0])

    seen = slice_through(series_of(volume), point)

    assert (seen is not None) == is_seen
    if seen is not None:
        assert 0 <= seen.slice <= 4


def test_no_stack_covers_the_point():
    series = series_of(axial(), axial(tilt_deg=10))

    assert slice_through(series, (0.0, 0.0, 500.0)) is None
    assert slice_through(series, (0.0, 0.0, 500.0), UP) is None


def test_distance_is_to_the_plane_when_slices_are_sheared():
    affine = axial().affine.copy()
    affine[:3, 0] = (0.0, 3.0, 4.0)  # slices step backwards, too
    volume = volume_of(np.zeros((5, 21, 31)), affine)
    point = tuple(geometry.to_patient(affine, [[2.25, 10, 10]])[0])

    assert slice_through(series_of(volume), point).away_mm == pytest.approx(0.25 * 4)


def test_evidence_names_instance_and_pixel():
    volume = axial()
    series = series_of(volume, uid="2.25.123")
    point = tuple(geometry.to_patient(volume.affine, [[1, 3, 5]])[0])

    evidence = slice_through(series, point).evidence(series)

    assert (evidence.series_uid, evidence.sop_instance_uid, evidence.frame) == ("2.25.123", "2.25.7.1", 0)
    assert (evidence.row, evidence.column) == (pytest.approx(3), pytest.approx(5))
