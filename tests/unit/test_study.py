"""Study > Series > Volume: what may exist, and that slices are decoded once and only when asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from stenograde.errors import IrregularSlicesError, UnreadableInstanceError
from stenograde.study import Series, Study, Volume
from stenograde.terms import Plane, Role, Weighting


class CountingSource:
    """Gives slices filled with their own index and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, indices: Sequence[int]) -> np.ndarray:
        self.asked.append(list(indices))
        return np.stack([np.full((2, 3), index, np.float32) for index in indices])


def make_volume(n_slices: int = 4, source: CountingSource | None = None) -> Volume:
    uids = tuple(f"1.2.{index}" for index in range(n_slices))
    return Volume(np.diag([4.0, 0.5, 0.25, 1.0]), (n_slices, 2, 3), uids, source or CountingSource())


def make_series(role: Role | None, *volumes: Volume) -> Series:
    return Series(
        uid=f"1.9.{role}",
        plane=Plane.SAGITTAL,
        weighting=Weighting.T2,
        role=role,
        why="a test",
        volumes=volumes or (make_volume(),),
    )


def test_slices_when_asked_twice_then_each_is_decoded_once() -> None:
    source = CountingSource()
    volume = make_volume(source=source)
    first = volume.slices([2, 0, 2])
    second = volume.slices([1, 2])
    assert first[:, 0, 0].tolist() == [2, 0, 2]
    assert second[:, 0, 0].tolist() == [1, 2]
    assert source.asked == [[2, 0], [1]]


def test_volume_when_made_then_nothing_is_decoded() -> None:
    source = CountingSource()
    volume = make_volume(source=source)
    assert volume.spacing_mm == (4.0, 0.5, 0.25)
    assert source.asked == []


def test_pixels_when_asked_then_all_slices_come_in_order() -> None:
    volume = make_volume()
    assert volume.pixels.shape == (4, 2, 3)
    assert volume.pixels[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_frames_when_not_given_then_each_instance_holds_one() -> None:
    assert make_volume().frames == (0, 0, 0, 0)


@pytest.mark.parametrize("affine", [np.eye(3), np.zeros((4, 4)), np.diag([4.0, 0.0, 1.0, 1.0])])
def test_volume_when_its_affine_cannot_be_inverted_then_it_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^affine must be an invertible \(4, 4\) matrix, got "):
        Volume(affine, (1, 2, 3), ("1.2",), CountingSource())


def test_volume_when_instances_and_slices_differ_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a volume of 2 slices must name as many instances, got 1$"):
        Volume(np.eye(4), (2, 2, 3), ("1.2",), CountingSource())


def test_series_when_it_has_no_volume_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^series 1\.9 must have at least one volume, got none$"):
        Series("1.9", Plane.AXIAL, None, None, "a test", ())


def test_study_when_a_role_has_no_series_then_none_comes_back() -> None:
    study = Study("1", (make_series(Role.SAGITTAL_T2_STIR), make_series(None)))
    assert study.by_role(Role.SAGITTAL_T2_STIR) is study.series[0]
    assert study.by_role(Role.AXIAL_T2) is None


def test_study_when_series_have_several_volumes_then_each_comes_with_its_series() -> None:
    axial = make_series(Role.AXIAL_T2, make_volume(2), make_volume(3))
    study = Study("1", (make_series(Role.SAGITTAL_T1), axial))
    assert [(series.role, volume.shape[0]) for series, volume in study.volumes()] == [
        (Role.SAGITTAL_T1, 4),
        (Role.AXIAL_T2, 2),
        (Role.AXIAL_T2, 3),
    ]
    assert axial.n_slices == 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e13])
def test_slices_when_a_pixel_is_not_finite_or_too_large_then_they_are_refused(value: float) -> None:
    def source(indices: Sequence[int]) -> np.ndarray:
        slices = np.zeros((len(indices), 2, 3), np.float32)
        slices[-1, 1, 2] = value
        return slices

    volume = Volume(np.eye(4), (2, 2, 3), ("1", "2"), source)
    with pytest.raises(UnreadableInstanceError, match="pixels must be finite and at most 1e"):
        _ = volume.pixels


@pytest.mark.parametrize(
    ("edges_mm", "shape", "rule"),
    [
        ((4, 60, 60), (4, 20, 20), "distance of rows must be 0.05 to 10 mm, got 60 mm"),
        ((4, 0.5, 1e-300), (4, 20, 20), "distance of columns must be 0.05 to 10 mm, got 1e-300 mm"),
        ((1e-9, 0.5, 0.5), (4, 20, 20), "distance of slices must be 0.05 to 200 mm, got 1e-09 mm"),
        ((1e300, 0.5, 0.5), (4, 20, 20), r"distance of slices must be 0.05 to 200 mm, got 1e\+300 mm"),
        (
            (4, 0.1, 0.5),
            (4, 5000, 20),
            "slices must be at least one, with 1 to 4096 rows and columns, got 4 x 5000 x 20",
        ),
        (
            (4, 0.5, 0.5),
            (4, 0, 20),
            "slices must be at least one, with 1 to 4096 rows and columns, got 4 x 0 x 20",
        ),
        ((4, 9, 9), (4, 4096, 20), "longest edge must be 0 to 1200 mm, got 36864 mm"),
        ((200, 0.5, 0.5), (40, 20, 20), "way through the slices must be 0 to 2500 mm, got 8000 mm"),
    ],
)
def test_volume_when_no_scanner_makes_its_grid_then_it_is_refused(
    edges_mm: tuple[float, ...], shape: tuple[int, int, int], rule: str
) -> None:
    with pytest.raises(IrregularSlicesError, match=f"^{rule}"):
        Volume(np.diag([*edges_mm, 1.0]), shape, ("1",) * shape[0], CountingSource())


def test_volume_when_it_lies_far_away_then_it_is_refused() -> None:
    affine = np.eye(4)
    for place in (9e8, np.nan):
        affine[1, 3] = place
        with pytest.raises(IrregularSlicesError, match=r"^distance from the origin must be 0 to 10000 mm"):
            Volume(affine, (1, 2, 3), ("1",), CountingSource())


def test_slices_when_all_were_asked_for_then_runs_of_them_come_without_copies() -> None:
    source = CountingSource()
    volume = make_volume(source=source)
    volume.slices([1])
    whole = volume.slices(range(4))
    for run in (range(1, 3), [2], range(4)):
        part = volume.slices(run)
        assert part[:, 0, 0].tolist() == list(run)
        assert np.shares_memory(part, whole)
        assert not part.flags.writeable
    assert volume.slices([3, 0])[:, 0, 0].tolist() == [3, 0]
    assert source.asked == [[1], [0, 2, 3]]


@pytest.mark.parametrize("outside", [[4], range(2, 5), [-1], range(-1, 2)])
def test_slices_when_a_place_is_none_of_the_volume_then_all_or_none_are_known(outside: Sequence[int]) -> None:
    def source(indices: Sequence[int]) -> np.ndarray:
        return np.stack([np.zeros((2, 3), np.float32) for index in indices if range(4)[index] == index])

    volume = Volume(np.diag([4.0, 0.5, 0.25, 1.0]), (4, 2, 3), tuple("1234"), source)
    assert len(volume.pixels) == 4
    with pytest.raises((ValueError, IndexError)):
        volume.slices(outside)
