"""Patient space and voxel indices: fixed cases and refusals; the general claims are in properties/."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde import geometry

SAGITTAL = [0, 1, 0, 0, 0, -1]
AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("orientation", "normal"),
    [(SAGITTAL, [-1, 0, 0]), (AXIAL, [0, 0, 1]), (CORONAL, [0, 1, 0])],
)
def test_slice_normal_when_a_plane_is_plain_then_it_is_row_cross_column(
    orientation: list[float], normal: list[float]
) -> None:
    assert geometry.slice_normal(orientation) == pytest.approx(normal)


@pytest.mark.parametrize(
    ("orientation", "message"),
    [
        ([1, 0, 0], "six finite direction cosines"),
        ([1, 0, 0, 0, float("nan"), 0], "six finite direction cosines"),
        ([1, 0, 0, 1, 0, 0], "two orthogonal unit vectors"),
        ([2, 0, 0, 0, 1, 0], "two orthogonal unit vectors"),
        ([0, 0, 0, 0, 0, 0], "two orthogonal unit vectors"),
    ],
)
def test_slice_normal_when_cosines_are_impossible_then_they_are_refused(
    orientation: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^orientation must be {message}, got \["):
        geometry.slice_normal(orientation)


def test_affine_when_made_from_dicom_attributes_then_row_steps_use_the_first_spacing() -> None:
    affine = geometry.affine_of([10, 20, 30], AXIAL, [0.5, 0.25], [0, 0, 4])
    assert geometry.to_patient(affine, [[0, 0, 0], [1, 2, 4]]) == pytest.approx(
        np.array([[10, 20, 30], [11, 21, 34]])
    )
    assert geometry.spacing_mm(affine) == (4.0, 0.5, 0.25)


def test_to_ras_when_an_affine_is_turned_then_only_x_and_y_change_sign() -> None:
    affine = geometry.affine_of([1, 2, 3], AXIAL, [1, 1], [0, 0, 1])
    there = geometry.to_patient(geometry.to_ras(affine), [[3, 4, 5]])[0]
    assert there == pytest.approx(geometry.to_patient(affine, [[3, 4, 5]])[0] * [-1, -1, 1])


@pytest.mark.parametrize(
    ("xyz", "margin_mm", "inside"),
    [
        ([0, 0, 0], 0, True),
        ([-0.49, 0, 0], 0, True),
        ([-0.51, 0, 0], 0, False),
        ([9.49, 0, 0], 0, True),
        ([9.51, 0, 0], 0, False),
        ([11.4, 0, 0], 2, True),
        ([0, 0, 17.9], 0, True),
        ([0, 0, 18.1], 0, False),
    ],
)
def test_is_inside_when_a_point_is_near_the_border_then_whole_voxels_count(
    xyz: list[float], margin_mm: float, inside: bool
) -> None:
    affine = geometry.affine_of([0, 0, 0], AXIAL, [1, 1], [0, 0, 4])
    assert geometry.is_inside(affine, (5, 10, 10), xyz, margin_mm) is inside


@pytest.mark.parametrize("function", [geometry.to_patient, geometry.to_index])
def test_mapping_when_the_affine_is_not_four_by_four_then_it_is_refused(function: object) -> None:
    with pytest.raises(ValueError, match=r"^affine must have shape \(4, 4\), got \(3, 3\)$"):
        function(np.eye(3), [[0, 0, 0]])  # type: ignore[operator]
