"""Walks the elements of a DICOM file: which bytes belong to which attribute, and where the pixels lie.

Knows the four ways to write a data set (explicit and implicit VR little endian, explicit VR big endian,
deflated) and no attribute's meaning. It is the quick road for the wanted attributes of every file; what it
cannot follow it refuses with :class:`MalformedError`, and :mod:`stenograde.dicom.read.tolerant` takes over.
The reasons and the measurement are in ``docs/decisions/0004-decoding.md``.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from stenograde.files import shown_bytes, unpacked_limit

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
RLE: Final = "1.2.840.10008.1.2.5"
NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
"""Transfer syntaxes whose pixels are not encapsulated (PS3.5 annex A)."""

WANTED: Final = {
    0x00080005: "SpecificCharacterSet",
    0x00080008: "ImageType",
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080020: "StudyDate",
    0x00080032: "AcquisitionTime",
    0x00080060: "Modality",
    0x00080070: "Manufacturer",
    0x00081030: "StudyDescription",
    0x0008103E: "SeriesDescription",
    0x00081090: "ManufacturerModelName",
    0x00082111: "DerivationDescription",
    0x00089208: "ComplexImageComponent",
    0x00089209: "AcquisitionContrast",
    0x00100020: "PatientID",
    0x00100040: "PatientSex",
    0x00101010: "PatientAge",
    0x00180015: "BodyPartExamined",
    0x00180010: "ContrastBolusAgent",
    0x00180020: "ScanningSequence",
    0x00180022: "ScanOptions",
    0x00180023: "MRAcquisitionType",
    0x00180024: "SequenceName",
    0x00180050: "SliceThickness",
    0x00180080: "RepetitionTime",
    0x00180081: "EchoTime",
    0x00180082: "InversionTime",
    0x00180087: "MagneticFieldStrength",
    0x00180088: "SpacingBetweenSlices",
    0x00180091: "EchoTrainLength",
    0x00181030: "ProtocolName",
    0x00181314: "FlipAngle",
    0x00189005: "PulseSequenceName",
    0x00189008: "EchoPulseSequence",
    0x00189009: "InversionRecovery",
    0x00189018: "EchoPlanarPulseSequence",
    0x00189025: "SpectrallySelectedSuppression",
    0x00189087: "DiffusionBValue",
    0x0019100C: "SiemensBValue",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
    0x00200011: "SeriesNumber",
    0x00200012: "AcquisitionNumber",
    0x00200013: "InstanceNumber",
    0x00200032: "ImagePositionPatient",
    0x00200037: "ImageOrientationPatient",
    0x00200052: "FrameOfReferenceUID",
    0x00200100: "TemporalPositionIdentifier",
    0x00201041: "SliceLocation",
    0x00280002: "SamplesPerPixel",
    0x00280004: "PhotometricInterpretation",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280030: "PixelSpacing",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
    0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope",
    0x00282110: "LossyImageCompression",
    0x00431039: "GeBValue",
    0x20011003: "PhilipsBValue",
    0x00321060: "RequestedProcedureDescription",
    0x00400254: "PerformedProcedureStepDescription",
}
"""Attributes that are kept, by tag; the value is the DICOM keyword (PS3.6), or a name for a maker's own element."""

_META = {0x0002: "MediaStorageSOPClassUID", 0x0003: "MediaStorageSOPInstanceUID", 0x0010: "TransferSyntaxUID"}
_INTEGER_PIXELS = 0x7FE00010
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, _INTEGER_PIXELS})
"""Float, double float and integer pixel data; only the last is an image (PS3.3 C.7.6.24)."""

_FUNCTIONAL_GROUPS = frozenset({0x52009229, 0x52009230})
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UN", b"UT", b"UC", b"UR", b"SV", b"UV"})
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
_MAX_DEPTH = 32
"""Deepest nesting of sequences that is followed; real files stay below ten."""

CANNOT_BE_INFLATED = "deflated data set cannot be inflated"
"""How a reason begins after which nobody need try again."""

_MAX_RATIO = 20
"""How many times its size a deflated data set may inflate to; pixels shrink to a half or a third."""

_META_REACH = 1 << 16
"""File meta information ends within so many bytes."""


class MalformedError(ValueError):
    """The bytes do not follow PS3.5; ``str`` says what was found where."""


class NeedMoreError(Exception):
    """The walk reached the end of the bytes at hand before the pixels; the file goes on."""


class _UnclosedError(Exception):
    """A sequence swallowed the rest of the file, because its delimiters are missing."""

    def __init__(self, owner: int) -> None:
        super().__init__(owner)
        self.owner = owner


