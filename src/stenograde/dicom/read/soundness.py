"""Checks the headers of encoded frames before a codec sees them.

Codecs are foreign machine code: a damaged header can make one read beyond its memory, which ends the process,
or fill a picture of 65535 x 65535 pixels, which takes half a minute. What is checked here is what a test with
mutated bytes has shown to do so.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from stenograde.dicom.read import elements
from stenograde.dicom.read.instances import PixelLayout

_RLE_HEADER_BYTES: Final = 64
_RLE_MOST_SEGMENTS: Final = 15

_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Second bytes of JPEG markers that stand alone (ITU-T T.81, B.1.1.3)."""

_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
"""Second bytes of JPEG markers that give the size (ITU-T T.81, B.2.2; ITU-T T.87, C.2.2)."""

_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = b"\xff\xd9"
_CODE_STREAM: Final = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 code stream, and of its SIZ marker (ITU-T T.800, A.4.1, A.5.1)."""

_MOST_TILES: Final = 16_384
"""Most tiles of a frame; a matrix of 1024 in tiles of 64 has 256."""

_RUN_LENGTH_RATIO: Final = 64
"""Most bytes that a byte of run lengths can stand for: two say 128 (PS3.5 G.3.1)."""

_JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
_JPEG_2000: Final = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))


class UnsoundFrameError(ValueError):
    """The header of an encoded frame cannot be right; ``str`` is the reason as a phrase."""


def check_frame(frame: bytes, layout: PixelLayout) -> None:
    """Check that an encoded frame's header fits its bytes and the instance's rows and columns.

    Parameters
    ----------
    frame : bytes
        All fragments of one frame.
    layout : PixelLayout

    Raises
    ------
    UnsoundFrameError
        If it does not.

    References
    ----------
    PS3.5 annex G (RLE); ITU-T T.81 B.2 (JPEG); ITU-T T.87 C.2 (JPEG-LS); ITU-T T.800 A.5.1 (JPEG 2000).
    """
    if layout.syntax == elements.RLE:
        _check_run_lengths(frame, layout)
        return
    if layout.syntax in _JPEG:
        size = _jpeg_size(frame)
        if not frame.rstrip(b"\0\xff").endswith(_END_OF_IMAGE):
            # the decoder would make up the missing part
            msg = "its JPEG pixels have no end marker"
            raise UnsoundFrameError(msg)
    elif layout.syntax in _JPEG_2000:
        size = _jpeg_2000_size(frame, layout)
    else:
        return
    if size != (layout.rows, layout.columns):
        msg = f"its encoded pixels say {size[0]} x {size[1]}, its header {layout.rows} x {layout.columns}"
        raise UnsoundFrameError(msg)


def _check_run_lengths(frame: bytes, layout: PixelLayout) -> None:
    if len(frame) < _RLE_HEADER_BYTES:
        msg = f"its RLE header has {len(frame)} of {_RLE_HEADER_BYTES} bytes"
        raise UnsoundFrameError(msg)
    n_segments, *offsets = struct.unpack_from("<16I", frame)
    n_wanted = layout.bits_allocated // 8 * layout.samples
    if n_segments != n_wanted or n_segments > _RLE_MOST_SEGMENTS:
        msg = f"its RLE header says {n_segments} segments, where {n_wanted} are needed"
        raise UnsoundFrameError(msg)
    starts = [*offsets[:n_segments], len(frame)]
    if starts[0] != _RLE_HEADER_BYTES or any(a >= b for a, b in pairwise(starts)):
        msg = "its RLE segments do not follow one another"
        raise UnsoundFrameError(msg)
    if any(_RUN_LENGTH_RATIO * (b - a) < layout.rows * layout.columns for a, b in pairwise(starts)):
        msg = f"its RLE segments are too short for {layout.rows} x {layout.columns} pixels"
        raise UnsoundFrameError(msg)


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    """Return rows and columns as the start-of-frame marker gives them."""
    pos = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while pos + 4 <= len(frame) and frame[pos] == 0xFF:
        marker = frame[pos + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            pos += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME and pos + 9 <= len(frame):
            rows, columns = struct.unpack_from(">HH", frame, pos + 5)
            return rows, columns
        if marker == _START_OF_SCAN:
            break
        pos += 2 + struct.unpack_from(">H", frame, pos + 2)[0]
    msg = "its JPEG header gives no size"
    raise UnsoundFrameError(msg)


def code_stream_start(frame: bytes) -> int:
    """Return where the JPEG 2000 code stream begins; -1 if nowhere.

    DICOM wants the code stream alone; in a JP2 file, the boxes before it must lead to it.

    References
    ----------
    PS3.5 A.4.4; ITU-T T.800 I.4 (boxes).
    """
    pos = 0
    while not frame.startswith(_CODE_STREAM, pos):
        header = frame[pos : pos + 8]
        length = int.from_bytes(header[:4], "big")
        if len(header) < 8 or (pos == 0 and header[4:] != b"jP  "):
            return -1
        if header[4:] == b"jp2c" and frame.startswith(_CODE_STREAM, pos + 8):
            return pos + 8
        if length < 8:  # (a box to the end of the file, or one whose length stands elsewhere)
            return -1
        pos += length
    return pos


def _jpeg_2000_size(frame: bytes, layout: PixelLayout) -> tuple[int, int]:
    """Return rows and columns as the SIZ marker gives them; in a JP2 file, that of its code stream."""
    start = code_stream_start(frame)
    if start < 0 or start + 42 > len(frame):
        msg = "its JPEG 2000 header gives no size"
        raise UnsoundFrameError(msg)
    right, bottom, left, top, tile_columns, tile_rows, tile_left, tile_top, n_components = struct.unpack_from(
        ">8IH", frame, start + 8
    )
    if n_components != layout.samples:
        msg = f"its JPEG 2000 header says {n_components} components, where {layout.samples} is needed"
        raise UnsoundFrameError(msg)
    n_tiles = -(-max(right - tile_left, 0) // max(tile_columns, 1)) * -(
        -max(bottom - tile_top, 0) // max(tile_rows, 1)
    )
    if min(tile_columns, tile_rows) < 1 or n_tiles > _MOST_TILES:
        msg = f"its JPEG 2000 header says tiles of {tile_rows} x {tile_columns}"
        raise UnsoundFrameError(msg)
    return bottom - top, right - left
