"""Headers of encoded frames: sound ones pass, and those that would harm a codec never reach it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from tests.dicom_files import mr_dataset, picture, save

from stenograde.dicom.read.elements import RLE, deflated_start, inflate
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.instances import PixelLayout
from stenograde.dicom.read.opening import read_instance
from stenograde.dicom.read.soundness import UnsoundFrameError, check_frame
from stenograde.errors import UnreadableInstanceError

LAYOUT = PixelLayout(
    syntax=RLE,
    rows=4,
    columns=6,
    n_frames=1,
    samples=1,
    bits_allocated=16,
    bits_stored=12,
    high_bit=11,
    is_signed=False,
    photometric="MONOCHROME2",
    offset=0,
    fragments=(),
    is_walked=True,
)
PICTURE = np.arange(24, dtype=np.uint16).reshape(4, 6)
ENCODED = {
    "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_encode(PICTURE, bitspersample=12),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode(PICTURE),
    "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_encode(PICTURE, level=0, codecformat="j2k"),
}


def run_lengths(*header: int, n_bytes: int = 40) -> bytes:
    return struct.pack("<16I", *header, *[0] * (16 - len(header))) + bytes(n_bytes)


def test_run_lengths_when_segments_follow_one_another_then_they_pass() -> None:
    check_frame(run_lengths(2, 64, 80), LAYOUT)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "its RLE header has 0 of 64 bytes"),
        (run_lengths(2, 64, 80)[:63], "its RLE header has 63 of 64 bytes"),
        (run_lengths(1, 64), "its RLE header says 1 segments, where 2 are needed"),
        (run_lengths(2**32 - 1, 64, 80), "its RLE header says 4294967295 segments"),
        (run_lengths(2, 60, 80), "its RLE segments do not follow one another"),
        (run_lengths(2, 64, 64), "its RLE segments do not follow one another"),
        (run_lengths(2, 64, 104), "its RLE segments do not follow one another"),
        (run_lengths(2, 64, 2**32 - 8), "its RLE segments do not follow one another"),
    ],
)
def test_run_lengths_when_the_header_is_damaged_then_they_are_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(UnsoundFrameError, match=f"^{reason}"):
        check_frame(frame, LAYOUT)


@pytest.mark.parametrize("syntax", ENCODED)
def test_code_stream_when_its_size_is_the_instances_then_it_passes(syntax: str) -> None:
    check_frame(ENCODED[syntax], replace(LAYOUT, syntax=syntax))


@pytest.mark.parametrize("syntax", ENCODED)
def test_code_stream_when_its_size_is_another_then_it_is_refused(syntax: str) -> None:
    with pytest.raises(UnsoundFrameError, match=r"^its encoded pixels say 4 x 6, its header 4 x 7$"):
        check_frame(ENCODED[syntax], replace(LAYOUT, syntax=syntax, columns=7))


@pytest.mark.parametrize("syntax", ENCODED)
def test_code_stream_when_cut_anywhere_in_its_header_then_it_is_refused_or_sound(syntax: str) -> None:
    layout = replace(LAYOUT, syntax=syntax)
    with pytest.raises(UnsoundFrameError, match=r"header gives no size$"):
        check_frame(ENCODED[syntax][:8], layout)
    for length in range(60):
        try:
            check_frame(ENCODED[syntax][:length], layout)
        except UnsoundFrameError:
            continue


def test_syntax_without_a_header_of_its_own_when_checked_then_it_passes() -> None:
    check_frame(b"", replace(LAYOUT, syntax="1.2.840.10008.1.2.1"))


def test_a_deflated_data_set_when_it_inflates_to_far_more_than_its_size_then_it_is_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(mr_dataset(picture()), tmp_path / "slice", DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    start = deflated_start(data)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    padding = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 100 << 20)
    body = packer.compress(zlib.decompress(data[start:], -15) + padding)
    body += b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()
    path.write_bytes(data[:start] + body)
    asked: list[int] = []

    def counted(deflated: bytes) -> bytes:
        asked.append(len(deflated))
        return inflate(deflated)

    monkeypatch.setattr("stenograde.dicom.read.elements.inflate", counted)
    with pytest.raises(
        UnreadableInstanceError, match=r"^deflated data set cannot be inflated to at most 64 MiB$"
    ):
        read_instance(StudyFile(str(path), "slice"))
    assert len(asked) == 1
