"""Foreign decoders work in a process of their own: what hangs there or takes all memory is ended, and said."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, RLELossless
from tests.dicom_files import T2, mr_dataset, picture, save, write_series

from stenograde.dicom.read import apart
from stenograde.dicom.read.apart import ForeignDecoder, FrameRequest
from stenograde.dicom.read.decode import stored_pixels
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.errors import UnreadableInstanceError

REQUEST = FrameRequest(RLELossless, 20, 16, 1, 0)


def only_pydicom_reads(path: Path) -> Path:
    """Give an element a VR that the quick walk does not know."""
    path.write_bytes(path.read_bytes().replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00XX"))
    return path


def instead_of_the_decoder(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(apart, "_START", f"import sys; sys.stdin.buffer.read(1); {program}")


def children() -> set[int]:
    """Processes whose parent is this one."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text().partition(" (")
        except OSError:
            continue  # it ended meanwhile
        if rest.rpartition(") ")[2].split()[1] == str(os.getpid()):
            found.add(int(pid))
    return found


def test_a_sound_frame_is_decoded_as_by_our_own_codecs(tmp_path: Path) -> None:
    path = save(mr_dataset(picture()), tmp_path / "slice", RLELossless)
    before = children()
    with ForeignDecoder() as decoder:
        for _ in range(2):
            np.testing.assert_array_equal(decoder.decode(path.read_bytes(), REQUEST), picture())
        assert len(children() - before) == 1
    assert children() == before


def test_encapsulated_pixels_that_only_pydicom_can_parse_are_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path, series=2, syntax=RLELossless, **T2)
    for path in paths:
        only_pydicom_reads(path)

    (series,) = read_study(tmp_path).series

    assert any("read by pydicom" in problem for problem in series.problems)
    for index in range(5):
        np.testing.assert_array_equal(series.volumes[0].slices([index])[0], picture(seed=200 + index))


def test_a_decoder_that_hangs_is_ended_and_what_follows_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instead_of_the_decoder(monkeypatch, "\nwhile True: pass")
    monkeypatch.setattr(apart, "MAX_SECONDS", 0.5)
    before, start = children(), time.monotonic()
    with ForeignDecoder() as decoder:
        for _ in range(20):
            with pytest.raises(UnreadableInstanceError, match=r"decoding took longer than 0\.5 s"):
                decoder.decode(b"x", REQUEST)
    assert time.monotonic() - start < 8
    assert children() == before


@pytest.mark.parametrize(
    "program",
    [
        "bytearray(1 << 45)",
        "import os; os.kill(os.getpid(), 11)",
        "sys.exit(0)",
        "print('x' * 100)",
        "sys.stdout.buffer.write(bytes(8))",
    ],
)
def test_a_decoder_that_ends_or_talks_nonsense_is_an_error(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    instead_of_the_decoder(monkeypatch, program)
    with ForeignDecoder() as decoder, pytest.raises(UnreadableInstanceError, match="its decoder ended"):
        decoder.decode(b"x", REQUEST)


def jpeg_2000(tmp_path: Path, frame: bytes, rows: int = 20, columns: int = 16) -> Path:
    ds = mr_dataset(picture())
    path = save(ds, tmp_path / "slice", JPEG2000Lossless)
    ds.Rows, ds.Columns = rows, columns
    ds.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)
    return path


def ours(path: Path) -> np.ndarray:
    return stored_pixels(read_instance(StudyFile(str(path), path.name)))


@pytest.mark.parametrize("place", [3, 15, 35])
def test_boxes_of_a_jp2_file_must_lead_to_its_code_stream(tmp_path: Path, place: int) -> None:
    """A box of length 0 sends a parser in circles that is none of ours."""
    frame = bytearray(imagecodecs.jpeg2k_encode(picture(), codecformat="jp2", reversible=True, level=0))
    assert (frame[16:20], frame[36:40]) == (b"ftyp", b"jp2h")
    np.testing.assert_array_equal(ours(jpeg_2000(tmp_path, bytes(frame))), picture())
    frame[place] = 0
    start = time.monotonic()
    with pytest.raises(UnreadableInstanceError, match="its JPEG 2000 header gives no size"):
        ours(jpeg_2000(tmp_path, bytes(frame)))
    assert time.monotonic() - start < 5


def test_a_code_stream_that_sends_a_parser_in_circles_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our codec refuses it, and the parser that is asked next does not end."""
    monkeypatch.setattr(apart, "MAX_SECONDS", 4.0)
    frame = bytearray(imagecodecs.jpeg2k_encode(picture(), codecformat="jp2", reversible=True, level=0))
    frame[-40:] = bytes(40)
    start = time.monotonic()
    with pytest.raises(UnreadableInstanceError, match="must have pixels that can be decoded"):
        ours(jpeg_2000(tmp_path, bytes(frame)))
    assert time.monotonic() - start < 8 * apart.MAX_SECONDS


@pytest.mark.parametrize("edge", [16_000, 65_535])
def test_a_short_code_stream_that_says_a_huge_matrix_allocates_nothing(tmp_path: Path, edge: int) -> None:
    frame = bytearray(imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint16), codecformat="j2k", level=0))
    struct.pack_into(">4I", frame, 8, edge, edge, 0, 0)
    struct.pack_into(">2I", frame, 24, edge, edge)
    with pytest.raises(UnreadableInstanceError, match=f"at most 67108864 pixels, got {edge} x {edge}"):
        ours(jpeg_2000(tmp_path, bytes(frame), edge, edge))
