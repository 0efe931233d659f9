"""Cleans the elements of a data set, nested ones too, and counts what was done to which."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag

from stenograde.dicom.deidentify.profile import Action, Options, profile
from stenograde.dicom.deidentify.pseudonyms import Pseudonyms, is_of_standard, shifted
from stenograde.dicom.deidentify.values import (
    DUMMIES,
    REMOVED_TEXT,
    age_without_the_oldest,
    has_form,
    is_short_number,
    known_words,
    meaning_of,
    parts_of,
)

_TEXT_VRS: Final = frozenset({"LO", "SH", "ST", "LT", "UC", "UT"})
_TIME_VRS: Final = frozenset({"DA", "DT", "TM"})
_NEVER_DATED: Final = ("Birth", "Death")
"""Dates that no option keeps: the shift of an examination would tell the age, and more with a register."""

_NO_VALUE: Final = (ValueError, TypeError, OverflowError, AttributeError, KeyError, BytesLengthException)
"""What pydicom raises for bytes that are no value of their VR, such as a number in words."""

_PATIENT: Final = frozenset({0x00100010, 0x00100020})
_CHARACTER_SET: Final = 0x00080005
_TIMEZONE: Final = 0x00080201
_CODE_VALUE: Final = 0x00080100
_CODE_KEPT: Final = frozenset({0x00080100, 0x00080102, 0x00080104})

Counts = Counter[tuple[Action, int]]
"""How often what was done to which tag."""


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans the data sets of one patient."""

    options: Options
    pseudonyms: Pseudonyms
    patient: str
    """Which patient, as the source says; never written."""
    counts: Counts

    def clean(self, ds: Dataset, *, is_top: bool = True) -> None:
        """Clean a data set in place; every element that stays has been decoded, so that no raw bytes pass."""
        if not is_top and _CODE_VALUE in ds:
            self._clean_code(ds)
            return
        safe = self._safe_private(ds)
        for tag in list(ds.keys()):
            element = None if tag.is_private or tag.group == 2 else self._cleaned(ds, tag, is_top=is_top)
            if tag in safe:
                element = ds[tag]
                self.counts[Action.KEEP, int(tag)] += 1
            elif tag.is_private:
                self.counts[Action.REMOVE, int(tag)] += 1
            if element is None:
                del ds[tag]
            else:
                ds[tag] = element

    def _cleaned(self, ds: Dataset, tag: BaseTag, *, is_top: bool) -> DataElement | None:
        vr = _vr_of(tag)
        if not vr:  # retired, repeating (curves, overlays) or unknown
            return self._counted(Action.REMOVE, tag)
        if tag in profile().pixel_bytes:
            stays = _needed_bytes(ds, tag) if is_top else vr == "US or OW"
            return ds[tag] if stays else self._counted(Action.REMOVE, tag)
        try:
            element = ds[tag]
        except _NO_VALUE:
            return self._counted(Action.REMOVE, tag)
        if element.VR not in vr.split(" or "):
            return self._counted(Action.REMOVE, tag)
        option = self._by_option(element)
        if option is not None:
            action, value = option
            return self._counted(action, tag, element.VR, value)
        if tag in profile().actions:
            return self._by_table(element, profile().actions[tag])
        return self._not_in_table(element)

    def _by_option(self, element: DataElement) -> tuple[Action, Any] | None:
        """Return what an option does to an element; None where the basic profile stands."""
        tag, vr, asked = element.tag, element.VR, self.options
        listed = profile().options
        if element.value in (None, "") or not parts_of(element.value):
            return None
        if asked.modified_dates and vr in _TIME_VRS:
            return self._redated(element)
        if asked.patient_characteristics and tag in listed["patient_characteristics"]:
            if vr == "AS":
                age = age_without_the_oldest(str(element.value))
                return None if age is None else (Action.KEEP, age)
            return (Action.KEEP, element.value) if has_form(vr, element.value) else None
        if asked.device_identity and tag in listed["device_identity"] and vr != "SQ":
            return Action.KEEP, element.value
        if asked.clean_descriptors and tag in listed["clean_descriptors"]:
            return Action.CLEAN, _cleaned_text(element)
        return None

    def _redated(self, element: DataElement) -> tuple[Action, Any] | None:
        keyword = keyword_for_tag(element.tag)
        if any(word in keyword for word in _NEVER_DATED):
            return None
        if element.VR == "TM":
            return (Action.KEEP, element.value) if has_form("TM", element.value) else None
        days = self.pseudonyms.shift_days(self.patient)
        dates = [shifted(str(part), days) for part in parts_of(element.value)]
        if None in dates:
            return None
        return Action.SHIFT, dates if len(dates) > 1 else dates[0]

    def _by_table(self, element: DataElement, action: Action | None) -> DataElement | None:
        tag, vr = element.tag, element.VR
        if tag in _PATIENT:
            return self._counted(Action.PSEUDONYM, tag, vr, self.pseudonyms.patient(self.patient))
        if vr == "UI" and action not in {Action.REMOVE, Action.EMPTY}:
            return self._uids(element)
        if action is None and vr == "SQ":
            return self._sequence(element)
        if action is Action.EMPTY or (action is Action.DUMMY and not parts_of(element.value)):
            return self._counted(Action.EMPTY, tag, vr, [] if vr == "SQ" else None)
        if action is Action.DUMMY and vr in DUMMIES:
            return self._counted(Action.DUMMY, tag, vr, DUMMIES[vr])
        return self._counted(Action.REMOVE, tag)

    def _not_in_table(self, element: DataElement) -> DataElement | None:
        tag, vr = element.tag, element.VR
        if tag in {_CHARACTER_SET, _TIMEZONE}:
            return self._counted(Action.REMOVE, tag)
        if vr == "SQ":
            return self._sequence(element)
        if vr == "UI":
            return self._uids(element)
        if tag in profile().text and vr in _TEXT_VRS | {"LO"}:
            text = _cleaned_text(element)
            if parts_of(text) == parts_of(element.value):
                return DataElement(tag, vr, text)
            return self._counted(Action.CLEAN, tag, vr, text)
        if tag in profile().number_text and all(
            is_short_number(str(part)) for part in parts_of(element.value)
        ):
            return element
        return element if has_form(vr, element.value) else self._counted(Action.REMOVE, tag)

    def _uids(self, element: DataElement) -> DataElement:
        uids = [str(part) for part in parts_of(element.value)]
        if self.options.retain_uids:
            new = [uid if _is_uid(uid) else self.pseudonyms.uid(uid) for uid in uids]
        else:
            new = [self.pseudonyms.uid(uid) for uid in uids]
        if new != uids:
            self.counts[Action.UID, int(element.tag)] += 1
        elif not all(map(is_of_standard, uids)):
            self.counts[Action.KEEP, int(element.tag)] += 1
        return DataElement(element.tag, "UI", new if len(new) != 1 else new[0])

    def _sequence(self, element: DataElement) -> DataElement | None:
        had = len(element.value)
        for item in element.value:
            self.clean(item, is_top=False)
        kept = [item for item in element.value if len(item)]
        if had and not kept:
            return self._counted(Action.REMOVE, element.tag)
        return DataElement(element.tag, "SQ", kept)

    def _clean_code(self, item: Dataset) -> None:
        """Leave code, scheme and the standard's own meaning of a code; nothing of one that no table knows."""
        scheme, code = str(item.get("CodingSchemeDesignator", "")), str(item.CodeValue)
        meaning = meaning_of(scheme, code)
        for tag in list(item.keys()):
            if meaning is None or tag not in _CODE_KEPT:
                self._counted(Action.REMOVE, tag)
                del item[tag]
        if meaning is not None:
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning[:64]

    def _safe_private(self, ds: Dataset) -> frozenset[BaseTag]:
        """Return the private elements that are safe (PS3.15, Table E.3.10-1), with those that name their blocks."""
        if not self.options.safe_private:
            return frozenset()
        safe: set[BaseTag] = set()
        for (group, creator), offsets in profile().safe_private.items():
            for block in range(0x10, 0x100):
                name = ds.get((group, block))
                if name is None or str(name.value).strip() != creator:
                    continue
                found = {BaseTag(group << 16 | block << 8 | offset) for offset in offsets}
                kept = {tag for tag in found if tag in ds and _holds_numbers(ds, tag)}
                safe |= kept | ({name.tag} if kept else set())
        return frozenset(safe)

    def _counted(self, action: Action, tag: BaseTag, vr: str = "", value: Any = None) -> DataElement | None:
        self.counts[action, int(tag)] += 1
        return None if action is Action.REMOVE else DataElement(tag, vr, value)


