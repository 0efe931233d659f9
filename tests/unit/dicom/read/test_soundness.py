"""Headers of encoded frames: sound ones pass, and those that would harm a codec never reach it."""

from __future__ import annotations

import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from stenograde.dicom.read.elements import RLE
from stenograde.dicom.read.instances import PixelLayout
from stenograde.dicom.read.soundness import UnsoundFrameError, check_frame

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
