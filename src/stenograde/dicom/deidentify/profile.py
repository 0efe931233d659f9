"""The table of actions, as data, and the options that change it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydicom.datadict import tag_for_keyword


class Action(StrEnum):
    """What is done to an element."""

    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced by a dummy"
    UID = "UID replaced"
    PSEUDONYM = "replaced by a pseudonym"
    SHIFT = "date shifted"
    CLEAN = "text cleaned"
    KEEP = "kept by an option"


_ACTION_OF: Final[Mapping[str, Action | None]] = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U": None,  # a sequence of references, cleaned inside
}

BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
"""Code and meaning of the profile (CID 7050)."""

CLEAN_PIXELS: Final = ("113101", "Clean Pixel Data Option")
"""Code and meaning of what is said where pixels were blanked (CID 7050)."""

_CODES: Final = {
    "retain_uids": ("113110", "Retain UIDs Option"),
    "modified_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "device_identity": ("113109", "Retain Device Identity Option"),
    "clean_descriptors": ("113105", "Clean Descriptors Option"),
    "patient_characteristics": ("113108", "Retain Patient Characteristics Option"),
    "safe_private": ("113111", "Retain Safe Private Option"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the profile (PS3.15 E.3); without any, the basic profile alone."""

    retain_uids: bool = False
    modified_dates: bool = False
    device_identity: bool = False
    clean_descriptors: bool = False
    patient_characteristics: bool = False
    safe_private: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the options that were asked for."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """Code and meaning of the profile and of each option (CID 7050)."""
        return (BASIC, *(_CODES[name] for name in self.asked))


@dataclass(frozen=True, slots=True)
class Profile:
    """The data of ``profile.toml``, by tag."""

    actions: Mapping[int, Action | None]
    """What Table E.1-1 asks for; None for a sequence that is cleaned inside."""
    text: frozenset[int]
    """Texts that the table does not name and whose known words stay."""
    number_text: frozenset[int]
    pixel_bytes: frozenset[int]
    """Elements whose bytes are pixels or look-up tables."""
    options: Mapping[str, frozenset[int]]
    safe_private: Mapping[tuple[int, str], frozenset[int]]
    """(group, creator) to the last bytes of the safe elements' numbers."""
    words: frozenset[str]


@cache
def profile() -> Profile:
    """Return the table, read once."""
    text = files("stenograde.dicom.deidentify").joinpath("profile.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    kept = table["kept"]
    return Profile(
        {tag: _ACTION_OF[code] for code, names in table["actions"].items() for tag in _tags(names)},
        _tags(kept["text"]),
        _tags(kept["number_text"]),
        _tags(kept["pixel_bytes"]),
        {name: _tags(names) for name, names in table["options"].items()},
        {
            (block["group"], creator): frozenset(block["elements"])
            for creator, block in table["safe_private"].items()
        },
        frozenset(table["words"]["vocabulary"].split()),
    )


def _tags(keywords: list[str]) -> frozenset[int]:
    """Return tags; a keyword that this pydicom does not know is of an element that it cannot name, which is removed."""
    return frozenset(tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None)
