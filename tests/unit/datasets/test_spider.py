"""The SPIDER slices are read with their masks, spacing and patients, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.spider_files import picture_and_mask, write_spider

from stenograde.datasets.spider import (
    NOT_VERTEBRA,
    SPACE_SPACING_MM,
    UNKNOWN,
    VERTEBRA_PITCH_MM,
    read_level_slices,
    read_midsagittal_slices,
    read_space_slices,
)
from stenograde.errors import DatasetError


def test_space_slices_carry_our_codes_and_their_patient(tmp_path: Path) -> None:
    slices = read_space_slices(write_spider(tmp_path))
    assert [one.patient for one in slices] == ["1", "2", "3", "4"]
    assert slices[0].spacing_mm == (SPACE_SPACING_MM, SPACE_SPACING_MM)
    assert np.array_equal(slices[0].mask, picture_and_mask(shift=1)[1])


def test_coloured_slices_tell_vertebrae_alone_and_nothing_beyond_the_coloured_rows(tmp_path: Path) -> None:
    (one,) = read_level_slices(write_spider(tmp_path))
    assert one.mask is not None
    wanted = picture_and_mask()[1] == 1
    assert np.array_equal(one.mask == 1, wanted)
    assert (one.mask[:8] == UNKNOWN).all()
    assert (one.mask[120:] == UNKNOWN).all()
    assert (one.mask[8:120][~wanted[8:120]] == NOT_VERTEBRA).all()


def test_spacing_of_coloured_slices_comes_from_the_pitch_of_the_bodies(tmp_path: Path) -> None:
    (one,) = read_level_slices(write_spider(tmp_path))
    assert one.spacing_mm[0] == pytest.approx(VERTEBRA_PITCH_MM / 30)


def test_unmarked_slices_take_their_spacing_from_the_overview(tmp_path: Path) -> None:
    slices = read_midsagittal_slices(write_spider(tmp_path))
    assert {one.spacing_mm for one in slices} == {(0.6, 0.6)}
    assert all(one.mask is None for one in slices)


def test_optional_folders_may_be_absent(tmp_path: Path) -> None:
    assert read_level_slices(tmp_path) == ()
    assert read_midsagittal_slices(tmp_path) == ()


def test_without_pictures_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"spider_t2space_masks/images must hold WebP or PNG pictures"):
        read_space_slices(tmp_path)


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    data = write_spider(tmp_path)
    (data / "spider_t2space_masks/masks/2_t2_SPACE_slice50.png").unlink()
    with pytest.raises(DatasetError, match=r"2_t2_SPACE_slice50\.png must lie in spider_t2space_masks/masks"):
        read_space_slices(data)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    data = write_spider(tmp_path)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(
        data / "spider_t2space_masks/masks/2_t2_SPACE_slice50.png"
    )
    with pytest.raises(DatasetError, match=r"size of its image \(160, 128\), got \(5, 5\)"):
        read_space_slices(data)


def test_a_slice_missing_from_the_overview_is_named(tmp_path: Path) -> None:
    data = write_spider(tmp_path)
    (data / "spider_midsagittal/overview.csv").write_text("new_file_name,PixelSpacing\n")
    with pytest.raises(DatasetError, match=r"overview\.csv must give the PixelSpacing of 1_t1"):
        read_midsagittal_slices(data)
