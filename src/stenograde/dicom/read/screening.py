"""Says which instances are no acquired MR slices, and why: every rule of what is left out stands here."""

from __future__ import annotations

import re
from typing import Final

from stenograde.dicom.read.findings import Finding, Weight, note
from stenograde.dicom.read.instances import Instance, PixelLayout, standard_uid, stated_high_bit

_MR_STORAGE: Final = {
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR",
}
"""SOP classes that hold MR slices (PS3.4 B.5)."""

ENHANCED_MR: Final = "1.2.840.10008.5.1.4.1.1.4.1"

_OTHER_STORAGE: Final = {
    "1.2.840.10008.1.3.10": "a DICOMDIR: an index, not an image",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.7.1": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.7.2": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.7.3": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.7.4": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.4.2": "MR spectroscopy: no image",
    "1.2.840.10008.5.1.4.1.1.4.3": "colour MR image",
    "1.2.840.10008.5.1.4.1.1.11.1": "presentation state: no image",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map: derived",
    "1.2.840.10008.5.1.4.1.1.66": "raw data: no image",
    "1.2.840.10008.5.1.4.1.1.66.1": "spatial registration: no image",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation: derived",
    "1.2.840.10008.5.1.4.1.1.88.11": "structured report: no image",
    "1.2.840.10008.5.1.4.1.1.88.22": "structured report: no image",
    "1.2.840.10008.5.1.4.1.1.88.33": "structured report: no image",
    "1.2.840.10008.5.1.4.1.1.88.34": "structured report: no image",
    "1.2.840.10008.5.1.4.1.1.88.59": "key object selection: no image",
    "1.2.840.10008.5.1.4.1.1.88.67": "radiation dose report: no image",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated PDF: no image",
}
"""SOP classes that are met beside MR slices, in words."""

