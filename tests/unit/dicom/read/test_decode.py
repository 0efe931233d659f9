"""Pixels come out bit for bit as pydicom gives them, in every transfer syntax; the rest is an error."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.dicom_files import LOSSLESS, NATIVE, encoded, mr_dataset, picture, save, write_series

from stenograde.dicom.read.decode import stored_pixels
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.errors import UnreadableInstanceError


def keyword_of(syntax: object) -> str | None:
    return getattr(syntax, "keyword", None)


def ours(path: Path, frame: int = 0) -> np.ndarray:
    return stored_pixels(read_instance(StudyFile(str(path), path.name)), frame)


def theirs(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning of pydicom about our test file is not under test
        return dcmread(path).pixel_array


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=keyword_of)
@pytest.mark.parametrize("shape", [(20, 16), (33, 7)])
def test_lossless_pixels_are_those_written_and_those_of_pydicom(tmp_path, syntax, shape):
    pixels = picture(*shape)
    path = save(mr_dataset(pixels), tmp_path / "slice", syntax)

    decoded = ours(path)

    np.testing.assert_array_equal(decoded, pixels)
    np.testing.assert_array_equal(decoded, theirs(path))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEGLosslessSV1], ids=keyword_of)
def test_signed_pixels_are_read_as_signed(tmp_path, syntax):
    pixels = (picture().astype(np.int32) - 2048).astype(np.int16)
    path = save(mr_dataset(pixels, BitsStored=16, HighBit=15), tmp_path / "slice", syntax)

    np.testing.assert_array_equal(ours(path), pixels)
    np.testing.assert_array_equal(ours(path), theirs(path))


@pytest.mark.parametrize("syntax", [*NATIVE[:2], *LOSSLESS, JPEGBaseline8Bit], ids=keyword_of)
def test_pixels_of_eight_bits_are_those_of_pydicom(tmp_path, syntax):
    pixels = picture(top=255).astype(np.uint8)
    path = save(mr_dataset(pixels), tmp_path / "slice", syntax)

    np.testing.assert_array_equal(ours(path), theirs(path))


def test_twelve_bit_extended_jpeg_is_near_what_was_written(tmp_path):
    """No plugin of pydicom here reads this one with certainty, so it is held against what was written."""
    pixels = picture(64, 48)
    path = save(mr_dataset(pixels), tmp_path / "slice", JPEGExtended12Bit)

    assert np.abs(ours(path).astype(int) - pixels).max() < 100


def test_bits_above_bits_stored_are_dropped(tmp_path):
    pixels = picture() | np.uint16(0xA000)
    path = save(mr_dataset(pixels), tmp_path / "slice")

    np.testing.assert_array_equal(ours(path), pixels & 0x0FFF)
    np.testing.assert_array_equal(ours(path), theirs(path))


@pytest.mark.parametrize("syntax", NATIVE, ids=keyword_of)
def test_pixels_in_the_upper_bits_are_taken_from_there(tmp_path, syntax):
    """HighBit 15 with BitsStored 12, as older files have it (PS3.5 8.1.1)."""
    pixels = picture()
    path = save(mr_dataset(pixels << 4, HighBit=15), tmp_path / "slice", syntax)

    np.testing.assert_array_equal(ours(path), pixels)


def test_a_high_bit_that_the_pixels_belie_is_not_followed(tmp_path):
    pixels = picture() | 1
    path = save(mr_dataset(pixels, HighBit=15), tmp_path / "slice")

    np.testing.assert_array_equal(ours(path), pixels)


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEG2000Lossless], ids=keyword_of)
def test_smooth_values_beyond_bits_stored_are_read_as_they_stand(tmp_path, syntax):
    pixels = picture(top=8190)
    ds = mr_dataset(pixels, BitsStored=13, HighBit=12)
    path = save(ds, tmp_path / "slice", syntax)
    data = path.read_bytes()
    element = b"\x28\x00\x01\x01US\x02\x00\x0d\x00"
    if element in data:
        path.write_bytes(data.replace(element, element[:-2] + b"\x0c\x00"))
        assert read_instance(StudyFile(str(path), "slice")).layout.bits_stored == 12

    np.testing.assert_array_equal(ours(path), pixels)


def test_signed_pixels_that_wrap_are_read_as_unsigned(tmp_path):
    pixels = picture(top=60000).astype(np.uint16)
    ds = mr_dataset(pixels, BitsStored=16, HighBit=15, PixelRepresentation=1)
    path = save(ds, tmp_path / "slice")

    np.testing.assert_array_equal(ours(path), pixels)


def test_signed_pixels_of_twelve_bits_carry_their_sign(tmp_path):
    signed = (picture().astype(np.int32) - 2048).astype(np.int16)
    ds = mr_dataset(signed)
    ds.PixelData = (signed & 0x0FFF).tobytes()
    path = save(ds, tmp_path / "slice")

    np.testing.assert_array_equal(ours(path), signed)
    np.testing.assert_array_equal(ours(path), theirs(path))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEG2000Lossless], ids=keyword_of)
def test_frames_of_a_multi_frame_instance_are_told_apart(tmp_path, syntax):
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    path = save(mr_dataset(frames, NumberOfFrames=3), tmp_path / "slice", syntax)

    for index in range(3):
        np.testing.assert_array_equal(ours(path, index), theirs(path)[index])


def test_rescale_gives_stored_units_as_float32(tmp_path):
    write_series(tmp_path, n=3, RescaleSlope=2, RescaleIntercept=-5, SeriesDescription="T2")
    (series,) = read_study(tmp_path).series

    values = series.volumes[0].slices([1])

    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[0], picture(seed=101).astype(np.float32) * 2 - 5)
    assert any("RescaleSlope" in problem for problem in series.problems)


def test_monochrome1_is_turned_over(tmp_path):
    write_series(tmp_path, n=3, PhotometricInterpretation="MONOCHROME1", SeriesDescription="T2")
    (series,) = read_study(tmp_path).series

    np.testing.assert_array_equal(
        series.volumes[0].slices([0])[0], 4095 - picture(seed=100).astype(np.float32)
    )
    assert any("MONOCHROME1" in problem for problem in series.problems)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless], ids=keyword_of)
def test_only_the_slices_asked_for_are_decoded(tmp_path, syntax):
    paths = write_series(
        tmp_path, n=5, syntax=syntax, SeriesDescription="T2", EchoTime=100, RepetitionTime=3000
    )
    volume = read_study(tmp_path).series[0].volumes[0]
    for path in paths[2:]:
        path.unlink()

    assert volume.slices([0, 1]).shape == (2, 20, 16)
    with pytest.raises(UnreadableInstanceError, match=r"file 5 of 5 cannot be read"):
        volume.slices([4])


def test_a_syntax_without_decoder_names_the_syntax_and_a_package(tmp_path):
    path = save(mr_dataset(picture()), tmp_path / "slice", RLELossless)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.6\0"))

    with pytest.raises(
        UnreadableInstanceError, match=r"got transfer syntax .*1\.2\.840\.10008\.1\.2\.6.*pylibjpeg"
    ):
        ours(path)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=keyword_of)
def test_spoilt_pixels_are_an_error_and_no_picture(tmp_path, syntax):
    path = save(mr_dataset(picture()), tmp_path / "slice", syntax)
    data = bytearray(path.read_bytes())
    start = data.rindex(b"\xfe\xff\x00\xe0") + 8
    data[start : start + 24] = b"\x55" * 24
    path.write_bytes(bytes(data))

    with pytest.raises(
        UnreadableInstanceError, match=r"slice must (have pixels that can be decoded|decode to)"
    ):
        ours(path)


@pytest.mark.parametrize("syntax", [*LOSSLESS, JPEGBaseline8Bit, JPEGExtended12Bit], ids=keyword_of)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_cut_pixels_are_an_error_and_never_filled_up(tmp_path, syntax, share):
    """The fragment is whole, but the picture in it is not: some decoders make up the rest."""
    pixels = picture(64, 64, top=255).astype(np.uint8) if syntax == JPEGBaseline8Bit else picture(64, 64)
    ds = mr_dataset(pixels)
    frame = encoded(pixels, syntax, ds.BitsStored)
    path = save(ds, tmp_path / "slice", syntax)
    data = path.read_bytes()
    kept = frame[: int(len(frame) * share) // 2 * 2]
    start = data.index(frame[:32]) - 8
    path.write_bytes(data[:start] + b"\xfe\xff\x00\xe0" + len(kept).to_bytes(4, "little") + kept)

    with pytest.raises(UnreadableInstanceError, match="slice must"):
        ours(path)
