"""A virtual neck's answers agree with what its bones leave open, and with its cited dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from stenograde.phantom.neck import Foramen, Narrowed, Population, make_neck, severity_of_width
from stenograde.phantom.neck.anatomy import PlacedForamen
from stenograde.phantom.neck.bones import FRAME_MM, Field, bone_field
from stenograde.phantom.neck.foramen import ROOT_MM
from stenograde.phantom.neck.population import FORAMEN_HEIGHT_MM, FORAMEN_WIDTH_MM
from stenograde.phantom.neck.volume import Lattice
from stenograde.terms import CERVICAL_XRAY, Cell, Condition, Level, Severity, Side

_OPEN, _WORST = Narrowed(Severity.NORMAL_MILD, 0.0), Narrowed(Severity.SEVERE, 0.6)


@given(
    width=st.floats(4.0, 8.0),
    height=st.floats(6.0, 11.0),
    front=st.floats(0.0, 0.7),
    back=st.floats(0.0, 0.25),
)
def test_area_of_a_foramen_is_what_points_count(
    width: float, height: float, front: float, back: float
) -> None:
    """The area, integrated wall to wall, is the area where the signed distance is negative."""
    shape = Foramen(width, height, front * width, back * width)
    step = 0.05
    u, v = np.meshgrid(np.arange(-4.5, 4.5, step), np.arange(-6, 6, step), indexing="ij")
    counted = float((shape.distance(u, v) < 0).sum()) * step**2
    assert counted == pytest.approx(shape.area_mm2, rel=0.03, abs=0.3)
    assert shape.area_mm2 <= shape.open_area_mm2 * 1.001
    at_root = (shape.distance(u, np.full_like(v, -0.1 * height)) < 0)[:, 0].sum() * step
    assert at_root == pytest.approx(shape.width_mm, abs=2.1 * step)


@given(width=st.floats(4.0, 8.0), more=st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.4)))
def test_a_longer_spur_leaves_less(width: float, more: tuple[float, float]) -> None:
    short = Foramen(width, 8.0, more[0] * width)
    longer = Foramen(width, 8.0, (more[0] + more[1]) * width)
    assert longer.area_mm2 <= short.area_mm2
    assert longer.width_mm <= short.width_mm


def _opening(field: Field, foramen: PlacedForamen, step: float) -> float:
    """Area without bone in the foramen's middle plane that its middle or the space above it is part of, mm²."""
    reach = FRAME_MM[0] * 0.6
    half_u, half_v = foramen.shape.open_width_mm / 2 + reach, foramen.shape.height_mm / 2 + reach
    u, v = np.meshgrid(np.arange(-half_u, half_u, step), np.arange(-half_v, half_v, step), indexing="ij")
    points = foramen.centre_mm + u[..., None] * foramen.axes[0] + v[..., None] * foramen.axes[1]
    at = np.rint((points - field.lattice.origin_mm) / field.lattice.step_mm).astype(int)
    free = field.distance[at[..., 0], at[..., 1], at[..., 2]] > 0
    # the joint's cleft leads out of the foramen: what is beyond its wall does not count
    free &= foramen.shape.open_distance(u, v) < 0.15
    parts, _ = label(free)
    return float((parts > 0).sum()) * step**2


@pytest.mark.parametrize("narrowed", [_OPEN, Narrowed(Severity.MODERATE, 0.5), _WORST])
def test_bone_leaves_the_area_that_the_truth_says(narrowed: Narrowed) -> None:
    """The area counted in voxels of 0.2 mm is the parameter's, whatever narrows the foramen."""
    where = (Level.C5_C6, Side.LEFT)
    neck = make_neck(3, foramina={where: narrowed})
    foramen = neck.anatomy.foramina[where]
    low, high = foramen.centre_mm - 11, foramen.centre_mm + 11
    step = 0.2
    shape = tuple(int(n) for n in np.ceil((high - low) / step).astype(int))
    field = bone_field(neck.anatomy, Lattice(low, step, (shape[0], shape[1], shape[2])))
    assert _opening(field, foramen, step) == pytest.approx(neck.foramina[where].area_mm2, rel=0.08, abs=1.0)


