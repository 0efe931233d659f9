"""What may stay of a value that the table does not name: what has the form of its VR, and known words of a text."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from pydicom.sr._concepts_dict import concepts

from stenograde.dicom.deidentify.profile import profile

_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
_DECIMAL = re.compile(r" *[+-]?(\d+(\.\d*)?|\.\d+)([Ee][+-]?\d{1,3})? *")
_INTEGER = re.compile(r" *[+-]?\d{1,11} *")
_AGE = re.compile(r"\d{3}[DWMY]")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)? *")
_CONCEPTS: Final[Any] = concepts
_SHORT_NUMBER = re.compile(r"\d{1,4}")
_WORD = re.compile(r"[^\s_,;:/\\()\[\]+]+")

REMOVED_TEXT: Final = "REMOVED"
"""Stands where nothing of a text may stay and an empty one could be forbidden."""

_OLDEST: Final = 89
"""Ages above are given as 90: 45 CFR 164.514(b)(2)(i)(C)."""

DUMMIES: Final = {
    "DA": "20000101",
    "TM": "000000",
    "DT": "20000101000000",
    "PN": "REMOVED",
    "LO": REMOVED_TEXT,
    "SH": REMOVED_TEXT,
    "ST": REMOVED_TEXT,
    "LT": REMOVED_TEXT,
    "UC": REMOVED_TEXT,
    "UT": REMOVED_TEXT,
    "AE": REMOVED_TEXT,
    "CS": REMOVED_TEXT,
    "DS": "0",
    "IS": "0",
}
"""By VR; an element of another VR is removed where the table asks for a dummy."""

_FORMS: Final = {"CS": _CODE_STRING, "DS": _DECIMAL, "IS": _INTEGER, "TM": _TIME}
_BINARY_NUMBERS: Final = frozenset({"AT", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})


def parts_of(value: Any) -> tuple[Any, ...]:
    """Return the values of an element of any multiplicity."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str | bytes | int | float) else tuple(value)


def has_form(vr: str, value: Any) -> bool:
    """Return whether each value has the form of a VR of codes, numbers or times (PS3.5, Table 6.2-1).

    Examples
    --------
    >>> has_form("CS", "T2_W"), has_form("CS", "John Doe"), has_form("DS", ["0.5", "Doe"]), has_form("FD", 1.5)
    (True, False, False, True)
    """
    if vr in _BINARY_NUMBERS:
        return all(isinstance(part, int | float) for part in parts_of(value))
    form = _FORMS.get(vr)
    return form is not None and all(form.fullmatch(str(part)) for part in parts_of(value))


def known_words(text: str) -> str:
    """Return the words of a text that are known not to name anybody.

    Examples
    --------
    >>> known_words("SAG T2_TSE Doe^John 4711")
    'SAG T2 TSE'
    """
    words = profile().words
    return " ".join(word for word in _WORD.findall(text) if word.lower() in words)


def is_short_number(text: str) -> bool:
    """Return whether a text is a number of at most four digits."""
    return _SHORT_NUMBER.fullmatch(text.strip()) is not None


def age_without_the_oldest(age: str) -> str | None:
    """Return an age (AS), that of the oldest as 90 years; None for what is no age.

    Examples
    --------
    >>> age_without_the_oldest("061Y"), age_without_the_oldest("094Y"), age_without_the_oldest("John")
    ('061Y', '090Y', None)
    """
    if not _AGE.fullmatch(age):
        return None
    return "090Y" if age[3] == "Y" and int(age[:3]) > _OLDEST else age


def meaning_of(scheme: str, code: str) -> str | None:
    """Return the standard's own meaning of a code; None for one that pydicom's tables do not know.

    Examples
    --------
    >>> meaning_of("DCM", "113100"), meaning_of("99LOCAL", "JOHNDOE")
    ('Basic Application Confidentiality Profile', None)
    """
    return _meanings().get((scheme, code))


@cache
def _meanings() -> dict[tuple[str, str], str]:
    return {
        (scheme, code): described[0]
        for scheme, keywords in _CONCEPTS.items()
        for codes in keywords.values()
        for code, described in codes.items()
    }
