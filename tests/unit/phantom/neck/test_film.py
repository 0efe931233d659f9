"""Films of a virtual neck: sums along rays, which foramina a view opens, mirror images, noise."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.phantom.neck import (
    FilmPlan,
    FilmProtocol,
    Narrowed,
    NeckPhantom,
    View,
    attenuation,
    make_neck,
    plan_film,
    take_film,
)
from stenograde.phantom.neck.film import FULL_SCALE, expose
from stenograde.phantom.neck.views import beam_of
from stenograde.phantom.neck.volume import Lattice, Volume, ray_sums
from stenograde.terms import CERVICAL_XRAY, Level, Severity, Side

_STEADY = FilmProtocol(turn_error_deg=0.0, tilt_error_deg=0.0, roll_error_deg=0.0)
_SMALL = FilmProtocol(rows=200, columns=160, pixel_mm=1.1)
_SIDES = {View.RPO: Side.LEFT, View.LPO: Side.RIGHT, View.RAO: Side.RIGHT, View.LAO: Side.LEFT}


def _neck(seed: int, narrowed: Narrowed) -> NeckPhantom:
    every = {(level, side): narrowed for level in CERVICAL_XRAY.levels for side in Side}
    return make_neck(seed, foramina=every)


@pytest.fixture(scope="module")
def wide() -> NeckPhantom:
    return _neck(2, Narrowed(Severity.NORMAL_MILD, 0.0))


def _plan(view: View, protocol: FilmProtocol = _STEADY, seed: int = 0) -> FilmPlan:
    return plan_film(view, protocol, np.random.default_rng(seed))


@pytest.mark.parametrize("turn_deg", [0.0, 33.0, -45.0, 90.0, 135.0])
def test_sums_through_a_ball_are_its_chords(turn_deg: float) -> None:
    """The projection of a ball is 2 √(r² - d²), from wherever the rays come."""
    lattice = Lattice.over(np.array([-15.0, -18.0, -14.0]), np.array([15.0, 12.0, 16.0]), 0.5)
    x, y, z = np.meshgrid(*(lattice.axis(k) for k in range(3)), indexing="ij")
    distance = np.sqrt(x**2 + (y + 3) ** 2 + (z - 1) ** 2) - 9.0
    volume = Volume(lattice, np.clip(0.5 - distance / 0.5, 0, 1).astype(np.float32))
    beam = beam_of(View.AP, np.array([0.0, -3.0, 1.0]), turn_deg=turn_deg, tilt_deg=0.0)
    sums = ray_sums(volume, beam, across_mm=12.0, up_mm=12.0)
    across, up = (at + np.arange(n) * sums.step_mm for at, n in zip(
        (sums.across_mm, sums.up_mm), sums.values.shape, strict=True))  # fmt: skip
    off = np.hypot(across[:, None], up[None, :])
    chord = 2 * np.sqrt(np.maximum(9.0**2 - off**2, 0))
    inner = off < 8.3
    np.testing.assert_allclose(sums.values[inner], chord[inner], atol=0.35)
    assert sums.values.sum() * sums.step_mm**2 == pytest.approx(4 / 3 * np.pi * 9.0**3, rel=0.01)


def test_tilted_rays_cross_a_slab_on_a_longer_way() -> None:
    lattice = Lattice.over(np.array([-20.0, -6.0, -20.0]), np.array([20.0, 6.0, 20.0]), 1.0)
    inside = np.abs(lattice.axis(1)) <= 5
    values = np.broadcast_to(inside[None, :, None], lattice.shape).astype(np.float32)
    beam = beam_of(View.AP, np.zeros(3), turn_deg=0.0, tilt_deg=15.0)
    sums = ray_sums(Volume(lattice, values.copy()), beam, across_mm=5.0, up_mm=5.0)
    np.testing.assert_allclose(sums.values, 11 / np.cos(np.deg2rad(15)), rtol=1e-5)


@pytest.mark.parametrize(("view", "side"), _SIDES.items())
def test_an_oblique_opens_the_foramina_of_the_side_that_it_shows(
    wide: NeckPhantom, view: View, side: Side
) -> None:
    """Its own foramina are darker than the bone around them; those of the other side are not to be seen."""
    assert view.foramina is side
    sums, plan = attenuation(wide, _plan(view)), _plan(view)
    shown = [_depth(wide, sums, plan, (level, side)) for level in CERVICAL_XRAY.levels[1:5]]
    other = next(s for s in Side if s is not side)
    hidden = [_depth(wide, sums, plan, (level, other)) for level in CERVICAL_XRAY.levels[1:5]]
    assert min(shown) > 0.12
    assert np.mean(shown) > np.mean(hidden) + 0.15


def _depth(neck: NeckPhantom, sums: np.ndarray, plan: FilmPlan, where: tuple[Level, Side]) -> float:
    """How much less the middle of a foramen attenuates than the ring of bone around it."""
    truth = neck.foramina[where]
    row, column = plan.index(np.array(truth.centre))
    pixel = plan.protocol.patient_pixel_mm
    rows, columns = np.indices(sums.shape)
    across, up = (columns - column) * pixel, (rows - row) * pixel
    root = np.hypot(across / 3.0, up / (truth.height_mm / 2))
    rim = (root > 1.15) & (root < 1.6)
    return float(np.median(sums[rim]) - np.median(sums[root < 0.5]))


def test_a_narrower_foramen_shows_a_smaller_opening() -> None:
    """Monotonic: the dark area around the foramen shrinks as its width does."""
    where, view = (Level.C4_C5, Side.LEFT), View.RPO
    steps = [
        Narrowed(Severity.NORMAL_MILD, 0.0),
        Narrowed(Severity.MODERATE, 0.2),
        Narrowed(Severity.SEVERE, 0.1),
        Narrowed(Severity.SEVERE, 1.0),
    ]
    openings, widths = [], []
    for narrowed in steps:
        neck = _one(where, narrowed)
        plan = _plan(view)
        sums = attenuation(neck, plan)
        row, column = plan.index(np.array(neck.foramina[where].centre))
        pixel = plan.protocol.patient_pixel_mm
        rows, columns = np.indices(sums.shape)
        near = np.hypot((columns - column) * pixel / 3.2, (rows - row) * pixel / 4.0) < 1
        openings.append(float(sums[near].mean()))
        widths.append(neck.foramina[where].width_mm)
    assert widths == sorted(widths, reverse=True)
    # less opening, more bone in the rays' way
    assert openings == sorted(openings)
    assert openings[-1] - openings[0] > 0.05


def _one(where: tuple[Level, Side], narrowed: Narrowed) -> NeckPhantom:
    every = {
        (level, side): Narrowed(Severity.NORMAL_MILD, 0.0) for level in CERVICAL_XRAY.levels for side in Side
    }
    return make_neck(6, foramina=every | {where: narrowed})


def test_a_mirrored_patient_gives_the_mirrored_film(wide: NeckPhantom) -> None:
    centre = np.array([0.0, 3.0, 1.0])

    def sums(neck: NeckPhantom, view: View) -> np.ndarray:
        plan = _plan(view)
        beam = beam_of(view, centre, turn_deg=view.turn_deg, tilt_deg=view.tilt_deg)
        head = 0.5 if view is View.LPO else -0.5
        return attenuation(neck, FilmPlan(**{**vars(plan), "beam": beam, "head_turn_rad": head}))

    ours, theirs = sums(wide, View.RPO), sums(wide.mirrored(), View.RPO.mirrored)
    np.testing.assert_allclose(theirs[:, ::-1], ours, atol=2e-3)


def test_points_are_shown_where_the_film_says(wide: NeckPhantom) -> None:
    """A dense bead painted at a foramen's middle appears at the row and column that its plan gives."""
    plan = _plan(View.LPO, FilmProtocol(), seed=5)
    truth = wide.foramina[Level.C6_C7, Side.RIGHT]
    lattice = wide.spine.lattice
    at = np.rint((np.array(truth.centre) - lattice.origin_mm) / lattice.step_mm).astype(int)
    bead = np.zeros(lattice.shape, np.float32)
    bead[tuple(at)] = 50.0
    marked = _with_spine(wide, Volume(lattice, wide.spine.values + bead))
    difference = attenuation(marked, plan) - attenuation(wide, plan)
    row, column = np.unravel_index(difference.argmax(), difference.shape)
    assert plan.index(np.array(truth.centre)) == pytest.approx((row, column), abs=1.5)


