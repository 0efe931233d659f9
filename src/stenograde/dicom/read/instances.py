"""One SOP instance as we read it: typed header facts, where its pixels lie, and the slices it holds."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from stenograde.dicom.read import elements
from stenograde.dicom.read.elements import NeedMoreError
from stenograde.dicom.read.files import StudyFile
from stenograde.errors import UnreadableInstanceError

_HEAD_BYTES = (16_384, 262_144, -1)
"""How much of a file is read for its header, at first and when that is not enough; -1 is all."""

MAX_FRAMES: Final = 20_000
"""Most frames of one instance; the longest MR series have a few thousand."""

MAX_FRAGMENTS: Final = 5 * MAX_FRAMES
"""Most fragments of encapsulated pixel data; a frame has one, seldom more."""

_STEERING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and marks that turn the direction of writing: a header has no use for them."""

_STANDARD_UID: Final = re.compile(r"1\.2\.840\.10008(\.\d{1,3}){2,8}")
"""Form of the UIDs of the standard (PS3.6 annex A); no date or number of a patient fits into it."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Where the pixels of an instance lie, and how they are written (PS3.3 C.7.6.3)."""

    syntax: str
    """Transfer syntax UID."""
    rows: int
    columns: int
    n_frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric: str
    offset: int
    """Start of the value, in bytes."""
    fragments: tuple[tuple[int, int], ...]
    """Start and length of each fragment of encapsulated pixels; the first is the basic offset table."""
    is_walked: bool
    """False when only the tolerant reader could parse the file; it then decodes it, too."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One readable SOP instance."""

    file: StudyFile
    values: Mapping[str, bytes]
    """Raw values of :data:`stenograde.dicom.read.elements.WANTED`."""
    is_big_endian: bool
    layout: PixelLayout | None
    """None when it holds no pixels."""
    has_functional_groups: bool
    notes: tuple[str, ...]
    """What was tolerated."""

    def text(self, keyword: str) -> str:
        """Value as text, without what would steer a terminal; empty when absent."""
        raw = self.values.get(keyword)
        if not raw:
            return ""
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii").strip("\0 ")
        else:
            text = _decoded(raw, self.values.get("SpecificCharacterSet", b""))
        return text if text.isprintable() else _STEERING.sub("\ufffd", text)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Value as several texts; none when absent."""
        text = self.text(keyword)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Value as decimal numbers; none when absent, not numbers, or not finite."""
        raw = self.values.get(keyword)
        if not raw or b"_" in raw:  # (which Python would take for a part of a number)
            return ()
        try:
            numbers = tuple(map(float, raw.strip(b"\0 ").split(b"\\")))
        except ValueError:
            return ()
        return numbers if all(map(math.isfinite, numbers)) else ()

    def number(self, keyword: str) -> float | None:
        """First decimal number; None when absent or not a number."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID, else the one in the file meta information; empty when absent."""
        return self.text("SOPInstanceUID") or self.text("MediaStorageSOPInstanceUID")

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID; empty when absent."""
        return self.text("SeriesInstanceUID")

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID; empty when absent."""
        return self.text("StudyInstanceUID")


def standard_uid(uid: str) -> str:
    """Return a UID of a header as it may stand in a reason: one that the standard could define, or words.

    Examples
    --------
    >>> standard_uid("1.2.840.10008.1.2.4.90"), standard_uid("DOE.JOHN.1961")
    ('1.2.840.10008.1.2.4.90', 'that the standard does not define')
    """
    return uid if _STANDARD_UID.fullmatch(uid) else "that the standard does not define"


def walk_instance(file: StudyFile) -> Instance:
    """Read the header of one file by walking its elements.

    Raises
    ------
    UnreadableInstanceError
        If it is empty, truncated, or its pixels do not fit its header; the message is the reason as a phrase.
    MalformedError
        If it is not DICOM, or the walk cannot follow it; :mod:`stenograde.dicom.read.tolerant` may.
    """
    near = file.at_hand()
    walked, head, size = _walk(near)
    instance = Instance(
        file,
        walked.values,
        walked.syntax == elements.EXPLICIT_BIG,
        None,
        walked.has_functional_groups,
        tuple(walked.notes),
    )
    if walked.pixel_offset is None:
        return instance
    layout = pixel_layout(instance, walked.syntax, walked.pixel_offset)
    notes = instance.notes
    if walked.syntax in elements.NATIVE:
        _check_native(layout, walked.pixel_length, size)
    elif walked.pixel_length is not None:
        msg = f"pixel data of transfer syntax {standard_uid(walked.syntax)} must be encapsulated, got a plain value"
        raise UnreadableInstanceError(msg)
    else:
        fragments, has_end = _fragments(near, head, walked.pixel_offset, size)
        layout = replace(layout, fragments=fragments)
        if not has_end:
            notes = (*notes, "pixel data has no sequence delimiter")
    return replace(instance, layout=layout, notes=notes)