def _cleaned_text(element: DataElement) -> Any:
    """Return the known words of each value; where there are none, that they were removed."""
    texts = [str(part) for part in parts_of(element.value)]
    cleaned = [text and (known_words(text) or REMOVED_TEXT) for text in texts]
    return cleaned[0] if len(cleaned) == 1 else cleaned or None


def _holds_numbers(ds: Dataset, tag: BaseTag) -> bool:
    try:
        return has_form(ds[tag].VR, ds[tag].value)
    except _NO_VALUE:
        return False


def _needed_bytes(ds: Dataset, tag: BaseTag) -> bool:
    """Return whether bytes belong to the pixels of a data set, so that none hide where no reader looks."""
    keyword = keyword_for_tag(tag)
    if "Palette" in keyword:
        return str(ds.get("PhotometricInterpretation", "")) == "PALETTE COLOR"
    if "Offset" in keyword:
        return bool(ds.file_meta.TransferSyntaxUID.is_compressed)
    return True


def _vr_of(tag: BaseTag) -> str:
    if 0x5000 <= tag.group < 0x5100 or 0x6000 <= tag.group < 0x6100 or tag.element == 0:
        return ""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def _is_uid(uid: str) -> bool:
    return len(uid) <= 64 and all(part.isascii() and part.isdigit() for part in uid.split("."))
