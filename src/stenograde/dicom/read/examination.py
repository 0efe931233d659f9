"""What the headers of a study tell of the examination: date, age, sex, scanner, field strength.

Nothing is passed on as it stands: a value that is not in the form or among the words that are expected is left out, so
that no text that somebody typed into a header reaches a report.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Final, TypeVar

from stenograde.dicom.read.instances import Instance
from stenograde.study import Examination

T = TypeVar("T")

_AGE: Final = re.compile(r"(\d{3})([DWMY])")
"""Form of an age (PS3.5 6.2, VR AS)."""

_AGE_UNITS: Final = {"D": "day", "W": "week", "M": "month", "Y": "year"}
_OLDEST_YEARS: Final = 89
"""Who is older is so rare that the age could tell the person (45 CFR 164.514(b)(2)(i)(C))."""

_SEXES: Final = {"F": "female", "M": "male", "O": "other"}
"""Defined terms of PatientSex (PS3.3 C.7.1.1)."""

_MAKERS: Final = {
    "SIEMENS": "Siemens",
    "PHILIPS": "Philips",
    "GE": "GE",
    "CANON": "Canon",
    "TOSHIBA": "Toshiba",
    "HITACHI": "Hitachi",
    "FUJIFILM": "Fujifilm",
    "UIH": "United Imaging",
    "UNITED": "United Imaging",
    "NEUSOFT": "Neusoft",
    "ESAOTE": "Esaote",
    "PARAMED": "Paramed",
    "TIME": "Time Medical",
    "ALLTECH": "Alltech",
    "XINGAOYI": "Xingaoyi",
    "STENOGRADE": "simulated",
}
"""Makers by the first word of Manufacturer."""

_MODELS: Final = re.compile(
    r"ACHIEVA|AERA|ALTEA|AMIRA|AMBITION|AIRIS|APERTO|ARCHITECT|ARTIST|AVANTO|BIOGRAPH|BRIVO|CIMA|CONCERTO|CREATOR|CX|"
    r"DREAM|DISCOVERY|ECHELON|ESSENZA|ESPREE|EXCEL|EXCELART|EXPLORER|FIT|FLOW|FREE|GALAN|HARMONY|HDE?|HDXT?|HERO|"
    r"INGENIA|INTERA|LUMINA|MAGNETOM|MAX|MR|MR\d{3}W?|OASIS|OPART|OPTIMA|ORIAN|OVAL|PANORAMA|PIONEER|PREMIER|PRISMA|"
    r"PRODIVA|[SGO]-SCAN|SEMPRA|SIGNA|SKYRA|SOLA|SPECTRA|SYMPHONY(TIM)?|TIM|TITAN|TRILLIUM|TRIO(TIM)?|UMR|VANTAGE|"
    r"VERIO(TIM)?|VICTOR|VIDA|VOYAGER|XR?|\d(\.\d{1,2})?T?",
    re.IGNORECASE,
)
"""Words that names of MR scanners are made of; a name with any other is not shown."""

_TESLA: Final = (0.01, 21.0)
"""Weakest and strongest field of a scanner, T; headers also give it in gauss."""


def examination_of(instances: Sequence[Instance]) -> Examination:
    """Return what most instances of a study tell of the examination."""
    return Examination(
        day=_most(instances, _day),
        age=_most(instances, _age) or "",
        sex=_most(instances, lambda one: _SEXES.get(one.text("PatientSex"))) or "",
        scanner=_most(instances, _scanner) or "",
        field_t=_most(instances, _field_t),
    )


def _most(instances: Sequence[Instance], tell: Callable[[Instance], T | None]) -> T | None:
    told = Counter(said for one in instances if (said := tell(one)) is not None)
    # of equals the least, whatever the order of the files
    return min(told, key=lambda said: (-told[said], str(said))) if told else None


def _day(instance: Instance) -> date | None:
    """Return StudyDate; the form with points is that of ACR-NEMA (PS3.5 6.2, VR DA)."""
    text = instance.text("StudyDate").replace(".", "")
    if not re.fullmatch(r"\d{8}", text):
        return None
    try:
        day = datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
    return day if day.year >= 1980 else None


def _age(instance: Instance) -> str | None:
    found = _AGE.fullmatch(instance.text("PatientAge"))
    if not found:
        return None
    n, unit = int(found[1]), found[2]
    if unit == "Y" and n > _OLDEST_YEARS:
        return f"over {_OLDEST_YEARS} years"
    return f"{n} {_AGE_UNITS[unit]}{'' if n == 1 else 's'}"


def _scanner(instance: Instance) -> str | None:
    """Return maker and model in known words."""
    words = re.findall(r"[A-Za-z]+", instance.text("Manufacturer"))
    maker = _MAKERS.get(words[0].upper()) if words else None
    if maker is None:
        return None
    model = re.split(r"[\s_]+", instance.text("ManufacturerModelName"))
    known = all(map(_MODELS.fullmatch, model))
    return " ".join((maker, *model)) if known else maker


def _field_t(instance: Instance) -> float | None:
    field = instance.number("MagneticFieldStrength")
    if field is None:
        return None
    tesla = field / 10_000 if field > 100 else field
    return round(tesla, 2) if _TESLA[0] <= tesla <= _TESLA[1] else None
