"""Real pictures at the gate: lumbar volumes pass, names of cut fields are uncertain, changed pictures are refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde import default_bundle, read_study
from stenograde.datasets.nifti import read_nifti
from stenograde.errors import StudyError
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.levels.region import not_lumbar
from stenograde.predict.locate import locate_study, mark_picture, mark_volume
from stenograde.study import Volume
from stenograde.terms import Role

pytestmark = pytest.mark.data

STEP = 4
"""Every so many-th slice of a volume of 1 mm."""


@pytest.fixture(scope="module")
def sagittal_t2(development_data: Path) -> Volume:
    (folder,) = (development_data / "rsna2024_study/train_images").iterdir()
    series = read_study(folder).by_role(Role.SAGITTAL_T2_STIR)
    assert series is not None
    pixels = series.volumes[0].pixels[6:13]
    return volume_of(pixels, series.volumes[0].affine)


def located(volume: Volume) -> LevelPoints:
    return locate_study(study_of(series_of(volume)), default_bundle()).points


@pytest.mark.parametrize("name", ["IVD_11", "VB1_02", "VB1_08", "VB2_02", "VB3_02"])
def test_lumbar_volumes_pass(development_data: Path, name: str) -> None:
    slices = np.load(development_data / f"lumbar_volumes/{name}.npz")["image"].transpose(2, 0, 1)[::STEP]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (STEP, 0, 0), (0, 0, -1), (0, 1, 0)
    points = find_levels(mark_volume(volume_of(slices, affine), default_bundle()).marked)

    assert points is not None
    assert not_lumbar(points) == ""
    assert points.chain.certain is (not name.startswith("VB3")), "the field of VB3_02 ends in S1"


def test_a_field_that_ends_at_the_lowest_disc_has_no_certain_name(development_data: Path) -> None:
    volume = read_nifti(development_data / "sct_t2_lumbar/t2_lumbar.nii.gz").volume
    points = find_levels(
        mark_volume(
            volume_of(volume.pixels[::3], volume.affine @ np.diag([3, 1, 1, 1])), default_bundle()
        ).marked
    )

    assert points is not None
    assert not points.chain.certain


@pytest.mark.parametrize("scale", [0.5, 0.6])
def test_a_lumbar_spine_of_the_size_of_a_neck_is_refused(sagittal_t2: Volume, scale: float) -> None:
    with pytest.raises(StudyError, match="must show the lumbar"):
        located(volume_of(sagittal_t2.pixels, sagittal_t2.affine @ np.diag([scale, scale, scale, 1])))


@pytest.mark.parametrize("turns", [1, 3])
def test_a_spine_on_its_side_is_refused(sagittal_t2: Volume, turns: int) -> None:
    with pytest.raises(StudyError, match="must show the lumbar"):
        located(volume_of(np.rot90(sagittal_t2.pixels, turns, (1, 2)), sagittal_t2.affine))


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_a_spine_upside_down_or_back_to_front_is_refused_or_uncertain(
    sagittal_t2: Volume, axes: tuple[int, ...]
) -> None:
    try:
        points = located(volume_of(np.flip(sagittal_t2.pixels, axes), sagittal_t2.affine))
    except StudyError:
        return
    assert not points.chain.certain


@pytest.mark.parametrize("share", [0.75, 0.65, 0.55, 0.45])
def test_a_field_that_ends_above_the_sacrum_has_no_certain_name(sagittal_t2: Volume, share: float) -> None:
    pixels = sagittal_t2.pixels
    kept = round(share * pixels.shape[1])
    padded = pixels.copy()
    padded[:, kept:] = 0

    for cut in (pixels[:, :kept], padded):
        assert not located(volume_of(cut, sagittal_t2.affine)).chain.certain


def test_the_lower_end_of_the_spine_alone_keeps_its_names(sagittal_t2: Volume) -> None:
    start = round(0.4 * sagittal_t2.shape[1])
    affine = sagittal_t2.affine.copy()
    affine[:3, 3] += affine[:3, 1] * start

    assert located(volume_of(sagittal_t2.pixels[:, start:], affine)).chain.certain


@pytest.mark.parametrize("place", [0, 66, 133, 200, 251])
def test_no_name_of_a_slice_cut_above_the_sacrum_is_certain(development_data: Path, place: int) -> None:
    """``benchmarks/cut_fields.py`` tries all slices at all heights."""
    folder = development_data / "spider_midsagittal"
    with (folder / "overview.csv").open(encoding="utf-8", newline="") as stream:
        spacings = {row["new_file_name"]: row["PixelSpacing"] for row in csv.DictReader(stream)}
    path = sorted((folder / "images").glob("*.webp"))[place]
    rows_mm, columns_mm = (float(value) for value in re.findall(r"[\d.]+", spacings[path.stem])[:2])
    picture = np.asarray(Image.open(path).convert("L"), np.float32)
    full = mark_picture(picture, (rows_mm, columns_mm), default_bundle())
    (lowest,) = (row for name, row, _ in full.points if name == "L5/S1")

    assert full.doubts == ()
    for height_mm in (-95, -60, -45, -30, -20, -10, 0):
        cut = np.ascontiguousarray(picture[: int(lowest + height_mm / rows_mm)])
        assert mark_picture(cut, (rows_mm, columns_mm), default_bundle()).doubts, height_mm