@pytest.mark.parametrize("level", CERVICAL_XRAY.levels)
@pytest.mark.parametrize("severity", list(Severity))
def test_chosen_severity_is_that_of_the_width_that_was_made(level: Level, severity: Severity) -> None:
    for seed in (0, 1, 2):
        truth = make_neck(seed, foramina={(level, Side.RIGHT): Narrowed(severity, 0.7)}).foramina
        assert truth[level, Side.RIGHT].severity is severity
        assert severity_of_width(level, truth[level, Side.RIGHT].width_mm) is severity


@pytest.mark.parametrize(
    ("width_mm", "severity"),
    [
        (3.71, Severity.NORMAL_MILD),
        (3.70, Severity.MODERATE),
        (1.86, Severity.MODERATE),
        (1.85, Severity.SEVERE),
    ],
)
def test_severity_follows_the_width_of_the_root(width_mm: float, severity: Severity) -> None:
    """Kim et al. 2015: narrower than the root is moderate, half of it or less severe; C6 has 3.7 mm."""
    assert ROOT_MM[Level.C5_C6] == 3.7
    assert severity_of_width(Level.C5_C6, width_mm) is severity


def test_open_foramina_of_many_necks_have_the_published_size() -> None:
    wear = {(level, side): _OPEN for level in CERVICAL_XRAY.levels for side in Side}
    necks = [make_neck(seed, foramina=wear).anatomy for seed in range(60)]
    for level in CERVICAL_XRAY.levels:
        shapes = [neck.foramina[level, side].shape for neck in necks for side in Side]
        assert np.mean([s.open_width_mm for s in shapes]) == pytest.approx(FORAMEN_WIDTH_MM[level], rel=0.03)
        assert np.mean([s.height_mm for s in shapes]) == pytest.approx(FORAMEN_HEIGHT_MM[level], rel=0.03)


def test_severities_of_many_necks_have_the_shares_of_the_population() -> None:
    population, rng = Population(), np.random.default_rng(4)
    drawn = [population.draw_wear(rng) for _ in range(700)]
    for level, shares in population.severity_shares.items():
        found = [wear[level, Side.LEFT].severity for wear in drawn]
        for severity, share in zip(Severity, shares, strict=True):
            assert found.count(severity) / len(found) == pytest.approx(share, abs=0.06)


def test_mirrored_neck_swaps_sides() -> None:
    neck = make_neck(11)
    other = neck.mirrored()
    for level in CERVICAL_XRAY.levels:
        for side, opposite in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT)):
            ours, theirs = neck.foramina[level, side], other.foramina[level, opposite]
            assert theirs.severity is ours.severity
            assert theirs.area_mm2 == ours.area_mm2
            assert theirs.centre == (-ours.centre[0], *ours.centre[1:])
            assert (ours.centre[0] > 0) is (side is Side.LEFT)
            cell = Cell(Condition.NEURAL_FORAMINAL_NARROWING, level, side)
            assert neck.severity(cell) is ours.severity
    assert other.mirrored().foramina == neck.foramina


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be zero or more, got -1"):
        make_neck(-1)
    with pytest.raises(ValueError, match="must be C2/C3 to C7/T1, got L4/L5"):
        make_neck(1, foramina={(Level.L4_L5, Side.LEFT): _OPEN})
    with pytest.raises(ValueError, match="three shares that add up to 1"):
        Population(severity_shares={Level.C5_C6: (0.5, 0.1, 0.1)})
    with pytest.raises(ValueError, match="add up to less than 1"):
        Population(within_patient=0.8, within_level=0.3)
    with pytest.raises(ValueError, match="spurs must leave a passage"):
        Foramen(6.0, 8.0, 4.0, 2.5)
    with pytest.raises(ValueError, match="width and height above 0"):
        Foramen(0.0, 8.0)
    with pytest.raises(ValueError, match="cell must be a foramen"):
        make_neck(1).severity(Cell(Condition.SPINAL_CANAL_STENOSIS, Level.C5_C6))
