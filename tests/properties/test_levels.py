"""Properties of the levels: rigid motions, mirrored patients, intensities, and the canal model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spine_marks import Spine, turned

from stenograde import geometry
from stenograde.grades import Measurement
from stenograde.levels.canal_model import CanalModel
from stenograde.levels.marked import MarkedVolume
from stenograde.levels.measure import measure_canal
from stenograde.levels.points import LevelPoint, LevelPoints, find_levels
from stenograde.terms import Level, Quantity, Side

SPINE = Spine(diameters={"L4/L5": 7.0}, scoliosis_mm=5.0)
MODEL = CanalModel()

angles = st.tuples(*[st.floats(-35, 35)] * 3)
offsets = st.tuples(*[st.floats(-500, 500)] * 3)
values = {
    Quantity.CANAL_AP_DIAMETER: st.floats(0, 30),
    Quantity.CANAL_AP_RATIO: st.floats(0, 2),
    Quantity.CSF_SIGNAL_RATIO: st.floats(0, 2),
    Quantity.DURAL_SAC_AREA: st.floats(0, 400),
}
findings = st.fixed_dictionaries(values)


@lru_cache(maxsize=1)
def marked() -> MarkedVolume:
    return SPINE.marked()


@lru_cache(maxsize=1)
def plain() -> LevelPoints:
    points = find_levels(marked())
    assert points is not None
    return points


def found(affine: np.ndarray) -> LevelPoints:
    points = find_levels(MarkedVolume(affine, marked().probabilities, marked().heat))
    assert points is not None
    return points


def all_points(point: LevelPoint, sides: tuple[Side, Side] = (Side.LEFT, Side.RIGHT)) -> np.ndarray:
    beside = [of_side[side] for side in sides for of_side in (point.foramina, point.recesses)]
    return np.array([point.disc_centre, point.canal_centre, *beside])


@settings(max_examples=8)
@given(angles, offsets)
def test_points_move_with_the_patient(degrees, offset):
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turned(degrees), offset
    moved = found(motion @ marked().affine)

    assert moved.levels.keys() == plain().levels.keys()
    for level, point in plain().levels.items():
        expected = all_points(point) @ motion[:3, :3].T + motion[:3, 3]
        np.testing.assert_allclose(all_points(moved.levels[level]), expected, atol=1e-6)
    before, after = measure_canal(plain(), None), measure_canal(moved, None)
    assert [round(one.value, 6) for one in before] == [round(one.value, 6) for one in after]


@settings(max_examples=5)
@given(angles, offsets)
def test_a_mirrored_patient_has_left_and_right_exchanged(degrees, offset):
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = turned(degrees), offset
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    straight, mirrored = found(motion @ marked().affine), found(mirror @ motion @ marked().affine)

    for level, point in straight.levels.items():
        expected = all_points(point) * [-1, 1, 1]
        found_here = all_points(mirrored.levels[level], (Side.RIGHT, Side.LEFT))
        np.testing.assert_allclose(found_here, expected, atol=1e-6)
        assert mirrored.levels[level].left[0] > 0


@settings(max_examples=10)
@given(st.floats(0.01, 50), st.floats(-1000, 1000))
def test_signal_ratio_ignores_offset_and_scale(scale, offset):
    rng = np.random.default_rng(3)
    canal = marked().probabilities[:, 3]
    picture = (canal * 200 + rng.normal(40, 5, canal.shape)).astype(np.float32)

    first = measure_canal(plain(), picture)
    second = measure_canal(plain(), (picture.astype(np.float64) * scale + offset).astype(np.float32))

    for one, other in zip(first, second, strict=True):
        assert abs(one.value - other.value) < 0.01


def test_points_are_carried_into_any_other_grid_through_patient_space():
    point = plain().levels[Level.L3_L4].canal_centre
    other = SPINE.affine(turned((20, 10, -5)), (30.0, 20.0, 10.0))

    index = geometry.to_index(other, [point])
    np.testing.assert_allclose(geometry.to_patient(other, index)[0], point, atol=1e-9)


def measurements(of: dict[Quantity, float]) -> tuple[Measurement, ...]:
    return tuple(Measurement(quantity, Level.L4_L5, value, ()) for quantity, value in of.items())


@given(st.floats(-5, 5))
def test_probabilities_sum_to_one_and_are_none_below_nought(narrowing):
    probabilities = MODEL.probabilities(narrowing)

    assert abs(sum(probabilities) - 1) < 1e-9
    assert min(probabilities) >= 0


@given(findings, st.sampled_from(sorted(values)), st.floats(0, 50))
def test_a_narrower_measurement_never_makes_a_level_less_severe(finding, name, less):
    narrower = {**finding, name: finding[name] - less}
    before = MODEL.probabilities(MODEL.narrowing(measurements(finding)))
    after = MODEL.probabilities(MODEL.narrowing(measurements(narrower)))

    assert after[0] <= before[0] + 1e-12
    assert after[2] >= before[2] - 1e-12


@given(findings, st.permutations(sorted(values)))
def test_the_order_of_measurements_does_not_matter(finding, order):
    shuffled = {name: finding[name] for name in order}

    assert abs(MODEL.narrowing(measurements(finding)) - MODEL.narrowing(measurements(shuffled))) < 1e-12


@given(findings, st.sets(st.sampled_from(sorted(values))))
def test_it_abstains_just_where_the_known_weight_is_too_little(finding, absent):
    known = {name: value for name, value in finding.items() if name not in absent}
    weight = sum(MODEL.scales[name].weight for name in known)

    assert (MODEL.narrowing(measurements(known)) is None) == (weight < MODEL.min_weight)
