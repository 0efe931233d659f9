"""Measurements are those of the spine that was made, and each lies between the points it names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.spine_marks import CANAL_MM, DISC_HEIGHT_MM, DISC_ROWS_MM, GRID_MM, Spine

from stenograde import geometry
from stenograde.grades import Measurement
from stenograde.levels.marked import MarkedVolume
from stenograde.levels.measure import canal_profile, measure_canal
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.terms import LUMBAR_MRI, Level, Quantity, Structure, Unit

TOLERANCE_MM = 0.4
WITHOUT_SIGNAL = [
    Quantity.CANAL_AP_DIAMETER,
    Quantity.CANAL_AP_DIAMETER_ABOVE,
    Quantity.CANAL_AP_DIAMETER_BELOW,
    Quantity.CANAL_AP_RATIO,
    Quantity.DISC_HEIGHT,
]


def by_quantity(measurements: tuple[Measurement, ...], level: Level) -> dict[Quantity, Measurement]:
    return {one.quantity: one for one in measurements if one.level is level}


def fluid(points: LevelPoints, dimmed: dict[str, float]) -> np.ndarray:
    """Pictures whose canal is bright, but dimmed around discs to a share of its signal."""
    marked = points.surface.marked
    rows_mm = np.arange(marked.size[1]) * GRID_MM
    signal = np.full(rows_mm.shape, 300.0)
    for name, share in dimmed.items():
        signal[np.abs(rows_mm - DISC_ROWS_MM[name]) < 8] *= share
    canal = marked.probabilities[:, Structure.CANAL.code] > 0.1
    return np.where(canal, signal[:, None], 0.0).astype(np.float32)


@pytest.fixture(scope="module")
def measured(narrow_points) -> tuple[Measurement, ...]:
    return measure_canal(narrow_points, None)


def test_every_level_has_every_measurement_but_the_signal(measured):
    for level in LUMBAR_MRI.levels:
        assert list(by_quantity(measured, level)) == WITHOUT_SIGNAL


def test_diameters_are_those_that_were_made(measured, narrow):
    for level in LUMBAR_MRI.levels:
        found = by_quantity(measured, level)
        made = narrow.diameters.get(level.shown, CANAL_MM)
        assert found[Quantity.CANAL_AP_DIAMETER].value == pytest.approx(made, abs=TOLERANCE_MM)
        for beside in ("above", "below"):
            assert found[Quantity(f"canal_ap_diameter_{beside}")].value == pytest.approx(
                CANAL_MM, abs=TOLERANCE_MM
            )
        assert found[Quantity.CANAL_AP_RATIO].value == pytest.approx(made / CANAL_MM, abs=0.03)
        assert found[Quantity.DISC_HEIGHT].value == pytest.approx(DISC_HEIGHT_MM, abs=0.5)


def test_a_round_canal_is_measured_in_its_middle():
    """Its neighbours in the stack of slices are shallower, and must not make it so."""
    spine = Spine(diameters={"L4/L5": 9.0}, flatness=2.0)
    points = find_levels(spine.marked())
    for level in LUMBAR_MRI.levels:
        found = by_quantity(measure_canal(points, None), level)[Quantity.CANAL_AP_DIAMETER].value
        assert found == pytest.approx(spine.diameters.get(level.shown, CANAL_MM), abs=TOLERANCE_MM)


def test_a_canal_that_tapers_is_measured_at_the_disc_and_not_below_it():
    taper = 0.15
    points = find_levels(Spine(taper=taper).marked())
    found = by_quantity(measure_canal(points, None), Level.L5_S1)
    at_disc = CANAL_MM - taper * (DISC_ROWS_MM["L5/S1"] - DISC_ROWS_MM["L4/L5"])
    assert found[Quantity.CANAL_AP_DIAMETER].value == pytest.approx(at_disc, abs=TOLERANCE_MM)
    assert found[Quantity.CANAL_AP_RATIO].value == pytest.approx(1.0, abs=0.06)


def test_points_of_a_length_lie_that_far_apart(measured):
    for one in measured:
        if one.quantity.unit is Unit.MM:
            assert geometry.distance_mm(*one.points) == pytest.approx(one.value, abs=0.02), one.quantity


def test_in_a_scoliosis_points_lie_hardly_further_apart_than_the_value():
    points = find_levels(Spine(scoliosis_mm=8.0).marked())

    for one in measure_canal(points, None):
        if one.quantity.unit is Unit.MM:
            assert geometry.distance_mm(*one.points) == pytest.approx(one.value, rel=0.05), one.quantity


def test_a_ratio_has_the_points_of_its_diameter(measured):
    found = by_quantity(measured, Level.L4_L5)

    assert found[Quantity.CANAL_AP_RATIO].points == found[Quantity.CANAL_AP_DIAMETER].points


def test_the_front_wall_comes_first_and_the_disc_is_measured_from_above(measured):
    for one in measured:
        if one.quantity is Quantity.DISC_HEIGHT:
            assert one.points[0][2] > one.points[1][2]
        else:
            assert one.points[0][1] < one.points[1][1]


def test_neighbours_are_measured_at_mid_vertebral_heights(measured, narrow_points):
    found = by_quantity(measured, Level.L3_L4)
    heights = {
        name: geometry.to_index(
            narrow_points.surface.marked.affine, np.mean(found[name].points, axis=0)[None]
        )[0, 1]
        * GRID_MM
        for name in (Quantity.CANAL_AP_DIAMETER_ABOVE, Quantity.CANAL_AP_DIAMETER_BELOW)
    }

    assert heights[Quantity.CANAL_AP_DIAMETER_ABOVE] == pytest.approx(
        (DISC_ROWS_MM["L3/L4"] + DISC_ROWS_MM["L2/L3"]) / 2, abs=5
    )
    assert heights[Quantity.CANAL_AP_DIAMETER_BELOW] == pytest.approx(
        (DISC_ROWS_MM["L3/L4"] + DISC_ROWS_MM["L4/L5"]) / 2, abs=5
    )


def test_what_lies_beyond_the_image_is_left_out():
    points = find_levels(Spine(cut_below_mm=206.0).marked())
    found = by_quantity(measure_canal(points, None), Level.L5_S1)

    assert Quantity.CANAL_AP_DIAMETER in found
    assert Quantity.CANAL_AP_DIAMETER_BELOW not in found
    assert found[Quantity.CANAL_AP_RATIO].value == pytest.approx(1.0, abs=0.03)


def test_where_no_wall_is_seen_nothing_is_measured(narrow):
    marked = narrow.marked()
    probabilities = marked.probabilities.copy()
    rows = np.s_[
        round((DISC_ROWS_MM["L3/L4"] - 12) / GRID_MM) : round((DISC_ROWS_MM["L3/L4"] + 12) / GRID_MM)
    ]
    probabilities[:, Structure.CANAL.code, rows] = 0
    points = find_levels(MarkedVolume(marked.affine, probabilities, marked.heat))
    measured = measure_canal(points, None)

    assert Quantity.CANAL_AP_DIAMETER not in by_quantity(measured, Level.L3_L4)
    assert Quantity.CANAL_AP_RATIO not in by_quantity(measured, Level.L3_L4)
    assert Quantity.CANAL_AP_RATIO in by_quantity(measured, Level.L4_L5)


@pytest.mark.parametrize("lost", [(), (1, 2), (5, 6), (0, 1)])
def test_where_the_middle_of_the_canal_was_not_acquired_its_depth_is_not_measured(narrow, lost):
    """The middle lies on or beside a slice that was made up."""
    marked = narrow.marked()
    middle = round(float(find_levels(marked).surface.slice_of_row.mean()))
    places = tuple(middle - 1 + place for place in lost) if lost == (1, 2) else lost
    points = find_levels(replace(marked, lost=places))
    found = by_quantity(measure_canal(points, None), Level.L4_L5)

    is_seen = middle not in places
    assert (Quantity.CANAL_AP_DIAMETER in found) == is_seen
    assert (Quantity.CANAL_AP_RATIO in found) == is_seen
    assert Quantity.DISC_HEIGHT in found
    assert np.isfinite(canal_profile(points).diameter_mm).any() == is_seen


def test_canal_that_is_not_believed_takes_no_level_away():
    """A patch of it on the first slice, 28 mm beside the canal."""
    marked = Spine(n_slices=15).marked()
    probabilities = marked.probabilities.copy()
    row = round(find_levels(marked).levels[Level.L3_L4].disc.centre[0])
    reach = round(20 / GRID_MM)
    probabilities[0, :, row - reach : row + reach, 40:100] = 0
    probabilities[0, Structure.CANAL.code, row - reach : row + reach, 40:100] = 1

    points = find_levels(MarkedVolume(marked.affine, probabilities, marked.heat))
    assert Quantity.CANAL_AP_DIAMETER in by_quantity(measure_canal(points, None), Level.L3_L4)
    assert points.acquired.all()


def test_slices_that_are_the_same_have_a_middle():
    marked = Spine(n_slices=11).marked()
    same = MarkedVolume(
        marked.affine, np.repeat(marked.probabilities[5:6], 3, axis=0), np.repeat(marked.heat[5:6], 3, axis=0)
    )
    assert find_levels(same).acquired.all()


@pytest.mark.parametrize("marks_them", [True, False])
def test_lost_slices_that_hold_the_middle_hide_it_whether_or_not_canal_is_marked_on_them(marks_them):
    marked = Spine(n_slices=15, aside_mm=4.0).marked()
    middle = round(float(find_levels(marked).surface.slice_of_row.mean()))
    probabilities = marked.probabilities.copy()
    lost = (middle - 2, middle - 1, middle)
    if not marks_them:
        probabilities[list(lost)] = 0
        probabilities[list(lost), 0] = 1
    points = find_levels(MarkedVolume(marked.affine, probabilities, marked.heat, lost=lost))
    assert points is not None
    assert not points.acquired[points.levels[Level.L4_L5].station]


def test_beside_the_first_or_last_slice_the_canal_is_not_measured(narrow):
    marked = narrow.marked()
    middle = round(float(find_levels(marked).surface.slice_of_row.mean()))
    for part in (slice(middle, None), slice(0, middle + 1)):
        half = MarkedVolume(marked.affine, marked.probabilities[part], marked.heat[part])
        points = find_levels(half)
        assert points is not None
        found = by_quantity(measure_canal(points, None), Level.L4_L5)
        assert Quantity.CANAL_AP_DIAMETER not in found


def test_a_guessed_disc_has_no_height():
    points = find_levels(Spine(heat={"L3/L4": 0.0}, unmarked=("L3/L4",)).marked())
    found = by_quantity(measure_canal(points, None), Level.L3_L4)

    assert Quantity.DISC_HEIGHT not in found
    assert Quantity.CANAL_AP_DIAMETER in found


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_signal_ratio_is_that_of_the_dimmed_canal(narrow_points, share):
    measured = measure_canal(narrow_points, fluid(narrow_points, {"L4/L5": share}))

    assert by_quantity(measured, Level.L4_L5)[Quantity.CSF_SIGNAL_RATIO].value == pytest.approx(
        share, abs=0.05
    )
    assert by_quantity(measured, Level.L2_L3)[Quantity.CSF_SIGNAL_RATIO].value == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 500.0), (7.5, 0.0), (0.02, -3.0)])
def test_signal_ratio_ignores_scale_and_offset_of_the_intensities(narrow_points, scale, offset):
    picture = fluid(narrow_points, {"L4/L5": 0.4, "L3/L4": 0.7})
    first = measure_canal(narrow_points, picture)
    second = measure_canal(narrow_points, picture * np.float32(scale) + np.float32(offset))

    for one, other in zip(first, second, strict=True):
        assert (one.quantity, one.level) == (other.quantity, other.level)
        assert other.value == pytest.approx(one.value, abs=1e-3)


def test_a_picture_without_signal_has_no_signal_ratio(narrow_points):
    nothing = np.full(narrow_points.surface.marked.size, 40.0, np.float32)

    assert all(one.quantity is not Quantity.CSF_SIGNAL_RATIO for one in measure_canal(narrow_points, nothing))


def test_profile_shows_the_narrow_places_at_their_levels(narrow_points, narrow):
    profile = canal_profile(narrow_points)

    assert [level for level, _ in profile.levels] == list(LUMBAR_MRI.levels)
    assert (np.diff([way for _, way in profile.levels]) > 25).all(), "from head to feet"
    for level, way in profile.levels:
        near = np.abs(profile.distance_mm - way) < 5
        made = narrow.diameters.get(level.shown, CANAL_MM)
        assert np.nanmin(profile.diameter_mm[near]) == pytest.approx(made, abs=TOLERANCE_MM)
    assert len(profile.centre) == len(profile.distance_mm) == len(profile.diameter_mm)
