"""NIfTI volumes: axes in our order, masks back on the file's own grid."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from stenograde import geometry
from stenograde.datasets.nifti import is_nifti, nifti_bytes, read_nifti
from stenograde.datasets.picture_files import is_picture
from stenograde.errors import StudyError, UnreadableInstanceError


@pytest.mark.parametrize(
    ("name", "picture", "nifti"),
    [("a.PNG", True, False), ("a.webp", True, False), ("a.nii.gz", False, True), ("a.dcm", False, False)],
)
def test_kind_of_file_when_named_then_the_ending_decides(name: str, picture: bool, nifti: bool) -> None:
    assert (is_picture(Path(name)), is_nifti(Path(name))) == (picture, nifti)


def oriented(order: tuple[int, ...], signs: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A small volume stored with its axes in any order and sense, each voxel with its own value."""
    data = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    rotation = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        rotation[axis, column] = sign * (4.0, 0.5, 0.7)[axis]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation, (11, -22, 33)
    return data, affine


@pytest.mark.parametrize(
    ("order", "signs"), [*product(permutations(range(3)), [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])]
)
def test_nifti_in_any_orientation_keeps_each_value_at_its_place(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    data, affine = oriented(order, signs)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii")
    nifti = read_nifti(tmp_path / "a.nii")
    volume = nifti.volume
    assert volume.spacing_mm[0] == 4.0, "slices run from side to side"
    cosines = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(np.cross(cosines[:, 2], cosines[:, 1]), cosines[:, 0], atol=1e-6)
    for index in np.ndindex(*data.shape):
        ras = affine @ [*index, 1]
        ours = geometry.to_index(volume.affine, [[-ras[0], -ras[1], ras[2]]])[0].round().astype(int)
        assert volume.pixels[tuple(ours)] == data[index]
    np.testing.assert_array_equal(nifti.to_own_grid(volume.pixels), data)


def test_nifti_when_it_has_a_fourth_axis_of_one_then_that_is_dropped(tmp_path: Path) -> None:
    data, affine = oriented((0, 1, 2), (1, 1, 1))
    nibabel.save(nibabel.Nifti1Image(data[..., None], affine), tmp_path / "a.nii.gz")
    assert read_nifti(tmp_path / "a.nii.gz").volume.shape == (2, 3, 4)


def test_nifti_when_it_has_several_time_points_then_it_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4, 2), np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(
        UnreadableInstanceError, match=r"^volume must have three axes .*got shape \(2, 3, 4, 2\)"
    ):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("content", [None, b"", b"no volume", gzip.compress(b"no volume", mtime=0)])
def test_nifti_when_it_cannot_be_read_then_it_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(
        UnreadableInstanceError, match=r"^volume must be a readable NIfTI file, got .*a\.nii\.gz"
    ):
        read_nifti(tmp_path / "a.nii.gz")


def test_mask_when_written_as_nifti_then_grid_and_affine_come_back(tmp_path: Path) -> None:
    mask = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 4
    _, affine = oriented((2, 0, 1), (1, -1, 1))
    (tmp_path / "mask.nii.gz").write_bytes(nifti_bytes(mask, affine))
    back = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), mask)
    assert back.get_data_dtype() == np.uint8
    np.testing.assert_allclose(back.affine, affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, a: (v * np.nan, a), "volume must hold finite values, got none"),
        (lambda v, a: (v, a * 1e9), "distance of slices must be 0.05 to 200 mm"),
        (lambda v, a: (v, np.diag([4, 1e-3, 1e-3, 1])), "distance of rows must be 0.05 to 10 mm"),
    ],
)
def test_nifti_when_no_scanner_makes_it_then_it_is_refused(
    tmp_path: Path, change: Callable[..., tuple[np.ndarray, np.ndarray]], message: str
) -> None:
    data, affine = change(np.ones((4, 5, 6), np.float32), np.diag([4.0, 0.6, 0.6, 1.0]))
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii.gz")
    with pytest.raises(StudyError, match=message):
        read_nifti(tmp_path / "a.nii.gz")


def test_nifti_when_a_voxel_is_infinite_then_its_slice_is_refused(tmp_path: Path) -> None:
    data = np.ones((4, 5, 6), np.float32)
    data[2, 2, 2] = np.inf
    nibabel.save(nibabel.Nifti1Image(data, np.diag([4.0, 0.6, 0.6, 1.0])), tmp_path / "a.nii")
    with pytest.raises(UnreadableInstanceError, match="pixels must be finite"):
        _ = read_nifti(tmp_path / "a.nii").volume.pixels


def test_nifti_when_it_says_it_is_huge_or_is_a_pipe_then_nothing_is_waited_for(tmp_path: Path) -> None:
    header = bytearray(nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)).to_bytes())
    header[40:56] = np.array([3, 32767, 32767, 32767, 1, 1, 1, 1], "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(header))
    with pytest.raises(UnreadableInstanceError, match="volume must decode to at most 2 GiB, got 128 TiB"):
        read_nifti(tmp_path / "a.nii")
    os.mkfifo(tmp_path / "b.nii")
    with pytest.raises(UnreadableInstanceError, match="which is a named pipe"):
        read_nifti(tmp_path / "b.nii")


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (4, 4)])
def test_nifti_when_either_form_is_stated_then_it_is_read(tmp_path: Path, sform: int, qform: int) -> None:
    data, affine = oriented((0, 1, 2), (1, 1, 1))
    image = nibabel.Nifti1Image(data, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    nibabel.save(image, tmp_path / "a.nii")

    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii").own_affine, affine, atol=1e-4)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_nifti_when_neither_form_is_stated_then_it_has_no_sides_and_is_refused(
    tmp_path: Path, kind: type
) -> None:
    data, affine = oriented((0, 1, 2), (1, 1, 1))
    image = kind(data, affine)
    image.set_sform(affine, 0)
    image.set_qform(affine, 0)
    nibabel.save(image, tmp_path / "a.nii")

    with pytest.raises(
        UnreadableInstanceError, match="sform_code 0 and qform_code 0, so left and right are unknown"
    ):
        read_nifti(tmp_path / "a.nii")