_DERIVED_KINDS: Final = {
    kind: what
    for what, kinds in {
        "maximum intensity projection": ("MIP", "MAX_IP", "MAX IP", "MAXIMUM", "MNIP", "PJN", "COLLAPSE"),
        "minimum intensity projection": ("MINIP", "MIN_IP", "MIN IP", "MINIMUM"),
        "projection": ("PROJECTION IMAGE", "PROJECTION", "RADIAL"),
        "reformatted": ("MPR", "CURVED MPR", "REFORMATTED", "CSA MPR", "CSA 3D EDITOR", "MPR_3D"),
        "resampled": ("RESAMPLED",),
        "subtraction": ("SUBTRACTION", "SUB", "SUBTRACT", "SUBTRACTED", "DIFFERENCE"),
        "diffusion map": (
            "ADC",
            "EADC",
            "TRACE",
            "TRACEW",
            "ISOTROPIC",
            "FA",
            "TENSOR",
            "CALC_BVALUE",
            "EXP",
        ),
        "diffusion image": ("DIFFUSION", "DIFFUSION_ANISO", "ANISOTROPIC"),
        "relaxation map": (
            *("T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "T2_STAR_MAP", "T2STAR_MAP", "T2 STAR MAP"),
            *("R1_MAP", "R2_MAP", "R2_STAR_MAP", "R2STAR_MAP", "R2 STAR MAP", "R2", "R2_STAR"),
        ),
        "parametric map": ("MAP", "PROTON_DENSITY_MAP", "FIELD_MAP", "B0", "B1", "PERFUSION", "VELOCITY"),
        "screen capture": ("SCREEN SAVE",),
        "secondary capture": ("SECONDARY CAPTURE",),
        "phase image": ("P", "PHASE MAP", "PHASE_MAP", "PHASE", "IMAGINARY", "I"),
        "fat image of a Dixon series": ("FAT", "F", "DIXON_F", "FAT_IMAGE", "FAT_ONLY", "DIXON_FAT"),
        "fat or water fraction": ("FAT_FRACTION", "FF", "FP", "FAT_PERCENTAGE", "WATER_FRACTION", "WF", "WP"),
    }.items()
    for kind in kinds
}
"""Values of ImageType from the third on (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1) that name a computed image."""

_MODALITIES: Final = (
    " ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT "
    "IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG "
    "RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SC SEG SM SMR SR SRF STAIN TEXTUREMAP TG US "
    "VA XA XAPROTOCOL XC "
)
"""Defined terms of Modality (PS3.3 C.7.3.1.1.1)."""
_PHOTOMETRIC: Final = frozenset(
    {"PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"}
)
"""Photometric interpretations of colour images (PS3.3 C.7.6.3.1.2)."""

_UID: Final = re.compile(r"[ -\[\]-~]+")
"""A UID (PS3.5 9.1), or what some who de-identify write in its place: ASCII that is printable, without a backslash."""

_COMPRESSED: Final = re.compile(r"compress|transcod|j2k|jpeg|de-?ident|anonym", re.IGNORECASE)


def reason_to_leave_out(instance: Instance) -> str:
    """Return why an instance is not an acquired MR slice; empty when it is one, or when it is damaged.

    Localizers, secondary captures, derived and colour images, and other modalities are left out. DERIVED in
    ImageType alone is no reason: archives write it when they recompress an acquired image. It is one together with
    SECONDARY, unless the derivation is said to be a compression, and together with a kind such as MPR.
    """
    reason = reason_by_class(instance)
    if reason:
        return reason
    layout = instance.layout
    if layout is not None and layout.samples in {3, 4}:
        return f"colour image ({layout.samples} samples per pixel)"
    return reason_by_image_type(instance, tuple(part.upper() for part in instance.texts("ImageType")))


def damage_of(instance: Instance) -> str:
    """Return why an instance that :func:`reason_to_leave_out` lets pass cannot be used; empty when it can."""
    layout, modality = instance.layout, instance.text("Modality").upper()
    if not instance.sop_instance_uid:
        return "has no SOPInstanceUID"
    if not _UID.fullmatch(instance.sop_instance_uid):
        return "SOPInstanceUID must be one value of plain letters, got something else"
    if modality not in {"", "MR"}:
        return f"Modality must be MR, got one {_shown(modality)}"
    if layout is None:
        return "holds no pixel data"
    if layout.samples != 1:
        return f"SamplesPerPixel must be 1, got {layout.samples}"
    if layout.bits_allocated not in {8, 16, 32}:
        return f"pixels of {layout.bits_allocated} bits, which is no MR image"
    return ""


def _shown(modality: str) -> str:
    """Return a modality as it may stand in a reason: a defined term, or words."""
    return modality if f" {modality} " in _MODALITIES else "that the standard does not define"


def reason_by_class(instance: Instance) -> str:
    """Return why an instance is not of a class or modality that holds MR slices; empty when it is."""
    sop_class = instance.text("SOPClassUID") or instance.text("MediaStorageSOPClassUID")
    modality = instance.text("Modality").upper()
    if sop_class in _OTHER_STORAGE:
        return _OTHER_STORAGE[sop_class]
    if sop_class and sop_class not in _MR_STORAGE:
        named = _shown(modality) if modality else "not given"
        return f"not an MR image (modality {named}, SOP class {standard_uid(sop_class)})"
    if not modality or modality == "MR" or (sop_class and f" {modality} " not in _MODALITIES):
        return ""  # (what the standard does not define is damage: see :func:`damage_of`)
    return f"not an MR image (modality {_shown(modality)})"


def reason_by_image_type(instance: Instance, image_type: tuple[str, ...]) -> str:
    """Return why an ImageType or FrameType says that a slice was not acquired as it is; empty when it was."""
    if "LOCALIZER" in image_type:
        return "localizer"
    for kind in image_type[2:]:
        if kind in _DERIVED_KINDS:
            return f"derived: {_DERIVED_KINDS[kind]} (ImageType {kind})"
    if image_type[:2] == ("DERIVED", "SECONDARY") and not _is_recompressed(instance):
        return "derived: a secondary image (ImageType DERIVED, SECONDARY)"
    return ""


def _is_recompressed(instance: Instance) -> bool:
    lossy = instance.text("LossyImageCompression") == "01"
    return lossy or bool(_COMPRESSED.search(instance.text("DerivationDescription")))


def tolerated(instance: Instance) -> list[Finding]:
    """Return what is unusual about an instance that is used all the same, in words."""
    notes = list(instance.notes)
    layout = instance.layout
    assert layout is not None
    if not instance.text("Modality"):
        notes.append("no Modality; taken as MR")
    if not instance.text("Manufacturer"):
        notes.append("no Manufacturer")
    sop_class = instance.text("SOPClassUID") or instance.text("MediaStorageSOPClassUID")
    if not sop_class:
        notes.append("no SOPClassUID; taken as MR")
    if sop_class == ENHANCED_MR and not instance.has_functional_groups:
        notes.append("SOP class Enhanced MR on single frames; read as single frames")
    if instance.has_functional_groups and layout.n_frames > 1:
        notes.append(f"multi-frame instance, read frame by frame ({layout.n_frames} frames)")
    if layout.syntax == "1.2.840.10008.1.2":
        notes.append("implicit VR")
    if layout.is_signed:
        notes.append("signed pixels")
    if (instance.number("RescaleSlope") or 1) != 1 or (instance.number("RescaleIntercept") or 0) != 0:
        notes.append("pixels rescaled by RescaleSlope and RescaleIntercept")
    if "DERIVED" in instance.text("ImageType").upper():
        notes.append("ImageType says DERIVED, but names no computed kind; taken as acquired")
    if instance.text("LossyImageCompression") == "01":
        notes.append("lossily compressed")
    return [*map(note, notes), *(Finding(Weight.PIXELS, text) for text in _overruled(instance, layout))]


def _overruled(instance: Instance, layout: PixelLayout) -> list[str]:
    """Say which of an instance's statements about its pixels were overruled or are odd."""
    notes = []
    if layout.photometric == "MONOCHROME1":
        notes.append("MONOCHROME1: turned over, so that brighter is greater")
    elif layout.photometric not in {"MONOCHROME2", ""}:
        # free text must not reach a report; only values that the standard defines are quoted
        named = layout.photometric if layout.photometric in _PHOTOMETRIC else "an undefined value"
        notes.append(f"PhotometricInterpretation is {named} on one sample per pixel; read as MONOCHROME2")
    high_bit = stated_high_bit(instance)
    if high_bit not in {None, layout.bits_stored - 1}:
        how = "taken from the bits up to HighBit" if high_bit == layout.high_bit else "taken as they stand"
        notes.append(f"HighBit {high_bit} does not fit BitsStored {layout.bits_stored}; pixels are {how}")
    slope = instance.number("RescaleSlope")
    if slope is not None and slope < 0:
        notes.append("RescaleSlope is below zero, which turns bright and dark over; applied as it stands")
    return notes
