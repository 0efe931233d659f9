"""Affines against SimpleITK and nibabel, over orientations no scanner would choose."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tests.dicom_files import T2, mr_dataset, picture, save

from stenograde import geometry
from stenograde.dicom.read.studies import read_study
from stenograde.study import Volume

ROWS, COLUMNS = 6, 5
DISK = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def written_volume(
    folder: Path, cosines: np.ndarray, origin: np.ndarray, mm: tuple[float, float, float], n: int
):
    """Write a series at an odd orientation and read it back; return it with its files in slice order."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    normal = np.cross(cosines[:3], cosines[3:])
    paths = []
    for index in range(n):
        ds = mr_dataset(picture(ROWS, COLUMNS, seed=index), number=n - index)
        for keyword, value in T2.items():
            setattr(ds, keyword, value)
        ds.ImageOrientationPatient = [f"{value:.10f}" for value in cosines]
        ds.ImagePositionPatient = [f"{value:.8f}" for value in origin + normal * mm[0] * index]
        ds.PixelSpacing = [f"{mm[1]:.6f}", f"{mm[2]:.6f}"]
        paths.append(save(ds, folder / f"{index}.dcm"))
    (volume,) = read_study(folder).series[0].volumes
    return volume, paths


def sitk_affine(image: SimpleITK.Image) -> np.ndarray:
    """Affine from (slice, row, column) to LPS, asked of SimpleITK point by point."""
    affine = np.eye(4)
    affine[:3, 3] = image.TransformIndexToPhysicalPoint((0, 0, 0))
    for axis, index in enumerate(((0, 0, 1), (0, 1, 0), (1, 0, 0))):
        affine[:3, axis] = np.subtract(image.TransformIndexToPhysicalPoint(index), affine[:3, 3])
    return affine


@DISK
@given(
    turn=st.integers(0, 2**32 - 1),
    origin=st.lists(st.floats(-300, 300), min_size=3, max_size=3),
    mm=st.tuples(st.floats(0.5, 8), st.floats(0.2, 2), st.floats(0.2, 2)),
    n=st.integers(2, 6),
)
def test_affine_and_pixels_agree_with_simpleitk(tmp_path, turn, origin, mm, n):
    axes = Rotation.random(rng=np.random.default_rng(turn)).as_matrix()
    cosines = np.concatenate([axes[:, 0], axes[:, 1]])
    mm = tuple(round(value, 6) for value in mm)

    volume, paths = written_volume(tmp_path / "series", cosines, np.array(origin), mm, n)

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    image = reader.Execute()
    np.testing.assert_allclose(volume.affine, sitk_affine(image), atol=1e-4)
    np.testing.assert_array_equal(volume.pixels, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.spacing_mm, image.GetSpacing()[::-1], atol=1e-4)


@DISK
@given(turn=st.integers(0, 2**32 - 1), mm=st.tuples(st.floats(0.5, 8), st.floats(0.2, 2), st.floats(0.2, 2)))
def test_affine_agrees_with_nibabel(tmp_path, turn, mm):
    """What SimpleITK writes as NIfTI, nibabel reads in RAS; our affine turned to RAS is the same."""
    axes = Rotation.random(rng=np.random.default_rng(turn)).as_matrix()
    cosines = np.concatenate([axes[:, 0], axes[:, 1]])
    mm = tuple(round(value, 6) for value in mm)
    volume, paths = written_volume(tmp_path / "series", cosines, np.array([10.0, -20.0, 30.0]), mm, 4)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    SimpleITK.WriteImage(reader.Execute(), str(tmp_path / "volume.nii"))

    image = nibabel.load(tmp_path / "volume.nii")

    # nibabel indexes (column, row, slice)
    ours = geometry.to_ras(volume.affine)[:, [2, 1, 0, 3]]
    np.testing.assert_allclose(ours, image.affine, atol=1e-4)
    np.testing.assert_array_equal(np.transpose(volume.pixels, (2, 1, 0)), image.get_fdata())


def nibabel_affine(volume: Volume) -> np.ndarray:
    image = nibabel.Nifti1Image(
        np.transpose(volume.pixels, (2, 1, 0)), geometry.to_ras(volume.affine)[:, [2, 1, 0, 3]]
    )
    return nibabel.Nifti1Image.from_bytes(image.to_bytes()).affine


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_affine_survives_a_nifti_of_nibabel(tmp_path, plane):
    cosines = {"sagittal": [0, 1, 0, 0, 0, -1], "axial": [1, 0, 0, 0, 1, 0], "coronal": [1, 0, 0, 0, 0, -1]}[
        plane
    ]
    volume, _ = written_volume(
        tmp_path / "series", np.array(cosines, float), np.zeros(3), (4.0, 0.5, 0.75), 4
    )

    there = np.diag([-1.0, -1.0, 1.0, 1.0]) @ nibabel_affine(volume)[:, [2, 1, 0, 3]]

    np.testing.assert_allclose(there, volume.affine, atol=1e-4)