@dataclass(slots=True)
class Walked:
    """What a walk found."""

    syntax: str
    values: dict[str, bytes] = field(default_factory=dict)
    """Raw value bytes by DICOM keyword."""
    pixel_offset: int | None = None
    """Where the value of the pixel data begins; in the inflated bytes when deflated."""
    pixel_length: int | None = None
    """Length of the value; None when it is undefined (encapsulated)."""
    has_functional_groups: bool = False
    """Whether frames are described one by one, as in Enhanced MR."""
    notes: list[str] = field(default_factory=list)
    """What was tolerated."""


def walk_file(data: bytes, *, size: int) -> Walked:
    """Walk a file from its preamble to its pixel data.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.
    size : int
        Length of the whole file, in bytes.

    Raises
    ------
    NeedMoreError
        If ``data`` is only the beginning of the file and ends before the pixel data begins.
    MalformedError
        If the bytes are not a DICOM file, or cannot be followed.
    """
    if data[128:132] != b"DICM":
        msg = "not a DICOM file (no DICM after a preamble of 128 bytes)"
        raise MalformedError(msg)
    try:
        syntax, start, meta = _file_meta(data)
        if syntax == DEFLATED:
            if len(data) < size:
                raise NeedMoreError
            data, start = inflate(data[start:]), 0
            size = len(data)
        try:
            return _Walk(data, size, syntax, meta).data_set(start)
        except _UnclosedError as exc:
            return _Walk(data, size, syntax, meta).flat(start, exc.owner)
    except struct.error as exc:
        if len(data) < size:
            raise NeedMoreError from exc
        msg = "header ends before the pixel data begins"
        raise MalformedError(msg) from exc


def inflate(deflated: bytes) -> bytes:
    """Inflate a deflated data set (PS3.5 A.5).

    Raises
    ------
    MalformedError
        If the bytes are not a complete deflate stream, or one that inflates to more than any data set does.
    """
    stream, at_most = zlib.decompressobj(-15), unpacked_limit(len(deflated), ratio=_MAX_RATIO)
    try:
        data = stream.decompress(deflated, at_most + 1)
    except zlib.error as exc:
        msg = f"{CANNOT_BE_INFLATED}: its stream is damaged"
        raise MalformedError(msg) from exc
    if len(data) > at_most:
        msg = f"{CANNOT_BE_INFLATED} to at most {shown_bytes(at_most)}"
        raise MalformedError(msg)
    if not stream.eof:
        msg = "deflated data set is truncated"
        raise MalformedError(msg)
    return data


def undeflated(data: bytes) -> bytes:
    """Return a file with a deflated data set as one whose data set is not; any other as it is.

    Raises
    ------
    MalformedError
        If the data set cannot be inflated.
    """
    name = DEFLATED.encode()
    if name not in data[:_META_REACH]:
        return data
    try:
        syntax, start, _ = _file_meta(data)
    except struct.error as exc:
        msg = "header ends before the data set begins"
        raise MalformedError(msg) from exc
    meta = data[:start].replace(name, EXPLICIT_LITTLE.encode().ljust(len(name), b"\0"))
    return meta + (inflate(data[start:]) if syntax == DEFLATED else data[start:])


def deflated_start(data: bytes) -> int:
    """Return where the data set begins, after the file meta information."""
    return _file_meta(data)[1]


def _file_meta(data: bytes) -> tuple[str, int, dict[str, bytes]]:
    """Transfer syntax, where the data set begins, and wanted values (PS3.10 7.1; explicit little endian)."""
    pos = 132
    values: dict[str, bytes] = {}
    while data[pos : pos + 2] == b"\x02\x00":
        _, element, vr, length = struct.unpack_from("<HH2sH", data, pos)
        value = pos + 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", data, pos + 8)
            value = pos + 12
        elif vr not in _SHORT:
            msg = f"file meta information holds an unknown VR at byte {pos}"
            raise MalformedError(msg)
        pos = value + length
        if pos > len(data):
            raise struct.error
        if element in _META:
            values[_META[element]] = data[value:pos]
    syntax = values.pop("TransferSyntaxUID", b"").rstrip(b"\0 ").decode("ascii", "replace")
    if not syntax:
        msg = "file meta information names no transfer syntax"
        raise MalformedError(msg)
    return syntax, pos, values


