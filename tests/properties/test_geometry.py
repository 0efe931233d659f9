"""Patient space and voxel indices agree for any orientation a scanner can have."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stenograde import geometry
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.frames import Contrast, Frame
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.series import SeriesFacts, plane_of
from stenograde.terms import Plane

millimetres = st.floats(-500, 500, allow_nan=False).map(lambda value: round(value, 3))
spacings = st.floats(0.1, 12, allow_nan=False).map(lambda value: round(value, 4))
angles = st.floats(-np.pi, np.pi, allow_nan=False)
points = st.tuples(millimetres, millimetres, millimetres)


def turned(about_x: float, about_y: float, about_z: float) -> np.ndarray:
    """Rotation matrix, shape (3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([about_x, about_y, about_z]), np.sin([about_x, about_y, about_z])
    return (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )


def location_of(position: np.ndarray, orientation: np.ndarray) -> float:
    """Slice location of a frame that lies there, mm."""
    instance = Instance(StudyFile("", ""), {}, False, None, False, ())
    where = tuple(map(float, position)), tuple(map(float, orientation))
    return Frame(instance, 0, *where, (1.0, 1.0), None, 1.0, 0.0, Contrast(), None).location_mm


rotations = st.builds(turned, angles, angles, angles)
orientations = rotations.map(lambda rotation: rotation[:, :2].T.ravel())


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Affine of a volume whose slices are perpendicular to their step, or sheared by a tilted gantry."""
    orientation = draw(orientations)
    normal = geometry.slice_normal(orientation)
    shear = orientation[3:] * draw(st.floats(-0.3, 0.3)) if draw(st.booleans()) else 0.0
    step = (normal + shear) * draw(spacings)
    return geometry.affine_of(draw(points), orientation, (draw(spacings), draw(spacings)), step)


@given(affines(), points)
def test_index_when_carried_to_the_patient_and_back_then_it_is_the_same(
    affine: np.ndarray, index: tuple[float, float, float]
) -> None:
    back = geometry.to_index(affine, geometry.to_patient(affine, [index]))
    np.testing.assert_allclose(back, [index], atol=1e-6)


@given(affines(), points)
def test_point_when_carried_to_indices_and_back_then_it_is_the_same(
    affine: np.ndarray, point: tuple[float, float, float]
) -> None:
    back = geometry.to_patient(affine, geometry.to_index(affine, [point]))
    np.testing.assert_allclose(back, [point], atol=1e-6)


@given(orientations)
def test_slice_normal_for_any_orientation_is_a_unit_vector_across_the_slice(orientation: np.ndarray) -> None:
    normal = geometry.slice_normal(orientation)
    np.testing.assert_allclose(
        [normal @ orientation[:3], normal @ orientation[3:], normal @ normal], [0, 0, 1], atol=1e-9
    )


@given(orientations, points, points)
def test_slice_location_when_a_position_moves_within_its_slice_then_it_stays(
    orientation: np.ndarray, position: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    within = np.asarray(position) + orientation[:3] * shift[0] + orientation[3:] * shift[1]
    across = np.asarray(position) + geometry.slice_normal(orientation) * shift[2]
    there = location_of(np.asarray(position), orientation)
    assert abs(location_of(within, orientation) - there) < 1e-6
    assert abs(location_of(across, orientation) - there - shift[2]) < 1e-6


@given(orientations, points, st.lists(st.integers(-40, 40), min_size=2, max_size=12, unique=True), spacings)
def test_slices_when_shuffled_then_their_locations_restore_the_order(
    orientation: np.ndarray, origin: tuple[float, float, float], places: list[int], gap_mm: float
) -> None:
    normal = geometry.slice_normal(orientation)
    positions = {place: np.asarray(origin) + normal * place * gap_mm for place in places}
    ordered = sorted(places, key=lambda place: location_of(positions[place], orientation))
    assert ordered == sorted(places)


@given(orientations)
def test_plane_when_row_or_column_is_reversed_then_it_is_the_same(orientation: np.ndarray) -> None:
    def plane(cosines: np.ndarray) -> Plane:
        return plane_of(SeriesFacts("1.2", (tuple(geometry.slice_normal(cosines)),), (1,)))

    strengths = np.sort(abs(geometry.slice_normal(orientation)))
    if strengths[2] - strengths[1] > 1e-9:
        assert plane(orientation * [-1, -1, -1, 1, 1, 1]) is plane(orientation)
        assert plane(orientation[[3, 4, 5, 0, 1, 2]]) is plane(orientation)
    assert plane(orientation) in Plane


@given(affines(), st.tuples(*[st.integers(1, 30)] * 3), st.data())
def test_voxel_centres_are_inside_and_points_beyond_the_border_are_not(
    affine: np.ndarray, shape: tuple[int, int, int], data: st.DataObject
) -> None:
    index = np.array([data.draw(st.integers(0, length - 1)) for length in shape], dtype=float)
    assert geometry.is_inside(affine, shape, geometry.to_patient(affine, [index])[0])
    axis = data.draw(st.integers(0, 2))
    index[axis] = shape[axis] + 0.5
    assert not geometry.is_inside(affine, shape, geometry.to_patient(affine, [index])[0])


@given(affines(), points, points)
def test_distance_when_points_pass_through_ras_then_it_does_not_change(
    affine: np.ndarray, one: tuple[float, float, float], other: tuple[float, float, float]
) -> None:
    lps = geometry.to_patient(affine, [one, other])
    ras = geometry.to_patient(geometry.to_ras(affine), [one, other])
    assert abs(geometry.distance_mm(*lps) - geometry.distance_mm(*ras)) < 1e-6


@given(affines())
def test_normal_of_an_affine_is_that_of_its_orientation_and_numpys_cross_product(affine: np.ndarray) -> None:
    u, v = (affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in (2, 1))
    normal = geometry.normal_of(affine)
    np.testing.assert_allclose(normal, np.cross(u, v), atol=1e-12)
    np.testing.assert_allclose(normal, geometry.slice_normal(np.concatenate([u, v])), atol=1e-12)


@given(affines(), points, points)
def test_gap_is_how_far_a_place_of_one_slice_lies_from_the_plane_of_the_next(
    affine: np.ndarray, here: tuple[float, float, float], there: tuple[float, float, float]
) -> None:
    one, other = geometry.to_patient(affine, [[0, *here[1:]], [1, *there[1:]]])
    off_mm = abs(float((other - one) @ geometry.normal_of(affine)))
    np.testing.assert_allclose(off_mm, geometry.gap_mm(affine), atol=1e-6)
    assert geometry.gap_mm(affine) <= geometry.spacing_mm(affine)[0] + 1e-9