def walk_header(file: StudyFile) -> Instance | None:
    """Read the header of a file whose pixels cannot be used; None when it cannot be read either."""
    try:
        walked, _, _ = _walk(file)
    except (UnreadableInstanceError, elements.MalformedError):
        return None
    values, is_big_endian = walked.values, walked.syntax == elements.EXPLICIT_BIG
    return Instance(file, values, is_big_endian, None, walked.has_functional_groups, tuple(walked.notes))


def pixel_layout(instance: Instance, syntax: str, offset: int, *, is_walked: bool = True) -> PixelLayout:
    """Gather how the pixels of an instance are written; fragments are left to be added.

    Raises
    ------
    UnreadableInstanceError
        If the matrix is not positive, or a number is out of range; the message is the reason as a phrase.
    """
    integer = _integers(instance)
    n_frames = instance.number("NumberOfFrames")
    if n_frames is not None and n_frames > MAX_FRAMES:
        msg = f"NumberOfFrames must be at most {MAX_FRAMES}, got {n_frames:g}"
        raise UnreadableInstanceError(msg)
    representation = integer("PixelRepresentation", 0)
    if representation not in {0, 1}:
        msg = f"PixelRepresentation must be 0 or 1, got {representation}"
        raise UnreadableInstanceError(msg)
    bits_allocated = integer("BitsAllocated", 16)
    bits_stored = integer("BitsStored", bits_allocated)
    layout = PixelLayout(
        syntax=syntax,
        rows=integer("Rows", 0),
        columns=integer("Columns", 0),
        n_frames=max(int(n_frames), 1) if n_frames is not None else 1,
        samples=integer("SamplesPerPixel", 1),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=integer("HighBit", bits_stored - 1),
        is_signed=representation == 1,
        photometric=instance.text("PhotometricInterpretation"),
        offset=offset,
        fragments=(),
        is_walked=is_walked,
    )
    if min(layout.rows, layout.columns) < 1:
        msg = f"rows and columns must be positive, got {layout.rows} and {layout.columns}"
        raise UnreadableInstanceError(msg)
    if not 1 <= layout.bits_stored <= layout.bits_allocated:
        msg = f"bits stored must be 1 to {layout.bits_allocated}, got {layout.bits_stored}"
        raise UnreadableInstanceError(msg)
    if not layout.bits_stored - 1 <= layout.high_bit < layout.bits_allocated:
        # no bits lie there: what BitsStored says is the only reading left
        layout = replace(layout, high_bit=layout.bits_stored - 1)
    return layout


def _walk(file: StudyFile) -> tuple[elements.Walked, bytes, int]:
    """Walk a file; return what was found, the bytes read for it, and the length of the file."""
    for n_bytes in _HEAD_BYTES:
        data, size = file.head(n_bytes)
        if size == 0:
            msg = "empty file (zero bytes)"
            raise UnreadableInstanceError(msg)
        try:
            walked = elements.walk_file(data, size=size)
        except NeedMoreError:
            continue
        if walked.syntax == elements.DEFLATED:
            size = len(elements.inflate(data[elements.deflated_start(data) :]))
        return walked, data, size
    msg = "header could not be read to its end"
    raise UnreadableInstanceError(msg)


def _check_native(layout: PixelLayout, length: int | None, size: int) -> None:
    expected = n_native_bytes(layout)
    if length is None or length < expected:
        msg = f"pixel data must hold {expected} bytes, got {length}"
        raise UnreadableInstanceError(msg)
    if layout.offset + expected > size:
        there = max(size - layout.offset, 0)
        msg = f"truncated: the file ends after {there} of {expected} bytes of pixel data"
        raise UnreadableInstanceError(msg)


def n_native_bytes(layout: PixelLayout) -> int:
    """Return how many bytes unencapsulated pixels take."""
    n_values = layout.rows * layout.columns * layout.samples * layout.n_frames
    return n_values // 8 if layout.bits_allocated == 1 else n_values * (layout.bits_allocated // 8)