class _Walk:
    """One walk over one data set."""

    def __init__(self, data: bytes, size: int, syntax: str, meta: dict[str, bytes]) -> None:
        self.data, self.size = data, size
        self.found = Walked(syntax, dict(meta))
        order = ">" if syntax == EXPLICIT_BIG else "<"
        self.explicit = struct.Struct(order + "HH2sH")
        self.implicit = struct.Struct(order + "HHI")
        self.long = struct.Struct(order + "I")
        self.is_explicit = syntax != IMPLICIT_LITTLE

    def header(self, pos: int, *, explicit: bool) -> tuple[int, int, int, bool]:
        """Return tag, start and length of the value, and whether a nested data set in it is explicit."""
        if not explicit:
            group, element, length = self.implicit.unpack_from(self.data, pos)
            return group << 16 | element, pos + 8, length, False
        group, element, vr, length = self.explicit.unpack_from(self.data, pos)
        if vr in _SHORT:
            return group << 16 | element, pos + 8, length, True
        if vr in _LONG:
            (length,) = self.long.unpack_from(self.data, pos + 8)
            # PS3.5 6.2.2: UN of undefined length is a sequence in implicit VR little endian
            return group << 16 | element, pos + 12, length, vr != b"UN"
        if group == 0xFFFE:
            group, element, length = self.implicit.unpack_from(self.data, pos)
            return group << 16 | element, pos + 8, length, True
        msg = f"element ({group:04x},{element:04x}) at byte {pos} has an unknown VR"
        raise MalformedError(msg)

    def data_set(self, pos: int) -> Walked:
        """Walk the top level."""
        found, size, explicit, wanted = self.found, self.size, self.is_explicit, WANTED
        previous = 0
        while pos < size:
            tag, value, length, nested = self.header(pos, explicit=explicit)
            if tag in _PIXELS:
                return self.pixels(tag, value, length)
            if tag <= previous and tag >> 16 == 0xFFFE:
                msg = f"delimiter at byte {pos} belongs to no sequence"
                raise MalformedError(msg)
            if tag in _FUNCTIONAL_GROUPS:
                found.has_functional_groups = True
            if length == _UNDEFINED:
                pos = self.sequence(value, explicit=nested and explicit, depth=1, owner=tag)
                continue
            pos = value + length
            if pos > size:
                name = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
                msg = f"truncated: element {name} ends {pos - size} bytes after the file"
                raise MalformedError(msg)
            keyword = wanted.get(tag)
            if keyword is not None:
                if pos > len(self.data):
                    raise NeedMoreError
                found.values[keyword] = self.data[value:pos]
            previous = tag
        return found

    def pixels(self, tag: int, value: int, length: int) -> Walked:
        """Note where integer pixels lie."""
        if tag == _INTEGER_PIXELS:
            self.found.pixel_offset = value
            self.found.pixel_length = None if length == _UNDEFINED else length
        return self.found

    def sequence(self, pos: int, *, explicit: bool, depth: int, owner: int) -> int:
        """Skip a sequence of undefined length; a missing delimiter is noted."""
        if depth > _MAX_DEPTH:
            msg = f"sequences nest deeper than {_MAX_DEPTH} at byte {pos}"
            raise MalformedError(msg)
        while True:
            group, element, length = self.implicit.unpack_from(self.data, pos)
            tag = group << 16 | element
            if tag == _SEQUENCE_END:
                return pos + 8
            if tag != _ITEM:
                self._note_missing(owner)
                return pos
            pos += 8
            pos = (
                self.item(pos, explicit=explicit, depth=depth, owner=owner)
                if length == _UNDEFINED
                else pos + length
            )

    def item(self, pos: int, *, explicit: bool, depth: int, owner: int) -> int:
        """Skip an item of undefined length."""
        while True:
            tag, value, length, nested = self.header(pos, explicit=explicit)
            if tag == _ITEM_END:
                return value
            if tag in _PIXELS:
                raise _UnclosedError(owner)
            if tag in {_SEQUENCE_END, _ITEM}:
                self._note_missing(owner)
                return pos
            if length == _UNDEFINED:
                pos = self.sequence(value, explicit=nested and explicit, depth=depth + 1, owner=tag)
            else:
                pos = value + length

    def flat(self, pos: int, unclosed: int) -> Walked:
        """Walk without regard to nesting, after an unclosed sequence swallowed what follows it.

        A value seen again replaces the first only if its tag is greater than that of the sequence it may
        lie in: tags ascend, so the data set's own value then comes later.
        """
        found, owner = self.found, 0
        self._note_missing(unclosed)
        while pos < self.size:
            tag, value, length, _ = self.header(pos, explicit=self.is_explicit)
            if tag in _PIXELS:
                return self.pixels(tag, value, length)
            if tag >> 16 == 0xFFFE:
                pos = value
                continue
            if length == _UNDEFINED:
                owner, pos = tag, value
                continue
            pos = value + length
            keyword = WANTED.get(tag)
            if keyword is not None and (keyword not in found.values or tag > owner):
                if pos > len(self.data):
                    raise NeedMoreError
                found.values[keyword] = self.data[value:pos]
        return found

    def _note_missing(self, owner: int) -> None:
        self.found.notes.append(f"sequence ({owner >> 16:04x},{owner & 0xFFFF:04x}) has no delimiter")
