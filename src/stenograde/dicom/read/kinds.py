"""Tells kinds of MR images apart: fat-suppressed, Dixon, with contrast agent, sheets, and those that never serve.

The header's own attributes are read first; where makers tell a kind by a word in the description alone, the
word counts. What each kind is worth stands in ``docs/conformance.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stenograde.dicom.read.frames import Contrast

HYDROGRAPHY_MIN_ECHO_TIME_MS: Final = 300.0
"""Echo time from which only fluid is seen, ms: MR myelography and its like (T2 series end below 200 ms)."""

SINGLE_SHOT_MIN_ECHOES: Final = 90
"""Echoes per excitation from which a 2D turbo spin echo takes a slice in one shot: a half-Fourier picture of 256
lines needs 128 or more, the T2 turbo spin echo of a spine 8 to 40."""

SPIN_ECHO_MIN_FLIP_DEG: Final = 65.0
"""Flip angle below which an excitation of short echo and repetition time is a gradient echo, degrees, where the
header does not name the sequence: spin echoes excite by about 90 degrees."""


class Phase(StrEnum):
    """Image of a Dixon series."""

    IN_PHASE = "in phase"
    WATER = "water"
    OPPOSED = "opposed phase"


_PHASE_OF: Final = {
    **dict.fromkeys(("IN_PHASE", "INPHASE", "IN PHASE", "IP", "DIXON_IN", "IN"), Phase.IN_PHASE),
    **dict.fromkeys(("WATER", "W", "DIXON_W", "WATER_IMAGE"), Phase.WATER),
    **dict.fromkeys(
        ("OPP_PHASE", "OPPOSED_PHASE", "OUT_PHASE", "OUT_OF_PHASE", "OUTPHASE", "OP", "DIXON_OPP", "OPP"),
        Phase.OPPOSED,
    ),
}
"""Values of ImageType or FrameType from the third on that name an image of a Dixon series."""

_DIXON: Final = re.compile(r"DIXON|IDEAL|LAVA[-_ ]?FLEX|\bFLEX\b|FATWATER|\bWFS\b|QUICK ?STEP", re.IGNORECASE)
_PHASE_WORDS: Final = {
    Phase.OPPOSED: re.compile(r"OUT[-_ ]?(OF[-_ ]?)?PHASE|OPP(OSED)?([-_ ]?PHASE)?(?![A-Z])", re.IGNORECASE),
    Phase.IN_PHASE: re.compile(r"(?<![A-Z])IN[-_ ]?PHASE", re.IGNORECASE),
    Phase.WATER: re.compile(r"^\s*WATER\s*[:_-]|WATER[-_ ]?(ONLY|IMAGE)", re.IGNORECASE),
}
_DIXON_SUFFIX: Final = {
    "OPP": Phase.OPPOSED,
    "OP": Phase.OPPOSED,
    "OUT": Phase.OPPOSED,
    "IN": Phase.IN_PHASE,
    "IP": Phase.IN_PHASE,
    "W": Phase.WATER,
    "WATER": Phase.WATER,
}
"""How the description of one image of a Dixon series ends."""

_FAT_IMAGE: Final = re.compile(r"^\s*FAT\s*:|FAT[-_ ]?(ONLY|IMAGE|FRACTION)|\bFF\b[-_ ]?MAP", re.IGNORECASE)
_NEVER_WORDS: Final = {
    "diffusion or echo planar series": re.compile(
        r"(?<![A-Z])(DWI|DTI|DIFF(USION)?|E?ADC|EPI|RESOLVE|TRACEW?)(?![A-Z])|(?<![A-Z])B=?\d{3,4}(?!\d)",
        re.IGNORECASE,
    ),
    "MR myelography": re.compile(r"MYELO|(?<![A-Z])MRM(?![A-Z])", re.IGNORECASE),
    "maximum intensity projection": re.compile(r"(?<![A-Z])M[AI]?IP(?![A-Z])", re.IGNORECASE),
    "subtraction": re.compile(r"(?<![A-Z])SUB(TRACT\w*|TRAKTION)?(?![A-Z])", re.IGNORECASE),
    "computed map": re.compile(
        r"(?<![A-Z])(T1|T2\*?|R2\*?|PD)[-_ ]?(STAR[-_ ]?)?MAPS?(?![A-Z])|PARAMETRIC|FIELD[-_ ]?MAP",
        re.IGNORECASE,
    ),
    "single-shot series": re.compile(r"HASTE|SS[-_ ]?(FSE|TSE)|SSH(?![A-Z])|SINGLE[-_ ]?SHOT", re.IGNORECASE),
    "gradient echo": re.compile(
        r"T2[-_ ]?(\*|STAR)|MEDIC(?![A-Z])|MERGE(?![A-Z])|(?<![A-Z])(M?FFE|B?TFE)(?![A-Z])|FLASH|VIBE"
        r"|TRUFI|TRUE?[-_ ]?FISP|FIESTA|(?<![A-Z])(CISS|DESS|GRE|SPGR|FSPGR|BFFE|COSMIC|SWI)(?![A-Z])",
        re.IGNORECASE,
    ),
}
"""Words of a description that name a kind which never serves; they count where the header names no sequence
that contradicts them."""

_SEQUENCE_NAMES: Final = {
    "diffusion or echo planar series": re.compile(r"^\W*(ep|re)(?=[_\d])|\bEPI\b|DWI", re.IGNORECASE),
    "single-shot series": re.compile(r"^\W*h2d|HASTE|SSFSE|SSTSE", re.IGNORECASE),
    "gradient echo": re.compile(
        r"^\W*(fl|fi|tfi|tfl|me|ci|de|r?fl)\d?d|FLASH|FISP|SPGR|FGRE|GRE\b|FFE|MERGE|FIESTA|COSMIC",
        re.IGNORECASE,
    ),
}
"""Siemens' and others' names of pulse sequences that never serve."""

_FAT_OPTIONS: Final = frozenset(
    {"FS", "SFS", "FATSAT", "FAT_SAT", "FAT SAT", "SPIR", "SPAIR", "CHESS", "FATSUP"}
)
_FAT_WORDS: Final = re.compile(
    r"(?<![A-Z])(FS|FATSAT|FAT[-_ ]?SUPP?\w*|FAT[-_ ]?SAT\w*|SPIR|SPAIR|CHESS)(?![A-Z])", re.IGNORECASE
)
_AGENT_WORDS: Final = re.compile(
    r"\+\s*C\b|(?<![A-Z])(POST(?![-_ ]?OP)|GD|GAD\w*|KM|CE)(?![A-Z])|CONTRAST|\bC\+", re.IGNORECASE
)
_SHEET_WORDS: Final = re.compile(
    r"(?<![A-Z])(LOC|LOCALI[SZ]ERS?|SCOUT|SURVEY|PILOT|TOPO\w*|(3|THREE|TRI)[-_ ]?(PL|PLANE)S?)(?![A-Z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Kind:
    """What kind of image a series holds, beside plane and weighting."""

    phase: Phase | None = None
    is_fat_suppressed: bool = False
    has_agent: bool = False
    is_sheet: bool = False
    """Named as a localizer or survey."""
    never: str = ""
    """Why it serves for no role; empty when it may."""


def kind_of(contrast: Contrast, description: str) -> Kind:
    """Say what kind of image a contrast is.

    Examples
    --------
    >>> kind_of(Contrast(options=("FS",)), "").is_fat_suppressed
    True
    >>> kind_of(Contrast(), "FAT: SAG T2 IDEAL").never
    'fat image of a Dixon series'
    """
    phase = phase_of(contrast, description)
    options = {part.strip() for part in contrast.options}
    suppressed = bool(options & _FAT_OPTIONS) or any(part.startswith("FS_") for part in options)
    return Kind(
        phase=phase,
        is_fat_suppressed=suppressed or phase is Phase.WATER or bool(_FAT_WORDS.search(description)),
        has_agent=contrast.has_agent or bool(_AGENT_WORDS.search(description)),
        is_sheet=bool(_SHEET_WORDS.search(description)),
        never=_never(contrast, description),
    )


def phase_of(contrast: Contrast, description: str) -> Phase | None:
    """Return which image of a Dixon series a contrast is; None when it is of none."""
    for part in contrast.image_type[2:]:
        if part in _PHASE_OF:
            return _PHASE_OF[part]
    for phase, word in _PHASE_WORDS.items():
        if word.search(description):
            return phase
    suffix = re.split(r"[\s_:\-]+", description.strip().upper())[-1]
    return _DIXON_SUFFIX.get(suffix) if _DIXON.search(description) else None


def _never(contrast: Contrast, description: str) -> str:
    return (
        _never_by_header(contrast)
        or next((kind for kind, name in _SEQUENCE_NAMES.items() if name.search(contrast.sequence_name)), "")
        or _never_by_times(contrast)
        or _never_by_words(contrast, description)
    )


def _never_by_header(contrast: Contrast) -> str:
    if contrast.b_value or "EP" in contrast.sequence or "DIFFUSION" in contrast.said:
        return "diffusion or echo planar series"
    if {"PHASE", "IMAGINARY"} & set(contrast.said):
        return "phase or imaginary image"
    if {"MAX_IP", "MIN_IP"} & set(contrast.said):
        return "maximum or minimum intensity projection"
    return "gradient echo" if "GR" in contrast.sequence and "SE" not in contrast.sequence else ""


def _never_by_times(contrast: Contrast) -> str:
    if (contrast.echo_time_ms or 0) >= HYDROGRAPHY_MIN_ECHO_TIME_MS:
        return "MR myelography or another picture of fluid alone"
    if (contrast.echo_train or 0) >= SINGLE_SHOT_MIN_ECHOES and contrast.dimensions == "2D":
        return "single-shot series"
    return "gradient echo" if not contrast.sequence and _has_small_flip(contrast) else ""


def _never_by_words(contrast: Contrast, description: str) -> str:
    for kind, word in _NEVER_WORDS.items():
        if word.search(description) and not (kind == "gradient echo" and "SE" in contrast.sequence):
            return kind
    suffix = re.split(r"[\s_:\-]+", description.strip().upper())[-1]
    is_fat = _FAT_IMAGE.search(description) or (_DIXON.search(description) and suffix in {"F", "FAT"})
    return "fat image of a Dixon series" if is_fat else ""


def _has_small_flip(contrast: Contrast) -> bool:
    """Whether times and flip angle are those of a gradient echo."""
    echo, flip = contrast.echo_time_ms, contrast.flip_angle_deg
    return echo is not None and 0 < echo <= 30 and flip is not None and 0 < flip < SPIN_ECHO_MIN_FLIP_DEG
