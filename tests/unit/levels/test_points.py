"""Points of the levels lie in patient space where the spine was made, on the patient's own sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.spine_marks import GRID_MM, Spine, turned

from stenograde import geometry
from stenograde.levels.canal import STATION_MM
from stenograde.levels.discs import USUAL_BACK_MM
from stenograde.levels.foramina import FORAMEN_ASIDE_MM, FORAMEN_BACK_MM, FORAMEN_UP_MM
from stenograde.levels.marked import MarkedVolume
from stenograde.levels.points import (
    RECESS_ASIDE_MM,
    RECESS_BACK_MM,
    LevelPoints,
    disc_station,
    find_levels,
)
from stenograde.terms import LUMBAR_MRI, Level, Side, Structure


def found(spine: Spine, affine: np.ndarray | None = None) -> LevelPoints:
    points = find_levels(spine.marked(affine))
    assert points is not None
    return points


def behind_disc(spine: Spine, level: Level, affine: np.ndarray) -> np.ndarray:
    """Middle of the canal at the height of a disc, LPS mm."""
    return spine.to_patient(spine.line[spine.behind(level.shown)], affine)[0]


@pytest.mark.parametrize(
    ("spine", "canal_mm", "disc_mm"),
    [
        (Spine(), 2.0, 0.5),
        (Spine(aside_mm=1.4), 2.0, 1.0),
        (Spine(slice_mm=5.5, aside_mm=2.75), 2.0, 1.0),
        (Spine(scoliosis_mm=10.0), 3.0, 2.5),
    ],
    ids=["straight", "beside", "thick slices", "scoliosis"],
)
def test_centres_lie_where_they_were_made(spine, canal_mm, disc_mm):
    affine = spine.affine(turned((8.0, -6.0, 12.0)), (14.0, -60.0, 380.0))
    points = found(spine, affine)

    assert tuple(sorted(points.levels)) == LUMBAR_MRI.levels
    assert points.doubts == ()
    for level, point in points.levels.items():
        canal, disc = (
            behind_disc(spine, level, affine),
            spine.to_patient(spine.disc_middle(level.shown), affine),
        )
        assert geometry.distance_mm(point.canal_centre, canal) < canal_mm
        assert geometry.distance_mm(point.disc_centre, disc[0]) < disc_mm
        assert point.disc_centre == points.disc_centres[level.shown]


def test_frame_of_a_level_is_the_patients(narrow_points):
    for point in narrow_points.levels.values():
        frame = np.stack([point.left, point.back, point.up])
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
        assert point.left[0] > 0.99
        assert point.back[1] > 0.8
        assert point.up[2] > 0.8
        assert np.dot(np.subtract(point.canal_centre, point.disc_centre), point.back) > 15


def test_foramina_and_recesses_lie_beside_the_margin_at_the_stated_distances(narrow_points):
    for level, point in narrow_points.levels.items():
        margin = narrow_points.surface.to_patient(np.asarray(point.disc.margin))[0]
        for side, sense in ((Side.LEFT, 1), (Side.RIGHT, -1)):
            foramen = np.subtract(point.foramina[side], margin)
            recess = np.subtract(point.recesses[side], margin)
            assert foramen @ point.left == pytest.approx(sense * FORAMEN_ASIDE_MM[level])
            assert foramen @ point.up == pytest.approx(FORAMEN_UP_MM)
            assert foramen @ point.back == pytest.approx(FORAMEN_BACK_MM[level])
            assert recess @ point.left == pytest.approx(sense * RECESS_ASIDE_MM[level])
            assert recess @ point.back == pytest.approx(RECESS_BACK_MM)
            assert (point.foramina[side][0] > margin[0]) == (side is Side.LEFT), "x runs to the left"


def test_sides_do_not_depend_on_the_order_of_the_slices():
    spine = Spine(aside_mm=2.0)
    marked = spine.marked()
    affine = marked.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (marked.size[0] - 1)
    affine[:3, 0] *= -1
    backwards = find_levels(MarkedVolume(affine, marked.probabilities[::-1], marked.heat[::-1]))
    assert backwards is not None

    for level, point in found(spine).levels.items():
        other = backwards.levels[level]
        for side in Side:
            np.testing.assert_allclose(other.foramina[side], point.foramina[side], atol=0.2)
            np.testing.assert_allclose(other.recesses[side], point.recesses[side], atol=0.2)
        np.testing.assert_allclose(other.canal_centre, point.canal_centre, atol=0.2)
        np.testing.assert_allclose(other.disc_centre, point.disc_centre, atol=0.2)


def test_levels_above_the_field_are_not_imaged():
    points = found(Spine(cut_above_mm=75.0))
    positions = points.positions()

    assert [position.level for position in positions] == list(LUMBAR_MRI.levels)
    assert [position.imaged for position in positions] == [False, True, True, True, True]
    assert positions[0].point is None
    assert not positions[0].certain
    assert all(position.certain for position in positions[1:])


def test_doubtful_names_make_every_position_uncertain():
    positions = found(Spine(sacral={})).positions()

    assert all(position.imaged and not position.certain for position in positions)
    assert all(position.point is not None for position in positions)


def test_a_thoracic_disc_is_named_but_is_no_level(narrow_points):
    assert "T12/L1" in narrow_points.disc_centres
    assert set(narrow_points.levels) == set(LUMBAR_MRI.levels)


def test_a_guessed_disc_has_points_within_reason():
    spine = Spine(heat={"L3/L4": 0.0}, unmarked=("L3/L4",))
    affine = spine.affine()
    point = found(spine).levels[Level.L3_L4]

    assert point.disc.guessed
    assert geometry.distance_mm(point.canal_centre, behind_disc(spine, Level.L3_L4, affine)) < 6
    margin = np.asarray(point.disc.margin) - np.asarray(point.disc.centre)
    assert np.linalg.norm(margin) * GRID_MM == pytest.approx(USUAL_BACK_MM)


def test_disc_centre_does_not_jump_with_a_small_move_of_the_midline():
    """The window over the slices is symmetric, however the midline falls between them."""
    for aside_mm in (-0.01, 0.01, 1.0, 1.9):
        spine = Spine(aside_mm=aside_mm)
        for name, centre in found(spine).disc_centres.items():
            truth = spine.to_patient(spine.disc_middle(name), spine.affine())[0]
            assert abs(centre[0] - truth[0]) < 0.6, (aside_mm, name)


def test_a_disc_hardly_marked_has_its_centre_on_the_surface():
    spine = Spine(unmarked=("L2/L3",))
    points = found(spine)
    disc = next(one for one in points.chain.discs if one.name == "L2/L3")

    np.testing.assert_allclose(
        points.disc_centres["L2/L3"], points.surface.to_patient(np.asarray(disc.centre))[0], atol=1e-9
    )


def test_station_lies_behind_the_margin(narrow_points, narrow):
    canal = narrow_points.canal
    for disc in narrow_points.chain.discs:
        place = canal.centre[disc_station(disc, canal)] * GRID_MM
        truth = narrow.line[narrow.behind(disc.name)]
        assert np.linalg.norm(place - truth) < 2 + STATION_MM


def test_without_canal_or_discs_there_are_no_levels():
    spine = Spine()
    marked = spine.marked()
    probabilities = marked.probabilities.copy()
    probabilities[:, Structure.CANAL.code] = 0

    assert find_levels(MarkedVolume(marked.affine, probabilities, marked.heat)) is None
    assert find_levels(replace(marked, heat=np.zeros_like(marked.heat))) is None
