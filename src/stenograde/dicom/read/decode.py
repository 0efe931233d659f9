"""Decodes pixels: one transfer syntax, one codec; slices are decoded when asked for, in threads.

The codecs were chosen by measurement (``docs/decisions/0004-decoding.md``). What they cannot decode is handed
to pydicom with whatever plugins are installed, in a process of its own; what that cannot decode is an error that
names the syntax.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from stenograde.dicom.read import elements
from stenograde.dicom.read.apart import MAX_PIXELS, ForeignDecoder, FrameRequest
from stenograde.dicom.read.frames import Frame
from stenograde.dicom.read.instances import Instance, PixelLayout, n_native_bytes, standard_uid
from stenograde.dicom.read.soundness import UnsoundFrameError, check_frame, code_stream_start
from stenograde.errors import UnreadableInstanceError
from stenograde.workers import n_cores

Pixels = NDArray[Any]


def _rle(frame: bytes, layout: PixelLayout) -> Pixels:
    """Decode run lengths, one segment per byte of a pixel, the highest first (PS3.5 G.2).

    Each segment is decoded by itself, because the decoder of whole frames fills a segment that ends too soon
    with the next one or with nothing, and says no word.
    """
    n_segments, *starts = struct.unpack_from("<16I", frame)
    n_pixels = layout.rows * layout.columns
    bounds = [*starts[:n_segments], len(frame)]
    planes = np.empty((n_pixels, n_segments), np.uint8)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        segment = imagecodecs.packbits_decode(frame[start:stop])
        if len(segment) < n_pixels:
            msg = f"RLE segment {number + 1} holds {len(segment)} of {n_pixels} bytes"
            raise ValueError(msg)
        planes[:, n_segments - 1 - number] = np.frombuffer(segment, np.uint8, n_pixels)
    return planes.view(f"<u{n_segments}")


def _jpeg(frame: bytes, _layout: PixelLayout) -> Pixels:
    return imagecodecs.jpeg8_decode(frame)


def _jpeg_lossless(frame: bytes, _layout: PixelLayout) -> Pixels:
    try:
        return imagecodecs.jpeg8_decode(frame)
    except imagecodecs.Jpeg8Error:
        # a second decoder: the first refuses some selection values and precisions
        return imagecodecs.jpegsof3_decode(frame)


def _jpeg_ls(frame: bytes, _layout: PixelLayout) -> Pixels:
    return imagecodecs.jpegls_decode(frame)


def _jpeg_2000(frame: bytes, _layout: PixelLayout) -> Pixels:
    # for high throughput, too: imagecodecs.htj2k_decode is twice as fast, but gives part of a damaged picture;
    # of a JP2 file only the code stream is decoded, for its boxes may send a decoder in circles
    return imagecodecs.jpeg2k_decode(frame[code_stream_start(frame) :])


_CODECS: Final[dict[str, Callable[[bytes, PixelLayout], Pixels]]] = {
    elements.RLE: _rle,
    "1.2.840.10008.1.2.4.50": _jpeg,
    "1.2.840.10008.1.2.4.51": _jpeg,
    "1.2.840.10008.1.2.4.57": _jpeg_lossless,
    "1.2.840.10008.1.2.4.70": _jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _jpeg_ls,
    "1.2.840.10008.1.2.4.81": _jpeg_ls,
    "1.2.840.10008.1.2.4.90": _jpeg_2000,
    "1.2.840.10008.1.2.4.91": _jpeg_2000,
    "1.2.840.10008.1.2.4.201": _jpeg_2000,
    "1.2.840.10008.1.2.4.202": _jpeg_2000,
    "1.2.840.10008.1.2.4.203": _jpeg_2000,
}
"""Codec by transfer syntax UID (PS3.6 table A-1)."""


_OTHER_DECODERS: Final = "pylibjpeg with pylibjpeg-libjpeg"
_DECODERS: Final = {
    f"1.2.840.10008.1.2.4.{number}": "a newer imagecodecs with JPEG XL" for number in (110, 111, 112)
}
"""Package that would decode a transfer syntax, where it is not one of the usual."""


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Decodes the slices of one volume on demand; a :class:`stenograde.study.SliceSource`."""

    frames: tuple[Frame, ...]
    notes: list[str] = field(default_factory=list, repr=False)
    """What was found out of the pixels while decoding them, once for each slice."""

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Instances that hold the slices, each once, in the order of slices."""
        return tuple(dict.fromkeys(frame.instance for frame in self.frames))

    def __call__(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return slices, shape (n, rows, columns), float32, in the stored units, in the given order.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        layout = self.frames[0].instance.layout
        assert layout is not None
        slices = np.empty((len(indices), layout.rows, layout.columns), np.float32)
        frames = _at_hand([self.frames[index] for index in indices])
        jobs = [(frame, place, self.notes) for frame, place in zip(frames, slices, strict=True)]
        n_threads = min(n_cores(), len(jobs) // 2)
        with ForeignDecoder() as foreign:
            if n_threads < 2:
                _decode_all(jobs, foreign)
                return slices
            with ThreadPoolExecutor(n_threads) as pool:
                parts = [jobs[start::n_threads] for start in range(n_threads)]
                # a list, so that an error in a thread is raised here
                list(pool.map(partial(_decode_all, foreign=foreign), parts))
        return slices


def _at_hand(frames: list[Frame]) -> list[Frame]:
    """Unpack a file once, not once for each of its frames or fragments."""
    unpacked: dict[int, Instance] = {}
    for frame in frames:
        instance, layout = frame.instance, frame.instance.layout
        assert layout is not None
        has_one_part = layout.n_frames == 1 and len(layout.fragments) <= 2
        if has_one_part or not layout.is_walked or id(instance) in unpacked:
            continue
        if layout.syntax == elements.DEFLATED:
            data = instance.file.whole()
            inflated = elements.inflate(data[elements.deflated_start(data) :])
            plain = replace(layout, syntax=elements.EXPLICIT_LITTLE)
            unpacked[id(instance)] = replace(
                instance, file=replace(instance.file, data=inflated), layout=plain
            )
        elif instance.file.packed is not None:
            unpacked[id(instance)] = replace(instance, file=instance.file.at_hand())
    if not unpacked:
        return frames
    return [replace(frame, instance=unpacked.get(id(frame.instance), frame.instance)) for frame in frames]


def _decode_all(jobs: list[tuple[Frame, NDArray[np.float32], list[str]]], foreign: ForeignDecoder) -> None:
    for frame, place, notes in jobs:
        stored = stored_pixels(frame.instance, frame.index, foreign)
        layout = frame.instance.layout
        assert layout is not None
        if layout.bits_stored < layout.bits_allocated and misread(stored, layout):
            notes.append(f"pixels exceed BitsStored {layout.bits_stored}; they are read as they stand")
        elif layout.is_signed and stored.dtype.kind == "u" and misread(stored, layout):
            notes.append("signed pixels wrap around; they are read as unsigned")
        _to_units(stored, frame, place)


def _to_units(stored: Pixels, frame: Frame, place: NDArray[np.float32]) -> None:
    """Write stored values as the values they stand for (PS3.3 C.11.1.1.2), brighter being greater."""
    layout = frame.instance.layout
    assert layout is not None
    if layout.photometric == "MONOCHROME1":
        # the lowest value is shown white: turn the range of stored values over
        highest = -1 if layout.is_signed else (1 << layout.bits_stored) - 1
        highest = max(highest, int(stored.max(initial=0))) if misread(stored, layout) else highest
        stored = highest - stored.astype(np.int64)
    if frame.slope == 1 and frame.intercept == 0:
        np.copyto(place, stored, casting="unsafe")
        return
    np.multiply(stored, np.float32(frame.slope), out=place, dtype=np.float32, casting="unsafe")
    place += np.float32(frame.intercept)


def stored_pixels(instance: Instance, frame: int = 0, foreign: ForeignDecoder | None = None) -> Pixels:
    """Decode one frame to its stored values, before any rescaling.

    Parameters
    ----------
    instance : Instance
    frame : int
        Frame within the instance, from 0.
    foreign : ForeignDecoder, optional
        Process for what our own codecs refuse; one is started and ended when it is needed if not given.

    Returns
    -------
    stored : ndarray of shape (rows, columns), integer

    Raises
    ------
    UnreadableInstanceError
        If the pixels cannot be decoded.
    """
    layout = instance.layout
    if layout is None:
        msg = f"{instance.file.name} must hold pixel data, got none"
        raise UnreadableInstanceError(msg)
    if layout.rows * layout.columns > MAX_PIXELS:
        msg = (
            f"{instance.file.name} must have at most {MAX_PIXELS} pixels, "
            f"got {layout.rows} x {layout.columns}"
        )
        raise UnreadableInstanceError(msg)
    if not layout.is_walked:
        return _decoded_apart(instance, frame, "", foreign)
    if layout.syntax in elements.NATIVE:
        return _native(instance, layout, frame)
    codec = _CODECS.get(layout.syntax)
    if codec is None:
        return _decoded_apart(instance, frame, "", foreign)
    try:
        encoded = _encoded(instance, layout, frame)
        check_frame(encoded, layout)
        decoded = codec(encoded, layout)
    except UnsoundFrameError as exc:
        msg = f"{instance.file.name} must have pixels that can be decoded, got damaged ones ({exc})"
        raise UnreadableInstanceError(msg) from exc
    except (RuntimeError, ValueError, TypeError, IndexError) as exc:
        return _decoded_apart(instance, frame, type(exc).__name__, foreign)
    if decoded.size != layout.rows * layout.columns:
        msg = (
            f"{instance.file.name} must decode to {layout.rows} x {layout.columns} pixels, "
            f"got {' x '.join(map(str, decoded.shape))}"
        )
        raise UnreadableInstanceError(msg)
    return _as_meant(decoded.reshape(layout.rows, layout.columns), layout)


def _native(instance: Instance, layout: PixelLayout, frame: int) -> Pixels:
    n_bytes = n_native_bytes(layout) // layout.n_frames
    offset = layout.offset + frame * n_bytes
    if layout.syntax == elements.DEFLATED:
        data = instance.file.whole()
        raw = elements.inflate(data[elements.deflated_start(data) :])[offset : offset + n_bytes]
    else:
        raw = instance.file.part(offset, n_bytes)
    if len(raw) < n_bytes:
        msg = (
            f"{instance.file.name} must hold {n_bytes} bytes per slice, got {len(raw)}; the file has changed"
        )
        raise UnreadableInstanceError(msg)
    order = ">" if instance.is_big_endian else "<"
    stored = np.frombuffer(raw, f"{order}u{layout.bits_allocated // 8}")
    return _as_meant(stored.reshape(layout.rows, layout.columns), layout)


def _as_meant(stored: Pixels, layout: PixelLayout) -> Pixels:
    """Read the stored bits as BitsStored, HighBit and PixelRepresentation say (PS3.5 8.1.1).

    Where pixels do not fit what the header says, of the readings that are left the one is taken that makes the
    smoother picture: a value that wraps around makes an edge. See :func:`misread`.
    """
    bits = stored.dtype.itemsize * 8
    above = max(bits - 1 - layout.high_bit, 0)
    below = max(layout.high_bit + 1 - layout.bits_stored, 0)
    if below and not (stored & ((1 << below) - 1)).any():
        stored = stored >> below
        above += below
    elif below:
        above = 0  # the cell is not where HighBit says
    unsigned = stored.view(stored.dtype.str.replace("i", "u"))
    if not layout.is_signed:
        if above and int(unsigned.max(initial=0)) >> (bits - above):
            return _smoother(unsigned & ((1 << (bits - above)) - 1), unsigned)
        return unsigned
    signed = unsigned.view(stored.dtype.str.replace("u", "i"))
    wrapped = (signed << above) >> above if above else signed
    if int(wrapped.min(initial=0)) >= 0:
        return wrapped
    return _smoother(_smoother(wrapped, signed), unsigned)


def _smoother(first: Pixels, second: Pixels) -> Pixels:
    """Return that of two readings of the same pixels which has the smaller steps; the first if they are alike."""
    steps = [
        float(np.abs(np.diff(one.astype(np.float64), axis=axis)).sum())
        for one in (first, second)
        for axis in (0, 1)
    ]
    return second if steps[2] + steps[3] < steps[0] + steps[1] else first


def misread(stored: Pixels, layout: PixelLayout) -> bool:
    """Whether decoded pixels exceed what BitsStored and PixelRepresentation allow: they were read as they stand."""
    if not stored.size:
        return False
    if stored.dtype.kind == "u" or not layout.is_signed:
        return int(stored.max()) >= 1 << (layout.bits_stored - layout.is_signed)
    half = 1 << (layout.bits_stored - 1)
    return int(stored.min()) < -half or int(stored.max()) >= half


def _encoded(instance: Instance, layout: PixelLayout, frame: int) -> bytes:
    """Return the encoded bytes of one frame (PS3.5 A.4)."""
    fragments = layout.fragments[1:]
    if layout.n_frames == 1:
        wanted = fragments
    elif len(fragments) == layout.n_frames:
        wanted = fragments[frame : frame + 1]
    else:
        wanted = _fragments_by_table(instance, layout, frame)
    if not wanted:
        msg = f"frame {frame + 1} has no fragment"
        raise ValueError(msg)
    parts = [instance.file.part(offset, length) for offset, length in wanted]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _fragments_by_table(instance: Instance, layout: PixelLayout, frame: int) -> tuple[tuple[int, int], ...]:
    """Fragments of a frame by the basic offset table."""
    table = np.frombuffer(instance.file.part(*layout.fragments[0]), "<u4").astype(np.int64)
    if len(table) != layout.n_frames:
        msg = f"{len(layout.fragments) - 1} fragments of {layout.n_frames} frames have no offset table"
        raise ValueError(msg)
    # offsets count from the item tag of the first fragment, 8 bytes before its value
    first = layout.fragments[1][0] - 8
    start = first + int(table[frame])
    stop = first + int(table[frame + 1]) if frame + 1 < layout.n_frames else 1 << 62
    return tuple(fragment for fragment in layout.fragments[1:] if start <= fragment[0] - 8 < stop)


def _decoded_apart(instance: Instance, frame: int, why: str, foreign: ForeignDecoder | None) -> Pixels:
    """Decode a frame by pydicom; in a process of its own where a foreign decoder takes part."""
    layout = instance.layout
    assert layout is not None
    request = FrameRequest(layout.syntax, layout.rows, layout.columns, layout.n_frames, frame)
    data = instance.file.whole()
    try:
        if layout.syntax in elements.NATIVE:
            # pydicom is loaded only when it is needed: it costs a quarter of a second
            from stenograde.dicom.read.foreign import decode_foreign  # noqa: PLC0415

            return decode_foreign(data, request)
        if foreign is not None:
            return foreign.decode(data, request)
        with ForeignDecoder() as own:
            return own.decode(data, request)
    except UnreadableInstanceError as exc:
        package = _DECODERS.get(layout.syntax, f"{_OTHER_DECODERS} may")
        msg = (
            f"{instance.file.name} must have pixels that can be decoded, got transfer syntax "
            f"{standard_uid(layout.syntax)} ({f'{why}; ' if why else ''}{exc}); {package} decode it if the file is "
            "sound"
        )
        raise UnreadableInstanceError(msg) from exc
