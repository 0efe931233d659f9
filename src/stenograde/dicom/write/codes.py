"""Coded concepts as DICOM holds them; which there are, :mod:`stenograde.concepts` says."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from stenograde.concepts import SCHEME, SCHEME_NAME, SCHEME_VERSION, Concept


def code_of(concept: Concept) -> CodedConcept:
    """Return a concept as a code in a data set.

    Examples
    --------
    >>> from stenograde.concepts import YES
    >>> code_of(YES).meaning
    'Yes'
    """
    return CodedConcept(concept.value, concept.scheme, concept.meaning)


def own_scheme() -> CodingSchemeIdentificationItem:
    """Return what an object with codes of our own scheme says of it (PS3.3 C.12.1.1.9)."""
    return CodingSchemeIdentificationItem(
        SCHEME, name=SCHEME_NAME, version=SCHEME_VERSION, responsible_organization="stenograde"
    )