def _with_spine(neck: NeckPhantom, spine: Volume) -> NeckPhantom:
    other = NeckPhantom(neck.seed, neck.anatomy)
    vars(other).update({"spine": spine, "body": neck.body, "head": neck.head})
    return other


def test_film_is_the_same_for_the_same_seed_and_noise_grows_with_less_exposure(wide: NeckPhantom) -> None:
    plan = _plan(View.LATERAL, _SMALL)
    sums = attenuation(wide, plan)
    films = [expose(sums, plan, np.random.default_rng(seed)).astype(float) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(films[0], films[1])
    assert films[0].max() <= FULL_SCALE
    dim = FilmPlan(**{**vars(plan), "exposure": plan.exposure / 16})
    dims = [expose(sums, dim, np.random.default_rng(seed)).astype(float) for seed in (1, 2)]
    assert np.std(dims[0] - dims[1]) > 2 * np.std(films[0] - films[2])


def test_shoulders_hide_the_lower_levels_on_the_lateral_film(wide: NeckPhantom) -> None:
    plan = _plan(View.LATERAL)
    sums = attenuation(wide, plan)
    levels = (Level.C3_C4, Level.C7_T1)
    upper, lower = (
        sums[tuple(round(k) for k in plan.index(np.array(wide.foramina[level, Side.LEFT].centre)))]
        for level in levels
    )
    assert lower > upper + 0.5


def test_patient_faces_right_on_a_left_lateral_and_collimated_edges_are_black(wide: NeckPhantom) -> None:
    plan = _plan(View.LATERAL, FilmProtocol())
    front, back = (plan.index(np.array([0.0, y, 0.0]))[1] for y in (-30.0, 40.0))
    assert front > back
    tight = FilmPlan(**{**vars(plan), "collimated_mm": (120.0, 180.0)})
    film = take_film(wide, tight, np.random.default_rng(0))
    assert film[0].max() == film[:, 0].max() == 0
    assert film[256, 208] > 0


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="sizes and distances above 0"):
        FilmProtocol(rows=0)
    with pytest.raises(ValueError, match="scatter a share below 1"):
        FilmProtocol(scatter=1.0)
    with pytest.raises(ValueError, match="frontal or oblique"):
        _ = View.LATERAL.mirrored
