"""Stored pictures: plain files, DICOM slices and arrays, and what tells that they have changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.dicom_files import mr_dataset, picture
from tests.dicom_files import save as save_dicom
from tests.picture_sets import noise, save

from stenograde.datasets.picture_files import (
    ArrayPicture,
    DicomPicture,
    PictureFile,
    pictures_in,
    png_bytes,
    read_picture,
)
from stenograde.errors import DatasetError, UnreadableInstanceError


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("L", "webp"), ("RGB", "png"), ("LA", "png")])
def test_picture_when_grey_or_coloured_then_it_is_read_as_grey_values(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).convert(mode).save(path, lossless=True)
    assert read_picture(path).dtype == np.float32
    np.testing.assert_array_equal(read_picture(path), grey)


def test_picture_when_it_has_16_bits_then_none_is_lost(tmp_path: Path) -> None:
    values = np.array([[0, 1], [40000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), values)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n0000"])
def test_picture_when_it_cannot_be_read_then_it_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableInstanceError, match=r"^picture must be a readable PNG, .*got .*a\.png \("):
        read_picture(tmp_path / "a.png")


def write_dicom(path: Path, pixels: np.ndarray, **attributes: object) -> Path:
    return save_dicom(mr_dataset(pixels, **attributes), path)


def test_pictures_of_a_folder_when_mixed_with_others_then_only_pictures_come_back_sorted(
    tmp_path: Path,
) -> None:
    for name in ("b.png", "a.WEBP", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == ["a.WEBP", "b.png"]
    assert pictures_in(tmp_path / "absent") == ()


def test_picture_file_when_read_then_it_gives_the_stored_values(tmp_path: Path) -> None:
    np.testing.assert_array_equal(PictureFile(save(tmp_path / "a.png", 3)).read(), noise(3))


def test_picture_file_when_it_is_no_picture_then_the_set_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="picture must be a readable PNG"):
        PictureFile(tmp_path / "a.png").read()


@pytest.mark.parametrize("kind", [PictureFile, DicomPicture])
def test_key_when_the_file_changes_then_the_key_does(tmp_path: Path, kind: type) -> None:
    stored = kind(save(tmp_path / "a.png", 1))
    before = stored.key
    assert stored.key == before
    save(tmp_path / "a.png", 2, (20, 20))
    assert stored.key != before


def test_key_when_the_file_is_gone_then_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must be a file that is there, got .*gone\.png"):
        _ = PictureFile(tmp_path / "gone.png").key


def test_dicom_picture_when_read_then_it_gives_the_stored_values(tmp_path: Path) -> None:
    pixels = picture()
    np.testing.assert_array_equal(DicomPicture(write_dicom(tmp_path / "1.dcm", pixels)).read(), pixels)


def test_dicom_picture_when_it_has_no_position_as_a_radiograph_then_it_is_read(tmp_path: Path) -> None:
    pixels = picture()
    path = write_dicom(tmp_path / "1.dcm", pixels, ImagePositionPatient=None, ImageOrientationPatient=None)
    np.testing.assert_array_equal(DicomPicture(path).read(), pixels)


def test_dicom_picture_when_white_is_low_then_it_is_turned_over(tmp_path: Path) -> None:
    pixels = picture()
    path = write_dicom(tmp_path / "1.dcm", pixels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(DicomPicture(path).read(), pixels.max() - pixels.astype(np.float32))


def test_dicom_picture_when_a_file_holds_several_then_the_frame_chooses(tmp_path: Path) -> None:
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    path = write_dicom(tmp_path / "1.dcm", frames, NumberOfFrames=3)
    np.testing.assert_array_equal(DicomPicture(path, 2).read(), frames[2])
    assert DicomPicture(path, 2).key != DicomPicture(path, 1).key


def test_dicom_picture_when_the_frame_is_not_there_then_it_says_so(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "1.dcm", picture())
    with pytest.raises(DatasetError, match=r"must be grey frame 1 of .*1\.dcm, got 1 of 1 channels"):
        DicomPicture(path, 1).read()


def test_dicom_picture_when_it_is_no_dicom_then_the_set_is_at_fault(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be a DICOM slice that can be decoded"):
        DicomPicture(save(tmp_path / "a.png")).read()


def test_array_picture_when_the_content_differs_then_the_key_does() -> None:
    one, other = (ArrayPicture(noise(seed).astype(np.float32), "v") for seed in (1, 2))
    assert one.key != other.key
    assert one.key == ArrayPicture(noise(1).astype(np.float32), "v").key
    np.testing.assert_array_equal(one.read(), noise(1))


def test_mask_when_written_as_png_then_its_codes_come_back(tmp_path: Path) -> None:
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    (tmp_path / "mask.png").write_bytes(png_bytes(mask))
    np.testing.assert_array_equal(read_picture(tmp_path / "mask.png"), mask)


def test_picture_when_it_is_huge_or_a_pipe_then_nothing_is_decoded_or_waited_for(tmp_path: Path) -> None:
    Image.new("L", (9000, 8000)).save(tmp_path / "huge.png")
    with pytest.raises(UnreadableInstanceError, match="at most 67108864 pixels, got 8000 x 9000"):
        read_picture(tmp_path / "huge.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableInstanceError, match="it is a named pipe"):
        read_picture(tmp_path / "pipe.png")