_ITEM, _ENDED = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_DELIMITER: Final = struct.pack("<HHI", *_ENDED, 0)
_AFTER_PIXELS: Final = 0x7FE0
"""Group of the pixel data: what follows them has a greater one."""
_NEAR_BYTES: Final = 4096
"""So near to the end of the last fragment a delimiter is looked for."""
_MISFIT: Final = (
    "the fragments of its pixel data do not end where the next one begins, so bytes were lost or added"
)


def _fragments(
    file: StudyFile, head: bytes, offset: int, size: int
) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Start and length of each fragment, and whether a delimiter ends them (PS3.5 A.4)."""
    fragments: list[tuple[int, int]] = []
    data, start = head, 0
    tag = _ITEM
    while offset + 8 <= size:
        if offset - start + 8 > len(data):
            data, start = file.part(offset, _NEAR_BYTES), offset
        group, element, length = struct.unpack_from("<HHI", data, offset - start)
        tag = group, element
        if tag != _ITEM:
            break
        offset += 8
        if offset + length > size:
            msg = f"truncated: the file ends after {size - offset} of {length} bytes of a pixel data fragment"
            raise UnreadableInstanceError(msg)
        fragments.append((offset, length))
        offset += length
        if len(fragments) > MAX_FRAGMENTS:
            msg = f"pixel data must lie in at most {MAX_FRAGMENTS} fragments, got more"
            raise UnreadableInstanceError(msg)
    if len(fragments) < 2:
        msg = "truncated: the file ends before its pixel data"
        raise UnreadableInstanceError(msg)
    if tag == _ENDED:
        return tuple(fragments), True
    return tuple(fragments), _ends_otherwise(file, fragments[-1], size)


def _ends_otherwise(file: StudyFile, last: tuple[int, int], size: int) -> bool:
    """Whether a delimiter ends fragments after all, beside a byte that pads an odd one.

    Raises
    ------
    UnreadableInstanceError
        If what follows them, or their own last bytes, say that bytes were lost or added; a decoder may not notice.
    """
    begin, length = last
    end = begin + length
    rest = file.part(end, min(_NEAR_BYTES, size - end)) if end < size else b""
    if length % 2 and rest[1:].startswith(_DELIMITER):
        return True
    near = file.part(end - min(length, _NEAR_BYTES), min(length, _NEAR_BYTES))
    group = int.from_bytes(rest[:2], "little")
    is_end = (
        not rest.strip(b"\0") or _DELIMITER.startswith(rest) or (group > _AFTER_PIXELS and group != _ITEM[0])
    )
    if _DELIMITER in near + rest or not is_end:
        raise UnreadableInstanceError(_MISFIT)
    return False


def stated_high_bit(instance: Instance) -> int | None:
    """HighBit as the header states it; None when absent."""
    found = _integers(instance)("HighBit", -1)
    return None if found < 0 else found


def _integers(instance: Instance) -> Callable[[str, int], int]:
    """Return a reader of US values with a default."""
    order = struct.Struct(">H" if instance.is_big_endian else "<H")

    def integer(keyword: str, default: int) -> int:
        raw = instance.values.get(keyword)
        return order.unpack_from(raw)[0] if raw is not None and len(raw) >= 2 else default

    return integer


def _decoded(raw: bytes, character_set: bytes) -> str:
    """Text in the data set's character set; what cannot be decoded is replaced."""
    names = [name.strip() for name in character_set.decode("ascii", "replace").split("\\")]
    # the last of several may be switched to by an escape sequence, and is the one that is not ASCII
    encoding = next((_ENCODINGS[name] for name in reversed(names) if name in _ENCODINGS), "latin-1")
    return raw.decode(encoding, "replace").strip("\0 ")


_LATIN = {"100": 1, "101": 2, "109": 3, "110": 4, "144": 5, "127": 6, "126": 7, "138": 8, "148": 9, "203": 15}
_ENCODINGS = (
    {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 13": "shift_jis"}
    | {
        f"{form} {number}": f"iso8859_{part}"
        for number, part in _LATIN.items()
        for form in ("ISO_IR", "ISO 2022 IR")
    }
    | {"ISO_IR 166": "tis_620", "ISO 2022 IR 13": "shift_jis", "ISO 2022 IR 87": "iso2022_jp_2"}
    | {"ISO 2022 IR 159": "iso2022_jp_2", "ISO 2022 IR 149": "euc_kr", "ISO 2022 IR 58": "gb2312"}
)
"""Python's names of the character sets of PS3.3 C.12.1.1.2."""
